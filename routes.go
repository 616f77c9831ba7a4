package events

import (
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/typedbus/events/internal/names"
	"github.com/typedbus/events/internal/topiclog"
)

// route is what a bus keeps of one name: who subscribed to it, and the plan
// compiled from that. Topics hold routes, which therefore hold no bus, and
// nothing at all once that is closed.
type route struct {
	home *home
	plan atomic.Pointer[plan] // nil when it has to be compiled anew

	// Guarded by bus.mu.
	subscriptions []*Subscription // exact ones, in the order in which they run
	contract      contract        // of the topic bound to the name, or nil
	delivery      delivery        // of that topic
	shared        bool            // a plan has subscriptions too, so they must not change
	logs          *logs           // for queued subscriptions, or nil
}

// fresh returns the plan, unless it is stale.
func (r *route) fresh() *plan {
	if p := r.plan.Load(); p != nil && p.generation == r.home.generation.Load() {
		return p
	}
	return nil
}

// logs are the logs of a name, each of which is nil until it is needed.
type logs struct {
	typed, events *routeLog
}

// routeLog is a log that queued subscriptions have in common.
type routeLog struct {
	place
	core *topiclog.Core
}

// binding is what a topic tells a bus of itself.
type binding struct {
	contract contract
	delivery delivery
}

// add makes s part of the bus, and binds its name to a topic if there is one:
// a binding without a contract is that of no topic.
func (b *Bus) add(s *Subscription, topic binding) (*Subscription, error) {
	if err := b.insert(s, topic); err != nil {
		return nil, err
	}
	s.watch()
	return s, nil
}

func (b *Bus) insert(s *Subscription, topic binding) error {
	h := b.at()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Load() != open {
		return errorAt("subscribe to", s.event, ErrClosed)
	}
	var r *route
	if !s.isPattern() {
		if r = b.routes.Get(s.event); r == nil {
			r = b.newRoute(h, s.event)
		}
		if topic.contract != nil {
			if err := b.bind(s.event, r, topic); err != nil {
				return err
			}
		}
	}
	b.counter++
	s.number = b.counter
	if s.extras != nil && s.open != nil {
		if r != nil {
			r.plan.Store(nil) // before there is a place that it lacks
		}
		s.open(r)
		s.open = nil
	}
	if r == nil {
		b.patterns.change(h, func() { b.patterns.tree.Insert(*s.pattern, s) })
	} else {
		r.own()
		r.subscriptions = insertSorted(r.subscriptions, s)
		r.plan.Store(nil)
	}
	if s.isQueued() {
		s.queue.Start() // no sooner: what it is replayed may beget events for it
	}
	return nil
}

// newRoute adds a route. The caller has b.mu.
func (b *Bus) newRoute(h *home, name string) *route {
	added := &names.Entry[route]{Name: name}
	added.Value.home = h
	b.routes.Put(added)
	return &added.Value
}

// remove takes s off the bus.
func (b *Bus) remove(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.isPattern() {
		b.patterns.change(b.home.Load(), func() { b.patterns.tree.Remove(*s.pattern, s) })
		// Stale plans would keep the handler alive.
		for r := range s.heard {
			r.plan.Store(nil)
		}
		s.heard = nil
		b.detachOwn(s)
		return
	}
	r := b.routes.Get(s.event)
	if r == nil {
		return
	}
	r.own()
	rest, found := deleteSorted(r.subscriptions, s)
	if !found {
		return
	}
	r.subscriptions = rest
	r.plan.Store(nil)
	b.detachOwn(s)
	if len(rest) == 0 && r.delivery.replay == 0 {
		b.retire(s.event, r)
	}
}

// own copies the subscriptions if a plan shares them.
func (r *route) own() {
	if r.shared {
		r.subscriptions = slices.Clone(r.subscriptions)
		r.shared = false
	}
}

// retire forgets a route, so that memory follows the subscriptions. Topics may
// still hold it; without a plan they look the name up again.
func (b *Bus) retire(name string, r *route) {
	b.routes.Delete(name)
	r.plan.Store(nil)
	for _, s := range b.patterns.hear(name) {
		delete(s.heard, r)
	}
	if r.logs != nil {
		for _, log := range []*routeLog{r.logs.typed, r.logs.events} {
			if log != nil {
				b.detach(log.core)
			}
		}
		r.logs = nil // a topic may still hold the route
	}
}

// bind makes topic the one of the route, or adds what it asks for.
func (b *Bus) bind(name string, r *route, topic binding) error {
	if r.contract == nil {
		r.contract = topic.contract
		r.plan.Store(nil)
	} else if have, want := r.contract.payloadType(), topic.contract.payloadType(); have != want {
		return errConflict(name, have, want)
	}
	if merged := r.delivery.or(topic.delivery); merged != r.delivery {
		r.delivery = merged
		r.plan.Store(nil)
	}
	if r.delivery.replay > 0 {
		b.logOf(r, true)
		b.logOf(r, false)
	}
	return nil
}

// logOf returns the log for typed queued subscriptions, or for untyped ones, made
// if need be.
func (b *Bus) logOf(r *route, typed bool) *routeLog {
	if r.logs == nil {
		r.logs = new(logs)
	}
	log, of := &r.logs.events, payloads(ofEvents{})
	if typed {
		log, of = &r.logs.typed, r.contract
	}
	if *log == nil {
		*log = new(routeLog)
		(*log).place, (*log).core = of.newLog()
		b.keep((*log).core)
	}
	(*log).core.Retain(int(r.delivery.replay))
	return *log
}

// contract is what a route knows of the topic bound to it.
type contract interface {
	payloadType() reflect.Type
	compile(p *plan)
	compiled(p *plan) bool // whether p is of a topic with this contract
	payloads
}
