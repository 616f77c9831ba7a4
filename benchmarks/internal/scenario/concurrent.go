package scenario

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// chore is how long each handler of the concurrent scenario works.
const chore = 10 * time.Microsecond

// measureConcurrent publishes one event at a time to handlers that each keep a core busy for a while. Its unit is one
// event, from its publish to the end of its last handler.
func measureConcurrent(r *run) (Result, error) {
	bus, err := r.open(queue)
	if err != nil {
		return Result{}, err
	}
	topic := bus.Topic("order.placed")
	var handled atomic.Int64
	finished := make(chan uint32, r.scenario.Handlers)
	for range r.scenario.Handlers {
		if _, err := topic.Subscribe(&contender.Recorder{React: func(_ context.Context, o contender.Order) error {
			for start := time.Now(); time.Since(start) < chore; {
			}
			handled.Add(1)
			finished <- o.Seq
			return nil
		}}); err != nil {
			return Result{}, err
		}
	}
	messages := contender.Messages(0)
	published := 0
	last, rounds, _, err := r.grow(func(rounds int) error {
		for range rounds {
			message := messages[published%len(messages):][:1]
			if err := topic.Publish(context.Background(), message); err != nil {
				return err
			}
			for range r.scenario.Handlers {
				if err := same(<-finished, message[0].Order.Seq); err != nil {
					return err
				}
			}
			published++
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	if want := int64(published * r.scenario.Handlers); handled.Load() != want {
		return Result{}, fmt.Errorf("handlers ran %d times, not %d", handled.Load(), want)
	}
	return last.result(rounds), nil
}

// same returns an error when the event that was handled is not the one that was published.
func same(got, want uint32) error {
	if got != want {
		return fmt.Errorf("event %d was handled instead of event %d", got, want)
	}
	return nil
}
