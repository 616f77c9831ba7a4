package durabletest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// sweeper is an engine that forgets what everybody has handled when it is told to.
type sweeper interface {
	Sweep(ctx context.Context) (int64, error)
}

// swept sweeps while events are published, handled, given up and redriven.
func swept(k *kit) {
	const n = 30
	engine := extension[sweeper](k, "Sweep")
	var failed sync.Map
	got, sub := k.group("g", func(h handled) error {
		if _, again := failed.LoadOrStore(h.Number, true); h.Number%3 == 0 && !again {
			return events.Permanent(errFailed)
		}
		return nil
	}, durable.WithWorkers(2))
	other, beside := k.group("other", nil)
	if err := durable.Declare(k.timely(), k.engine, k.topic.Name(), "absent"); err != nil {
		k.Fatal(err)
	}
	letters, err := durable.DeadLettersOf(k.engine)
	if err != nil {
		k.Fatal(err)
	}
	var over atomic.Bool
	sweeping := make(chan error, 1)
	go func() {
		sweeping <- together(2, func(i int) error {
			for !over.Load() {
				if i == 0 {
					if _, err := engine.Sweep(k.timely()); err != nil {
						return err
					}
				} else if err := redriveAll(k, letters); err != nil {
					return err
				}
				time.Sleep(5 * time.Millisecond)
			}
			return nil
		})
	}()
	defer over.Store(true)
	k.publish(count(n)...)
	k.eventually("all are handled", func() bool { return sub.Stats().Handled >= n && beside.Stats().Handled >= n })
	late, _ := k.group("absent", nil)
	numbers := k.take(n, late)
	slices.Sort(numbers)
	k.wantSame("a group that came late", numbers, count(n))
	over.Store(true)
	if err := <-sweeping; err != nil {
		k.Fatal(err)
	}
	k.dead(0)
	if g, o := sub.Stats(), beside.Stats(); g.Handled != n || g.DeadLettered != n/3 || len(got) != n+n/3 || o.Handled != n || len(other) != n {
		k.Errorf("of %d events, a third of them failed once: %+v, and beside it %+v", n, g, o)
	}
}

func redriveAll(k *kit, letters durable.DeadLetters) error {
	list, err := letters.List(k.timely(), k.topic.Name(), "g", "", 100)
	if err != nil {
		return err
	}
	var refs []string
	for _, letter := range list {
		refs = append(refs, letter.Ref)
	}
	_, err = letters.Redrive(k.timely(), k.topic.Name(), "g", refs...)
	return err
}
