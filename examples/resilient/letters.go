package main

import (
	"context"
	"log"

	"github.com/typedbus/events"
)

// letterBox keeps events that could not be handled. It is for one goroutine,
// like all of this program; handlers that run in several need a lock.
type letterBox struct {
	log  *log.Logger
	kept []events.Event
}

// take returns nil: the event is in good hands, and the publisher need not
// care.
func (b *letterBox) take(_ context.Context, event events.Event, err error) error {
	b.log.Printf("   dead letter: %v", err)
	b.kept = append(b.kept, event)
	return nil
}

// resend publishes what has been kept. It reaches all handlers of the event,
// also those that succeeded: where there are several, they have to be
// idempotent.
func (b *letterBox) resend(ctx context.Context, bus *events.Bus) error {
	letters := b.kept
	b.kept = nil
	for i, event := range letters {
		if parcel, ok := event.Data.(Parcel); ok {
			b.log.Printf("again %s", parcel.ID)
		}
		if err := bus.Dispatch(ctx, event); err != nil {
			b.kept = append(b.kept, letters[i:]...)
			return err
		}
	}
	return nil
}
