package main

import (
	"context"
	"time"
)

// scenario is something that a system with durable events has to survive.
type scenario struct {
	name  string
	about string
	run   func(context.Context, *stage) (result, error)
}

// scenarios are all of them, the short ones first.
var scenarios = []*scenario{
	{"mixed", "publishers and workers are killed, held up and restarted", mixed},
}

func scenarioOf(name string) *scenario {
	for _, s := range scenarios {
		if s.name == name {
			return s
		}
	}
	return nil
}

func publisherJob(s *stage) job {
	return job{Role: "publisher", Lease: time.Second, Pause: 40 * time.Millisecond, Hold: s.engine.longest}
}

func workerJob() job {
	return job{Role: "worker", Lease: time.Second, Prefetch: 16, Attempts: 10}
}

func mixed(ctx context.Context, s *stage) (result, error) {
	c := campaign{
		workers: workerJob(), publishers: publisherJob(s), crowd: 3, every: 400 * time.Millisecond,
		blows: []blow{killWorker, killPublisher, holdUpWorker, holdUpPublisher, rollWorker, rollPublisher},
	}
	return c.conduct(ctx, s)
}
