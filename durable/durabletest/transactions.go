package durabletest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/typedbus/events/durable"
)

// transactor is an engine that publishes with transactions of the caller's.
type transactor interface {
	Begin(ctx context.Context) (to durable.Publisher, commit, rollback func() error, err error)
}

// inTransactions has publishers commit and roll back side by side, so that events are
// not stored in the order in which they get their places.
func inTransactions(k *kit) {
	const publishers, each = 4, 8
	engine := extension[transactor](k, "Begin")
	got, sub := k.group("g", nil)
	var mu sync.Mutex
	var want []int
	k.together(publishers, func(p int) error {
		for i := range each {
			first := 1 + 3*(p*each+i)
			to, commit, rollback, err := k.begin(engine)
			if err != nil {
				return err
			}
			if err := durable.PublishBatch(k.timely(), to, k.topic, []order{{Number: first}, {Number: first + 1}}); err != nil {
				return err
			}
			time.Sleep(rand.N(4 * time.Millisecond)) // others begin, and commit before
			if err := durable.Publish(k.timely(), to, k.topic, order{Number: first + 2}); err != nil {
				return err
			}
			if (i+p)%2 == 0 {
				if err := rollback(); err != nil {
					return err
				}
				continue
			}
			mu.Lock()
			want = append(want, first, first+1, first+2)
			mu.Unlock()
			if err := commit(); err != nil {
				return err
			}
		}
		return nil
	})
	k.publish(0) // in none
	want = append(want, 0)
	k.eventually("all that was committed comes", func() bool { return len(got) >= len(want) })
	k.close(sub)
	var numbers []int
	for len(got) > 0 {
		numbers = append(numbers, (<-got).Number)
	}
	slices.Sort(want)
	slices.Sort(numbers)
	k.wantSame("what was committed", numbers, want)
}

// begin begins a transaction, when the database has room for one.
func (k *kit) begin(engine transactor) (to durable.Publisher, commit, rollback func() error, err error) {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		to, commit, rollback, err = engine.Begin(k.timely())
		if err == nil || time.Now().After(end) {
			return to, commit, rollback, err
		}
	}
}

// mute is an engine for a process that ends when its handler is done, before it has
// said so.
type mute struct{ durable.Engine }

func (m mute) Unwrap() durable.Engine { return m.Engine }

func (m mute) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	r, err := m.Engine.Open(ctx, c)
	return muteReceiver{r}, err
}

type muteReceiver struct{ durable.Receiver }

func (muteReceiver) Settle(context.Context, []durable.Settlement) ([]int, error) {
	return nil, durable.ErrClosed
}

// noter is an engine that notes what was handled.
type noter interface {
	Once(ctx context.Context) (first bool, err error)
}

// once has a process end between the effect of a handler and its acknowledgement.
func once(k *kit) {
	engine := extension[noter](k, "Once")
	var effects, others atomic.Int64
	handler := func(h handled) error {
		first, err := engine.Once(h.ctx)
		if err == nil && first {
			if h.Group == "g" {
				effects.Add(1)
			} else {
				others.Add(1)
			}
		}
		return err
	}
	ending := *k
	ending.engine = mute{k.engine}
	before, _ := ending.group("g", handler, durable.WithLease(shortLease), durable.WithPrefetch(0))
	_, other := k.group("other", handler)
	k.publish(1)
	k.wantSame("before the process ended", k.take(1, before), []int{1})
	k.eventually("the effect is there", func() bool { return effects.Load() == 1 })
	after, sub := k.group("g", handler, durable.WithLease(shortLease))
	k.wantSame("when its lease was over", k.take(1, after), []int{1})
	k.publish(2)
	k.eventually("both are handled", func() bool { return sub.Stats().Handled == 2 && other.Stats().Handled == 2 })
	if one, two := effects.Load(), others.Load(); one != 2 || two != 2 {
		k.Errorf("two events had %d effects in the group whose process ended, and %d in another, want 2 and 2", one, two)
	}
}
