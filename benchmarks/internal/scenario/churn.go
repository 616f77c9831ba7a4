package scenario

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// measureChurn subscribes to a topic and leaves it again, beside others that stay. Its unit is one coming and going.
// Afterwards one event must reach all who stayed and none who left.
func measureChurn(r *run) (Result, error) {
	bus, err := r.open(queue)
	if err != nil {
		return Result{}, err
	}
	topic := bus.Topic("order.placed")
	others := make([]*contender.Recorder, r.scenario.Others)
	for i := range others {
		others[i] = &contender.Recorder{Key: fmt.Sprintf("other-%d", i)}
		if r.mode != contender.Inline && r.contender.Parallel {
			others[i].Share()
		}
		if _, err := topic.Subscribe(others[i]); err != nil {
			return Result{}, err
		}
	}
	var late atomic.Int64
	leaver := &contender.Recorder{Key: "leaver", React: func(context.Context, contender.Order) error {
		late.Add(1)
		return nil
	}}
	pairs := 0
	last, err := timed(func() error {
		for start := time.Now(); time.Since(start) < r.budget; {
			for range 10 {
				remove, err := topic.Subscribe(leaver)
				if err != nil {
					return err
				}
				if remove == nil {
					return &LackError{"a handler cannot be removed"}
				}
				remove()
			}
			pairs += 10
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	done := expect(others, 1)
	if err := topic.Publish(context.Background(), contender.Messages(0)[:1]); err != nil {
		return Result{}, err
	}
	if err := await(done); err != nil {
		return Result{}, fmt.Errorf("after others left: %w", err)
	}
	result := last.result(pairs)
	if late.Load() > 0 {
		result.Mark = "a handler that had left still got events"
	}
	return result, nil
}
