package scenario

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// patience is how long a scenario waits for deliveries after the last event has been published.
const patience = 3 * time.Second

// A run is one measurement under way.
type run struct {
	scenario  Scenario
	contender contender.Contender
	mode      contender.Mode
	budget    time.Duration
}

func (r *run) open(queue int) (contender.Bus, error) { return r.contender.Modes[r.mode](queue) }

// subscribe adds n recorders to the topic.
func (r *run) subscribe(topic contender.Topic, n int) ([]*contender.Recorder, error) {
	recorders := make([]*contender.Recorder, n)
	for i := range recorders {
		recorders[i] = &contender.Recorder{}
		if r.mode != contender.Inline && r.contender.Parallel {
			recorders[i].Share()
		}
		if _, err := topic.Subscribe(recorders[i]); err != nil {
			return nil, err
		}
	}
	return recorders, nil
}

// A stretch is timed work.
type stretch struct {
	elapsed time.Duration
	mallocs uint64
}

// result spreads the stretch over n operations.
func (s stretch) result(n int) Result {
	return Result{Values: map[Metric]float64{
		Nanos:  float64(s.elapsed.Nanoseconds()) / float64(n),
		Allocs: float64(s.mallocs) / float64(n),
	}}
}

// timed measures f, after a garbage collection so that the debts of one stretch are not paid by the next.
func timed(f func() error) (stretch, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	err := f()
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	return stretch{elapsed, after.Mallocs - before.Mallocs}, err
}

// grow repeats f with more and more rounds until one stretch has taken about the time that the run has, and returns that
// stretch, its rounds, and the rounds of all stretches together. The stretches before it warm up.
func (r *run) grow(f func(rounds int) error) (last stretch, rounds, total int, err error) {
	rounds = 1
	for {
		last, err = timed(func() error { return f(rounds) })
		total += rounds
		if err != nil || last.elapsed >= r.budget/2 {
			return last, rounds, total, err
		}
		factor := float64(r.budget) / float64(max(last.elapsed, time.Microsecond))
		rounds = max(rounds+1, int(float64(rounds)*min(factor, 20)))
	}
}

// publishers runs f in as many goroutines as the scenario has publishers, each with its own messages, and returns the
// first error.
func (r *run) publishers(f func(messages []contender.Message) error) func() error {
	rings := make([][]contender.Message, r.scenario.Publishers)
	for i := range rings {
		rings[i] = contender.Messages(i)
	}
	if len(rings) == 1 {
		return func() error { return f(rings[0]) }
	}
	return func() error {
		failures := make(chan error, len(rings))
		for _, ring := range rings {
			go func() { failures <- f(ring) }()
		}
		var first error
		for range rings {
			if err := <-failures; err != nil && first == nil {
				first = err
			}
		}
		return first
	}
}

// await waits until all the channels are closed.
func await(done []<-chan struct{}) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for _, d := range done {
		select {
		case <-d:
		case <-timeout.C:
			return fmt.Errorf("%d of %d handlers had not got every event after %v", open(done), len(done), patience)
		}
	}
	return nil
}

// open returns how many of the channels are not closed.
func open(done []<-chan struct{}) int {
	n := len(done)
	for _, d := range done {
		select {
		case <-d:
			n--
		default:
		}
	}
	return n
}

// publish publishes all the messages the given number of times.
func publish(topic contender.Topic, messages []contender.Message, rounds int) error {
	ctx := context.Background()
	for range rounds {
		if err := topic.Publish(ctx, messages); err != nil {
			return err
		}
	}
	return nil
}
