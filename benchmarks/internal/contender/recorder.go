package contender

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Recorder is the handler of every comparison: it counts what it gets and notices what is out of order.
type Recorder struct {
	// Key names the subscription, for libraries that remove a handler by name. It is empty when the handler stays.
	Key string
	// React replaces the counting, for handlers that have something else to do.
	React func(ctx context.Context, o Order) error

	shared bool
	target atomic.Uint64
	done   chan struct{}
	total  uint64
	slots  [MaxPublishers]slot
}

// A slot has a cache line pair to itself, so that publishers on different cores do not slow each other down in the
// handler, where no bus could help it.
type slot struct {
	count    uint64
	disorder uint64
	next     uint32
	_        [108]byte
}

// Share tells the recorder that events may come from several goroutines at once. Their order is not looked at then.
// It must be called before the first event.
func (r *Recorder) Share() { r.shared = true }

// Expect makes the recorder close the returned channel when n more events have come in. It must be called when nothing
// is being published to the recorder.
func (r *Recorder) Expect(n int) <-chan struct{} {
	r.done = make(chan struct{})
	r.target.Add(uint64(n))
	return r.done
}

// Handle takes in one event.
func (r *Recorder) Handle(ctx context.Context, o Order) error {
	if r.React != nil {
		return r.React(ctx, o)
	}
	if r.shared {
		if atomic.AddUint64(&r.total, 1) == r.target.Load() {
			close(r.done)
		}
		return nil
	}
	s := &r.slots[o.Publisher%MaxPublishers]
	if o.Seq != s.next {
		s.disorder++
	}
	s.next = (o.Seq + 1) % Ring
	s.count++
	if target := r.target.Load(); target > 0 {
		r.total++
		if r.total == target {
			close(r.done)
		}
	}
	return nil
}

// Count returns how many events came in. Nothing may be publishing to the recorder meanwhile.
func (r *Recorder) Count() uint64 {
	if r.shared {
		return atomic.LoadUint64(&r.total)
	}
	var n uint64
	for i := range r.slots {
		n += r.slots[i].count
	}
	return n
}

// Disorder returns how many events did not follow on the one that their publisher published before.
func (r *Recorder) Disorder() uint64 {
	var n uint64
	for i := range r.slots {
		n += r.slots[i].disorder
	}
	return n
}

// Check returns an error when the recorder has not seen exactly n events.
func (r *Recorder) Check(n uint64) error {
	if got := r.Count(); got != n {
		return fmt.Errorf("a handler got %d of %d events", got, n)
	}
	return nil
}
