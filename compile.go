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

// heardBy returns the subscriptions whose pattern matches name.
func (p *patternSet) heardBy(name string) []*Subscription {
	if p == nil {
		return nil
	}
	var heard []*Subscription
	for _, s := range p.subscriptions {
		if s.pattern.Match(name) {
			heard = append(heard, s)
		}
	}
	return heard
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

// deaf reports whether a publish of name does nothing at all.
func (b *Bus) deaf(name string) bool {
	return b.patterns.Load() == nil && b.options.unhandled == nil && b.state.Load() == open && b.routes.get(name) == nil
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
	return b.planByPatterns(ctx, name, nil)
}

// planForTopic is planFor, for a topic that is to be bound to its name. The
// route is nil if the bus keeps none.
func (b *Bus) planForTopic(ctx context.Context, topic *binding) (*plan, *route, error) {
	r := b.routes.get(topic.name)
	if r == nil && topic.delivery.replay > 0 {
		return b.compile(ctx, topic.name, topic)
	}
	if r == nil {
		p, err := b.planByPatterns(ctx, topic.name, topic)
		return p, nil, err
	}
	if p := r.plan.Load(); p != nil && topic.contract.compiled(p) && p.declared.or(topic.delivery) == p.declared {
		return p, r, nil
	}
	return b.compile(ctx, topic.name, topic)
}

// planByPatterns returns the plan of a name that has no route, published by a
// topic or not.
func (b *Bus) planByPatterns(ctx context.Context, name string, topic *binding) (*plan, error) {
	if b.state.Load() != open && !b.admits(ctx) {
		return nil, errorAt("publish", name, ErrClosed)
	}
	patterns := b.patterns.Load()
	if patterns == nil {
		return nil, nil
	}
	var bound contract
	var declared delivery
	if topic != nil {
		bound, declared = topic.contract, topic.delivery
	}
	slot := &patterns.plans[maphash.String(nameSeed, name)%uint64(len(patterns.plans))]
	p := slot.Load()
	if p == nil || p.event != name || p.declared != declared || bound != nil && !bound.compiled(p) {
		p = newPlan(b, nil, name, bound, declared, patterns.heardBy(name))
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
	r := b.routes.get(name)
	if r == nil && topic != nil && topic.delivery.replay > 0 {
		r = b.routeLocked(name)
	}
	if r == nil {
		// Retired since the caller looked.
		b.mu.Unlock()
		p, err := b.planByPatterns(ctx, name, topic)
		return p, nil, err
	}
	defer b.mu.Unlock()
	if topic != nil {
		if err := r.bindLocked(topic); err != nil {
			return nil, nil, err
		}
	}
	p := r.plan.Load()
	if p == nil {
		r.shared = true
		p = newPlan(b, r, name, r.contract, r.delivery, merge(r.subscriptions, b.patterns.Load().heardBy(name)))
		// A bus that closes has no plans, which is how publishes learn of it.
		if b.state.Load() == open {
			r.plan.Store(p)
		}
	}
	return p.orNil(), r, nil
}

// newPlan compiles the plan of a name, which may have no route, from the
// subscriptions that hear it.
func newPlan(b *Bus, r *route, name string, bound contract, declared delivery, subscriptions []*Subscription) *plan {
	p := &plan{event: name, declared: declared, delivery: declared.or(b.options.delivery), subscriptions: subscriptions}
	if slices.ContainsFunc(subscriptions, (*Subscription).isQueued) {
		p.subscriptions = nil
		var queued []*Subscription
		for _, s := range subscriptions {
			if s.isQueued() {
				queued = append(queued, s)
			} else {
				p.subscriptions = append(p.subscriptions, s)
			}
		}
		p.outbox = newOutbox(r, queued)
	} else if declared.replay > 0 {
		p.outbox = newOutbox(r, nil)
	}
	if p.outbox != nil && declared.mapPayload {
		p.outbox.asMaps = structOf(bound.payloadType())
	}
	p.untyped = make(handlers[Event], len(p.subscriptions))
	for i, s := range p.subscriptions {
		p.untyped[i] = s.handler
		if declared.mapPayload && !s.typed {
			p.untyped[i] = asMaps(s.handler, bound.payloadType())
		}
	}
	if len(p.subscriptions) < 2 {
		p.delivery.concurrency = 0
	}
	if bound != nil {
		bound.compile(p)
	}
	return p
}

// orNil returns nil for a plan that does nothing.
func (p *plan) orNil() *plan {
	if len(p.subscriptions) == 0 && p.outbox == nil {
		return nil
	}
	return p
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
