package scenario

import (
	"context"
	"slices"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// measureAsync publishes as fast as the bus takes it and waits until every subscriber has handled every event. Its unit is
// one delivery: one subscriber handling one event.
func measureAsync(r *run) (Result, error) {
	bus, err := r.open(queue)
	if err != nil {
		return Result{}, err
	}
	topic := bus.Topic("order.placed")
	recorders, err := r.subscribe(topic, r.scenario.Handlers)
	if err != nil {
		return Result{}, err
	}
	var rounds int
	all := r.publishers(func(messages []contender.Message) error { return publish(topic, messages, rounds) })
	last, n, total, err := r.grow(func(n int) error {
		rounds = n
		done := expect(recorders, n*contender.Ring*r.scenario.Publishers)
		if err := all(); err != nil {
			return err
		}
		return await(done)
	})
	if err != nil {
		return Result{}, err
	}
	deliveries := n * contender.Ring * r.scenario.Publishers * r.scenario.Handlers
	return finish(r, last, recorders, total, deliveries)
}

func expect(recorders []*contender.Recorder, n int) []<-chan struct{} {
	done := make([]<-chan struct{}, len(recorders))
	for i, recorder := range recorders {
		done[i] = recorder.Expect(n)
	}
	return done
}

// measureWakeup publishes one event at a time to a subscriber with nothing else to do, which answers over a channel. Its
// unit is the way there and back.
func measureWakeup(r *run) (Result, error) {
	bus, err := r.open(queue)
	if err != nil {
		return Result{}, err
	}
	answer := make(chan uint32, 1)
	topic := bus.Topic("order.placed")
	if _, err := topic.Subscribe(&contender.Recorder{React: func(_ context.Context, o contender.Order) error {
		answer <- o.Seq
		return nil
	}}); err != nil {
		return Result{}, err
	}
	messages := contender.Messages(0)
	const warmup, least, most = 20, 50, 200_000
	var trips []float64
	begin := time.Now()
	for i := 0; len(trips) < most && (len(trips) < least || time.Since(begin) < r.budget); i++ {
		message := messages[i%len(messages):][:1]
		start := time.Now()
		if err := topic.Publish(context.Background(), message); err != nil {
			return Result{}, err
		}
		if err := same(<-answer, message[0].Order.Seq); err != nil {
			return Result{}, err
		}
		if i >= warmup {
			trips = append(trips, float64(time.Since(start).Nanoseconds()))
		}
	}
	slices.Sort(trips)
	return Result{Values: map[Metric]float64{
		Nanos: trips[len(trips)/2],
		P99:   trips[len(trips)*99/100],
	}}, nil
}
