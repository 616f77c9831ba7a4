package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/typedbus/events/durable"
)

// NoteOnce is the statement that notes that a group has handled a message.
const NoteOnce = "insert into @inbox (topic, grp, mid, at) values (?, ?, ?, ?) on conflict do nothing"

// Once has exec execute [NoteOnce] for the event that is handled with ctx, and reports
// whether that changed anything.
func (e *Engine) Once(ctx context.Context, exec func(arguments ...any) (changed int64, err error)) (first bool, err error) {
	d := durable.FromContext(ctx)
	if d == nil {
		return false, errors.New(e.Name + ": Once: the context is not that of a durable handler")
	}
	changed, err := exec(d.Topic, d.Group, fmt.Sprintf("%d %s %s", len(d.Source), d.Source, d.ID), time.Now().UnixNano())
	if err != nil {
		return false, fmt.Errorf("%s: Once, topic %q, group %q, message %q: %w", e.Name, d.Topic, d.Group, d.ID, err)
	}
	return changed == 1, nil
}
