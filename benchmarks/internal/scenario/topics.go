package scenario

import (
	"context"
	"fmt"
	"runtime"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// topicQueue keeps the queues of a hundred thousand subscriptions small, on the buses that allocate them in advance.
const topicQueue = 16

// measureTopics makes many topics with one subscription each. Its unit is one of them, in time and in memory, goroutine
// stacks included. Afterwards an event on a sample of the topics must arrive.
func measureTopics(r *run) (Result, error) {
	bus, err := r.open(topicQueue)
	if err != nil {
		return Result{}, err
	}
	names := make([]string, Topics)
	for i := range names {
		names[i] = fmt.Sprintf("order.%d", i)
	}
	topics := make([]contender.Topic, Topics)
	recorder := &contender.Recorder{}
	if r.mode != contender.Inline {
		recorder.Share()
	}
	before := inUse()
	last, err := timed(func() error {
		for i, name := range names {
			topics[i] = bus.Topic(name)
			if _, err := topics[i].Subscribe(recorder); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	bytes := inUse() - before
	result := last.result(Topics)
	result.Values[Bytes] = float64(bytes) / Topics

	const step = 1000
	done := recorder.Expect(Topics / step)
	message := contender.Messages(0)[:1]
	for i := 0; i < Topics; i += step {
		if err := topics[i].Publish(context.Background(), message); err != nil {
			return Result{}, err
		}
	}
	if err := await([]<-chan struct{}{done}); err != nil {
		return Result{}, err
	}
	return result, recorder.Check(Topics / step)
}

// inUse returns the bytes of the heap and of the stacks that are in use after a collection.
func inUse() int64 {
	// What a finalizer or a weak reference held on to is free only after a second collection.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
