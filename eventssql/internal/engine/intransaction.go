package engine

import (
	"context"

	"github.com/typedbus/events/durable"
)

// InTransaction returns a publisher that has insert insert messages, as [Engine.Encode]
// returns them, in a transaction of the caller's.
func (e *Engine) InTransaction(insert func(ctx context.Context, rows [][]any) error) durable.Publisher {
	return &inTransaction{e, insert}
}

type inTransaction struct {
	engine *Engine
	insert func(ctx context.Context, rows [][]any) error
}

// Features are those of the engine.
func (*inTransaction) Features() durable.Features { return Features() }

func (t *inTransaction) Publish(ctx context.Context, messages ...durable.Message) error {
	rows, err := t.engine.Encode(messages)
	if err != nil {
		return err
	}
	return t.insert(ctx, rows)
}
