package main

import (
	"context"
	"errors"

	"github.com/typedbus/events/durable"
)

// relayGroup is that of relays at the outbox.
const relayGroup = "relay"

// forward forwards from the outbox until ctx is done.
func (a *actor) forward(ctx context.Context) error {
	source, err := openSQLite(ctx, a.Outbox)
	if err != nil {
		return err
	}
	relay, err := durable.Forward(ctx, source, a.store, relayGroup, topic.Name())
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, source.shut(context.WithoutCancel(ctx)))
	}
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if relay != nil {
		a.complain(relayGroup, relay.Close(closing))
	}
	return source.shut(closing)
}
