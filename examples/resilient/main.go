// Resilient buys parcel labels from a carrier that is slow, busy or plainly
// wrong at times. What a second try can mend is tried again, and what it
// cannot is kept, to be sent once more when somebody has mended it.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/typedbus/events"
)

type Parcel struct {
	ID      string
	Address string
}

var ParcelPacked = events.NewTopic[Parcel]("parcel.packed")

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "resilient:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	bus := events.New()
	letters := &letterBox{log: log}
	carrier := &carrier{log: log, troubles: map[string][]trouble{
		"busy":   {busy, busy},
		"silent": {silent, silent, silent},
		"buggy":  {buggy, buggy, buggy},
	}}

	// From the outside in: whatever fails for good becomes a dead letter, of
	// the three tries each has 50 milliseconds. Handlers need no Recover, the
	// bus sees to their panics; here it makes an error of a panic in the
	// middleware below it.
	_, err := ParcelPacked.Subscribe(bus, carrier.printLabel, events.WithMiddleware(
		events.DeadLetter(letters.take),
		events.Recover(),
		account,
		events.Retry(3, events.WithBackoff(10*time.Millisecond, time.Second)),
		events.Timeout(50*time.Millisecond),
	))
	if err != nil {
		return err
	}

	customer := context.WithValue(ctx, accountKey{}, "typedbus")
	for _, step := range []struct {
		ctx    context.Context
		parcel Parcel
	}{
		{customer, Parcel{ID: "easy", Address: "12 Byron Row"}},
		{customer, Parcel{ID: "busy", Address: "3 Canal Walk"}},
		{customer, Parcel{ID: "silent", Address: "8 Mill Lane"}},
		{customer, Parcel{ID: "nowhere"}},
		{customer, Parcel{ID: "buggy", Address: "5 Loop Road"}},
		{ctx, Parcel{ID: "unpaid", Address: "1 Free Street"}},
	} {
		log.Printf("parcel %s", step.parcel.ID)
		if err := ParcelPacked.Publish(step.ctx, bus, step.parcel); err != nil {
			return fmt.Errorf("parcel %s is lost: %w", step.parcel.ID, err)
		}
	}

	log.Printf("dead letters: %d; the carrier has mended its own, they go out again", len(letters.kept))
	if err := letters.resend(customer, bus); err != nil {
		return err
	}
	log.Printf("dead letters left: %d", len(letters.kept))
	return bus.Close(ctx)
}

type accountKey struct{}

// account refuses events of nobody's account, in the rudest way there is.
func account(next events.Handler) events.Handler {
	return func(ctx context.Context, event events.Event) error {
		_ = ctx.Value(accountKey{}).(string)
		return next(ctx, event)
	}
}
