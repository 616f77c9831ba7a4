package events

import (
	"context"
	"reflect"

	"github.com/typedbus/events/internal/payload"
	"github.com/typedbus/events/internal/topiclog"
)

// place is where a publish leaves its event for queued subscriptions.
type place interface {
	gate() *topiclog.Gate
	// prepare reads the event's payload, and its key, for this place, by the
	// user's code. mapped is the event as untyped handlers get it.
	prepare(event, mapped Event) (prepared, error)
	// put adds the event, under the lock, when there is room.
	put(ctx context.Context, event Event, p prepared)
	// entry returns the event for who makes room to add it.
	entry(ctx context.Context, event Event, p prepared) any
}

// placed is a place in a plan.
type placed struct {
	place
	takers []*Subscription // who is to be told of an event that cannot be prepared
	asMaps reflect.Type    // the struct that untyped handlers are to see as a map, or nil
}

// prepared is what a place adds.
type prepared struct {
	payload any // a T for a place of Ts
	key     string
	refused bool // it is nothing for this place
}

// parcel is an event on its way into the places of a plan, in which it is left
// all at once or not at all.
type parcel struct {
	*plan
	event   Event       // as untyped places get it
	few     [4]prepared // one for each place
	many    []prepared  // in place of few if there are more
	refused []error     // of those who cannot take it
}

// at returns what was prepared for a place.
func (c *parcel) at(i int) *prepared {
	if c.many != nil {
		return &c.many[i]
	}
	return &c.few[i]
}

// fill prepares an event. Whoever cannot take it neither gets it nor has others
// wait for a queue.
func (c *parcel) fill(p *plan, event Event) {
	*c = parcel{plan: p, event: event}
	if len(p.places) > len(c.few) {
		c.many = make([]prepared, len(p.places))
	}
	// What is a map for one untyped handler is one for all.
	if want := p.places[0].asMaps; want != nil && event.Data != nil && payload.StructOf(reflect.TypeOf(event.Data)) == want {
		c.event.Data = asMap{event.Data}
	}
	for i, at := range p.places {
		ready, err := prepare(at, event, c.event)
		if ready.refused = err != nil; ready.refused {
			for _, s := range at.takers {
				c.refused = append(c.refused, &HandlerError{Event: p.event, Handler: s.Name(), Err: err, named: p.named})
			}
		}
		*c.at(i) = ready
	}
}

// prepare is that of a place, whose panic is an error.
func prepare(at placed, event, mapped Event) (ready prepared, err error) {
	panicked := guard(func() { ready, err = at.prepare(event, mapped) })
	if panicked != nil {
		err = panicked
	}
	return ready, err
}

func (c *parcel) each(f func(i int, at placed) bool) {
	for i, at := range c.places {
		if !c.at(i).refused && !f(i, at) {
			return
		}
	}
}

// reserve locks the places if all of them have room, and otherwise says which
// one has not, or that a publisher is not let in.
func (c *parcel) reserve(w *topiclog.Waiter, admitted bool) (verdict topiclog.Verdict, full *topiclog.Options, at place) {
	c.each(func(_ int, p placed) bool {
		p.gate().Lock()
		v, f := p.gate().Ask(w, admitted)
		if v == topiclog.NoEntry || v == topiclog.NoRoom && (full == nil || f.Policy == topiclog.Reject) {
			verdict, full, at = v, f, p.place
		}
		return verdict != topiclog.NoEntry
	})
	if verdict != topiclog.Room {
		c.each(func(_ int, p placed) bool {
			p.gate().Unlock()
			return verdict != topiclog.NoEntry || p.gate() != at.gate()
		})
	}
	return verdict, full, at
}

// leave adds the event to the places, which are reserved, and unlocks them.
func (c *parcel) leave(ctx context.Context) {
	c.each(func(i int, at placed) bool {
		at.put(ctx, c.event, *c.at(i))
		return true
	})
	c.unlock()
}

// unlock unlocks the places, which are reserved.
func (c *parcel) unlock() {
	c.each(func(_ int, at placed) bool {
		at.gate().Unlock()
		return true
	})
}

// publish resolves the name, leaves the event in the queues and runs the inline
// handlers.
func (b *Bus) publish(ctx context.Context, event Event, topic binding) error {
	var wait waiting
	var r resolution
	defer wait.leave()
	defer r.release() // also if the user's code ends the goroutine
	for {
		if err := b.resolve(ctx, event.Name, topic, &r); err != nil {
			return err
		}
		if r.plan == nil {
			r.release()
			b.undelivered(ctx, event)
			return nil
		}
		if len(r.plan.places) == 0 {
			r.release()
			return r.plan.dispatch(ctx, event)
		}
		var c parcel
		c.fill(r.plan, event)
		if c.refused != nil && r.plan.delivery.failFast {
			return c.refused[0]
		}
		done, err := b.enqueue(ctx, &c, r.at != nil, &wait)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		r.release()
		if err := r.plan.dispatch(ctx, event); err != nil {
			c.refused = append(c.refused, err)
		}
		return join(c.refused)
	}
}

// enqueue leaves a parcel in its places, and waits for room if need be. It
// reports false if the plan has to be looked up again.
func (b *Bus) enqueue(ctx context.Context, c *parcel, admitted bool, wait *waiting) (done bool, err error) {
	for {
		verdict, full, at := c.reserve(wait.waiter, admitted)
		switch {
		case verdict == topiclog.Room && !admitted && b.state.Load() == open && !c.isFresh(b):
			c.unlock()
			wait.leave()
			return false, nil
		case verdict == topiclog.Room:
			c.leave(ctx)
			wait.leave()
			return true, nil
		case verdict == topiclog.NoEntry:
			wait.leave()
			return false, nil
		case full.Policy == topiclog.Reject:
			wait.leave() // before anybody is told
			return false, &QueueError{Operation: "publish", Event: c.plan.event, Handler: full.Owner.(*Subscription).Name(), Err: ErrFull}
		}
		switch outcome, err := b.await(ctx, c, at, admitted, wait); {
		case err != nil:
			return false, err
		case outcome == topiclog.Added:
			return true, nil
		case !c.isFresh(b):
			wait.leave()
			return false, nil
		}
	}
}

// isFresh reports whether the plan is still the one of its name.
func (p *plan) isFresh(b *Bus) bool {
	if p.route == nil {
		return b.home.Load().generation.Load() == p.generation && b.routes.Get(p.event) == nil
	}
	return p.isOfItsRoute()
}

// isOfItsRoute is isFresh for a plan that has a route.
func (p *plan) isOfItsRoute() bool { return p.route.fresh() == p }

// undelivered tells of an event that nobody heard.
func (b *Bus) undelivered(ctx context.Context, event Event) {
	if b.options.unhandled == nil {
		return
	}
	if err := guard(func() { b.options.unhandled(ctx, event) }); err != nil {
		b.report(ctx, &HandlerError{Event: event.Name, Handler: "WithUnhandled", Err: err, named: !b.options.unnamed})
	}
}
