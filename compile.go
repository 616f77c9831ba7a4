package events

import (
	"cmp"
	"context"
	"slices"

	"github.com/typedbus/events/internal/names"
	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/payload"
)

// nobodyHears reports whether a publish of name does nothing at all.
func (b *Bus) nobodyHears(name string) bool {
	h := b.home.Load()
	if h == nil {
		return false
	}
	// In this order: a bus that is closed has been emptied after its state was set.
	// A handler may have moved between a name and a pattern, which the generation tells.
	generation := h.generation.Load()
	return b.patterns.count.Load() == 0 && b.options.unhandled == nil && b.routes.Get(name) == nil &&
		b.state.Load() == open && h.generation.Load() == generation
}

// resolution is what a publish of a name comes to.
type resolution struct {
	plan  *plan           // what runs, or nil if nobody listens
	route *route          // of the name, or nil
	at    *origin.Context // the event at work that lets the publish in while the bus drains, or nil
}

// release ends the hold that lets a publish in while the bus drains.
func (r *resolution) release() {
	if r.at != nil {
		r.at.Release()
		r.at = nil
	}
}

// resolve finds out what a publish of name with ctx runs, by a topic or none. It
// is the one place that asks whether the bus is open. The caller releases r when
// the event has been left in the queues, and in any case.
func (b *Bus) resolve(ctx context.Context, name string, topic binding, r *resolution) (err error) {
	*r = resolution{at: r.at} // who was let in once stays so for the whole publish
	h := b.home.Load()
	if h == nil {
		h = b.begin()
	}
	state, generation := b.state.Load(), h.generation.Load()
	switch state {
	case open:
	case draining:
		if r.at != nil {
			break
		}
		if at := origin.Of(ctx); at != nil && at.Bus() == b && at.Hold() {
			r.at = at
			break
		}
		fallthrough
	default:
		return errorAt("publish", name, ErrClosed)
	}
	if r.route = b.routes.Get(name); r.route != nil {
		if p := r.route.fresh(); p != nil && p.suits(topic) {
			r.plan = p
			return nil
		}
	}
	if r.route != nil || topic.delivery.replay > 0 {
		err = b.compileRoute(h, name, topic, r)
	}
	if r.route == nil && err == nil {
		r.plan = b.compileByPatterns(h, name, topic)
	}
	if err == nil && (b.state.Load() != state || r.plan == nil && h.generation.Load() != generation) {
		// Closed meanwhile: what was found may be what is left of an emptied bus. Or a
		// handler may have moved between a name and a pattern.
		return b.resolve(ctx, name, topic, r)
	}
	if r.plan != nil && len(r.plan.inline)+len(r.plan.places) == 0 {
		r.plan = nil
	}
	return err
}

// suits reports whether the plan is one for a topic.
func (p *plan) suits(topic binding) bool {
	return topic.contract == nil || topic.contract.compiled(p) && p.declared.or(topic.delivery) == p.declared
}

// compileRoute binds the topic and makes the plan of a route. If there is no
// route any more, it leaves that to the caller.
func (b *Bus) compileRoute(h *home, name string, topic binding, found *resolution) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Load() == closed {
		return errorAt("publish", name, ErrClosed)
	}
	r := b.routes.Get(name)
	if r == nil && topic.delivery.replay > 0 {
		r = b.newRoute(h, name)
	}
	found.route = r
	if r == nil {
		return nil
	}
	if topic.contract != nil {
		if err := b.bind(name, r, topic); err != nil {
			return err
		}
	}
	if found.plan = r.fresh(); found.plan != nil {
		return nil
	}
	generation := h.generation.Load()
	hear := b.patterns.hear(name)
	r.shared = true
	p := b.compile(r, name, binding{r.contract, r.delivery}, merge(r.subscriptions, hear))
	p.generation = generation
	found.plan = p
	// A bus that drains keeps no plans, which is how publishes learn of it.
	if b.state.Load() != open {
		return nil
	}
	r.plan.Store(p)
	for _, s := range hear {
		if s.heard == nil {
			s.extras.heard = make(map[*route]struct{})
		}
		s.heard[r] = struct{}{}
	}
	return nil
}

// compileByPatterns returns the plan of a name that has no route.
func (b *Bus) compileByPatterns(h *home, name string, topic binding) *plan {
	if b.patterns.count.Load() == 0 {
		return nil
	}
	generation := h.generation.Load()
	var p *plan
	plans, place := b.patterns.heard.Load(), names.Hash(name)%uint64(len(heard{}))
	if plans != nil {
		p = plans[place].Load()
	}
	if p == nil || p.event != name || p.generation != generation || p.declared != topic.delivery || !p.suits(topic) {
		subscriptions := b.patterns.hear(name)
		if len(subscriptions) == 0 {
			return nil
		}
		slices.SortFunc(subscriptions, (*Subscription).order)
		p = b.compile(nil, name, topic, subscriptions)
		p.generation = generation
		if plans == nil {
			plans = new(heard)
			b.patterns.keep(plans, h, generation)
		}
		plans[place].Store(p)
	}
	return p
}

// compile returns the plan of a name, which may have no route, from the
// subscriptions that hear it.
func (b *Bus) compile(r *route, name string, bound binding, subscriptions []*Subscription) *plan {
	p := &plan{
		route: r, event: name, named: !b.options.unnamed,
		declared: bound.delivery, delivery: bound.delivery.or(b.options.delivery), inline: subscriptions,
	}
	if slices.ContainsFunc(subscriptions, (*Subscription).isQueued) {
		p.inline = nil
		for _, s := range subscriptions {
			if !s.isQueued() {
				p.inline = append(p.inline, s)
			}
		}
	}
	p.places = placesOf(r, subscriptions)
	for i := range p.places {
		if bound.delivery.mapPayload {
			p.places[i].asMaps = payload.StructOf(bound.contract.payloadType())
		}
	}
	p.untyped = make(handlers[Event], len(p.inline))
	for i, s := range p.inline {
		p.untyped[i] = s.handler
		if bound.delivery.mapPayload && s.direct == nil {
			p.untyped[i] = asMaps(s.handler, bound.contract.payloadType())
		}
	}
	if len(p.inline) < 2 {
		p.delivery.concurrency = 0
	}
	p.plain = len(p.places) == 0 && p.delivery.concurrency <= 1
	if bound.contract != nil {
		bound.contract.compile(p)
	}
	return p
}

// placesOf returns where a publish leaves its event for queued subscriptions
// and for what its route replays, in the order of locking.
func placesOf(r *route, subscriptions []*Subscription) (places []placed) {
	replays := r != nil && r.delivery.replay > 0
	typed, events := replays, replays
	var takers []*Subscription
	for _, s := range subscriptions {
		switch {
		case !s.isQueued():
		case s.place != nil:
			places = append(places, placed{place: s.place, takers: []*Subscription{s}})
		case s.typed:
			typed = true
			takers = append(takers, s)
		default:
			events = true
		}
	}
	if typed {
		places = append(places, placed{place: r.logs.typed.place, takers: takers})
	}
	if events {
		places = append(places, placed{place: r.logs.events.place})
	}
	slices.SortFunc(places, func(a, b placed) int { return cmp.Compare(a.gate().ID, b.gate().ID) })
	return places
}

// merge returns the subscriptions of both, the first of which is sorted, in order.
func merge(exact, patterns []*Subscription) []*Subscription {
	if len(patterns) == 0 {
		return exact
	}
	merged := slices.Concat(exact, patterns)
	slices.SortFunc(merged, (*Subscription).order)
	return merged
}
