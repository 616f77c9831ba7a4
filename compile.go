package events

import (
	"context"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/typedbus/events/internal/pattern"
)

// patternSet is the immutable set of subscriptions to patterns.
type patternSet struct {
	subscriptions []*Subscription // in the order in which they run

	// Plans of names that only patterns hear. Their number is fixed, so that
	// names that come and go leave nothing behind.
	plans [256]atomic.Pointer[plan]
}

func (p *patternSet) matches(name string) bool {
	return slices.ContainsFunc(p.subscriptions, func(s *Subscription) bool { return s.pattern.Match(name) })
}

func (b *Bus) patternsLocked() []*Subscription {
	if p := b.patterns.Load(); p != nil {
		return p.subscriptions
	}
	return nil
}

// setPatternsLocked replaces the subscriptions to patterns, of which one for
// changed has come or gone.
func (b *Bus) setPatternsLocked(subscriptions []*Subscription, changed *pattern.Pattern) {
	if len(subscriptions) == 0 {
		b.patterns.Store(nil)
	} else {
		b.patterns.Store(&patternSet{subscriptions: subscriptions})
	}
	for r := range b.routes.all {
		if changed.Match(r.name) {
			r.plan.Store(nil)
		}
	}
}

// planFor returns what a publish of name runs, or nil if nobody listens.
func (b *Bus) planFor(ctx context.Context, name string) (*plan, error) {
	if r := b.routes.get(name); r != nil {
		if p := r.plan.Load(); p != nil {
			return p, nil
		}
		p, _, err := b.compile(ctx, name, nil)
		return p, err
	}
	return b.planByPatterns(ctx, name)
}

// planForTopic is planFor, for a topic that is to be bound to its name. The
// route is nil if the bus keeps none.
func (b *Bus) planForTopic(ctx context.Context, topic *binding) (*plan, *route, error) {
	r := b.routes.get(topic.name)
	if r == nil {
		patterns := b.patterns.Load()
		if patterns == nil || topic.options.isZero() || !patterns.matches(topic.name) {
			p, err := b.planByPatterns(ctx, topic.name)
			return p, nil, err
		}
	} else if p := r.plan.Load(); p != nil && p.payload == topic.contract.payloadType() && p.options.include(topic.options) {
		return p, r, nil
	}
	return b.compile(ctx, topic.name, topic)
}

// planByPatterns returns the plan of a name that has no route.
func (b *Bus) planByPatterns(ctx context.Context, name string) (*plan, error) {
	if b.state.Load() != open && !b.admits(ctx) {
		return nil, errorAt("publish", name, ErrClosed)
	}
	patterns := b.patterns.Load()
	if patterns == nil {
		return nil, nil
	}
	slot := &patterns.plans[maphash.String(nameSeed, name)%uint64(len(patterns.plans))]
	p := slot.Load()
	if p == nil || p.event != name {
		p = newPlan(b, name, nil, topicOptions{}, patterns.subscriptions)
		slot.Store(p)
	}
	return p.orNil(), nil
}

// compile binds the topic, if there is one, and makes the plan of a route.
func (b *Bus) compile(ctx context.Context, name string, topic *binding) (*plan, *route, error) {
	inside := false
	if b.state.Load() != open {
		if !b.admits(ctx) {
			return nil, nil, errorAt("publish", name, ErrClosed)
		}
		inside = true
	}
	b.mu.Lock()
	if b.state.Load() != open && !inside {
		// Closed just now: ask again, without the lock, whether ctx is admitted.
		b.mu.Unlock()
		return b.compile(ctx, name, topic)
	}
	defer b.mu.Unlock()
	r := b.routes.get(name)
	if r == nil {
		if topic == nil {
			// Retired since the caller looked.
			return newPlan(b, name, nil, topicOptions{}, b.patternsLocked()).orNil(), nil, nil
		}
		r = b.routeLocked(name)
	}
	if topic != nil {
		if err := r.bindLocked(topic); err != nil {
			return nil, nil, err
		}
	}
	p := r.plan.Load()
	if p == nil {
		p = newPlan(b, name, r.contract, r.options, merge(r.subscriptions, b.patternsLocked()))
		// A bus that closes has no plans, which is how publishes learn of it.
		if b.state.Load() == open {
			r.plan.Store(p)
		}
	}
	return p.orNil(), r, nil
}

// newPlan compiles the plan of a name from those of the subscriptions that
// hear it.
func newPlan(b *Bus, name string, bound contract, options topicOptions, subscriptions []*Subscription) *plan {
	p := &plan{bus: b, event: name, options: options, delivery: options.delivery.or(b.options.delivery)}
	for _, s := range subscriptions {
		if s.pattern == nil || s.pattern.Match(name) {
			p.subscriptions = append(p.subscriptions, s)
		}
	}
	p.untyped = sequence[Event]{plan: p, handlers: make([]func(context.Context, Event) error, len(p.subscriptions))}
	for i, s := range p.subscriptions {
		p.untyped.handlers[i] = s.handler
		if options.mapPayload && !s.typed {
			p.untyped.handlers[i] = asMaps(s.handler, bound.payloadType())
		}
	}
	if bound != nil {
		p.payload = bound.payloadType()
		bound.compile(p)
	}
	return p
}

// orNil returns nil for a plan that runs nothing.
func (p *plan) orNil() *plan {
	if len(p.subscriptions) == 0 {
		return nil
	}
	return p
}

// insertSorted returns a copy of sorted subscriptions with s in its place.
func insertSorted(sorted []*Subscription, s *Subscription) []*Subscription {
	place, _ := inOrder(sorted, s)
	return slices.Insert(slices.Clone(sorted), place, s)
}

// merge returns the subscriptions of both, each of which is sorted, in order.
func merge(exact, patterns []*Subscription) []*Subscription {
	if len(patterns) == 0 {
		return exact
	}
	merged := slices.Concat(exact, patterns)
	slices.SortFunc(merged, (*Subscription).order)
	return merged
}
