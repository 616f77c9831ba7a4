package events

import (
	"context"
	"maps"
	"slices"

	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// part is something that Close waits for: a log with all its readers, a queue
// by keys, or the asynchronous work. Each owns its counts, under its own lock.
type part interface {
	// Seal refuses outsiders from now on.
	Seal()
	// Shut refuses everyone from now on.
	Shut()
	// Idle waits until nothing that was accepted is left, and returns how much
	// was accepted until that moment.
	Idle(ctx context.Context) (accepted uint64, err error)
	// Left returns what is queued and at work.
	Left() []topiclog.Left
	// EndAll ends the goroutines and returns what was left,
	// which is dropped or not.
	EndAll(drop bool) []topiclog.Left
	// Done waits until the goroutines have ended.
	Done(ctx context.Context) error
	// Unused reports whether no goroutine reads from the part, nor will.
	Unused() bool
}

// asyncPart is the asynchronous work.
type asyncPart struct{ bus *Bus }

func (p asyncPart) Seal()                                    { p.bus.async.Seal() }
func (p asyncPart) Shut()                                    { p.bus.async.Shut() }
func (p asyncPart) Idle(ctx context.Context) (uint64, error) { return p.bus.async.Idle(ctx) }
func (p asyncPart) Done(ctx context.Context) error           { return p.bus.async.Done(ctx) }
func (p asyncPart) Unused() bool                             { return false }

func (p asyncPart) Left() []topiclog.Left {
	if n := p.bus.async.Len(); n > 0 {
		return []topiclog.Left{{AtWork: n}}
	}
	return nil
}

func (p asyncPart) EndAll(bool) []topiclog.Left {
	dropped, running := p.bus.async.End()
	if dropped+running == 0 {
		return nil
	}
	return []topiclog.Left{{Queued: dropped, AtWork: running}}
}

// keep has Close wait for a part. The caller has b.mu.
func (b *Bus) keep(p part) part {
	b.parts[p] = false
	return p
}

// detachOwn detaches the part that is of s alone, if there is one.
func (b *Bus) detachOwn(s *Subscription) {
	if s.isQueued() && s.place != nil {
		b.detach(s.part)
	}
}

// detach notes that nobody will add to a part any more. The caller has b.mu.
func (b *Bus) detach(p part) {
	if _, known := b.parts[p]; known {
		b.parts[p] = true
		b.drop(p)
	}
}

// drop forgets a part that is of no more use. The caller has b.mu.
func (b *Bus) drop(p part) {
	if b.parts[p] && p.Unused() {
		delete(b.parts, p)
	}
}

// forget is drop for a goroutine that has ended.
func (b *Bus) forget(p part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(p)
}

func (b *Bus) allParts() []part {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.parts))
}

// settle waits until everything that was accepted is handled: until two rounds
// in a row find each part idle and with the same number accepted. Then no event
// can have moved from a part that was yet to be asked to one that had been.
func (b *Bus) settle(ctx context.Context) error {
	var before map[part]uint64
	for {
		now := make(map[part]uint64)
		for _, p := range b.allParts() {
			accepted, err := p.Idle(ctx)
			if err != nil {
				return err
			}
			now[p] = accepted
		}
		if before != nil && maps.Equal(before, now) {
			return nil
		}
		before = now
	}
}

// groups returns the goroutines that run handlers of the bus.
func (b *Bus) groups() []*waitgraph.Group {
	groups := []*waitgraph.Group{&b.async.Group}
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.parts {
		for _, l := range p.Left() {
			if s, ok := l.Owner.(*Subscription); ok {
				groups = append(groups, s.queue.Group())
			}
		}
	}
	return groups
}
