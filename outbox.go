package events

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/typedbus/events/internal/topiclog"
)

// outbox is where a publish leaves its event for queued subscriptions: in the
// log of the topic, in that of the untyped subscriptions to the name, and in
// those of patterns.
type outbox struct {
	gates  []*topiclog.Gate // of all the logs, in the order of locking
	typed  typedLog         // nil if no typed subscription is queued
	events []*topiclog.Log[entry[Event]]

	takers []*Subscription // of typed, for a payload that they cannot take
	asMaps reflect.Type    // the struct that untyped handlers are to see as a map, or nil
}

// typedLog is the log of a topic.
type typedLog interface {
	gate() *topiclog.Gate
	retain(n int)
	convert(event Event) (payload any, err error)
	append(ctx context.Context, payload any)
}

// topicLog is the log of the topics whose payload is T.
type topicLog[T any] struct {
	*topiclog.Log[entry[T]]
}

func (l topicLog[T]) gate() *topiclog.Gate { return &l.Gate }
func (l topicLog[T]) retain(n int)         { l.Retain(n) }

func (l topicLog[T]) convert(event Event) (any, error) {
	var payload T
	var err error
	if panicked := guard(func() { payload, err = payloadOf[T](event) }); panicked != nil {
		err = panicked // of a method of T that reads it
	}
	return entry[T]{payload: payload}, err
}

func (l topicLog[T]) append(ctx context.Context, payload any) {
	e := payload.(entry[T])
	e.ctx = ctx
	l.Append(e)
}

// logOf returns the log of a route that a topic with payload T is bound to.
func logOf[T any](r *route) *topiclog.Log[entry[T]] {
	return r.logs.typed.(topicLog[T]).Log
}

// newOutbox returns the outbox for the queued subscriptions that hear a name,
// and for what its route replays. It returns nil if neither needs one.
func newOutbox(r *route, queued []*Subscription) *outbox {
	o := new(outbox)
	replays := r != nil && r.delivery.replay > 0
	events := replays
	for _, s := range queued {
		switch {
		case s.pattern != nil:
			o.add(s.more.log)
		case s.typed:
			o.takers = append(o.takers, s)
		default:
			events = true
		}
	}
	if events {
		o.add(r.logs.events)
	}
	if replays || len(o.takers) > 0 {
		o.typed = r.logs.typed
		o.gates = append(o.gates, o.typed.gate())
	}
	if len(o.gates) == 0 {
		return nil
	}
	slices.SortFunc(o.gates, func(a, b *topiclog.Gate) int { return cmp.Compare(a.ID, b.ID) })
	return o
}

func (o *outbox) add(log *topiclog.Log[entry[Event]]) {
	o.events = append(o.events, log)
	o.gates = append(o.gates, &log.Gate)
}

func (o *outbox) lock() {
	for _, g := range o.gates {
		g.Lock()
	}
}

func (o *outbox) unlock() {
	for _, g := range o.gates {
		g.Unlock()
	}
}

// full returns a cursor without room, one that rejects before one that blocks.
func (o *outbox) full() *topiclog.Position {
	var full *topiclog.Position
	for _, g := range o.gates {
		if p := g.Full(); p != nil && (full == nil || p.Policy() == topiclog.Reject) {
			full = p
		}
	}
	return full
}

// put appends an untyped event for the subscriptions that take one.
func (o *outbox) put(ctx context.Context, event Event) {
	for _, log := range o.events {
		log.Append(entry[Event]{ctx: ctx, payload: event})
	}
}

// asMap is a payload that untyped handlers are to see as a map.
type asMap struct{ payload any }

// tryReserve locks the outbox of p if it is one log with room for one event.
func (b *Bus) tryReserve(p *plan) bool {
	if gates := p.outbox.gates; len(gates) == 1 {
		gates[0].Lock()
		if gates[0].Full() == nil && b.state.Load() == open {
			return true
		}
		gates[0].Unlock()
	}
	return false
}

// turn is the turn to use the room in a queue, which has come to a publisher
// that waited. It is used or passed on.
type turn struct{ at *topiclog.Position }

func (t *turn) pass() {
	if t.at != nil {
		t.at.Pass()
		t.at = nil
	}
}

// reserve locks the outbox of p with room for one event. If there is none it
// waits as long as ctx allows and reports false: the publish begins anew, with
// the handlers that are subscribed by then.
func (b *Bus) reserve(ctx context.Context, p *plan, turn *turn) (bool, error) {
	if b.tryReserve(p) {
		turn.at = nil
		return true, nil
	}
	full, err := b.reserveNow(ctx, p)
	for yields := 0; full != nil && yields < patience; yields++ {
		if full.HasRoom() {
			full, err = b.reserveNow(ctx, p)
			continue
		}
		runtime.Gosched()
	}
	if full == nil {
		if err == nil {
			turn.at = nil
		}
		return err == nil, err
	}
	p.outbox.lock()
	room := full.Wait()
	p.outbox.unlock()
	if room == nil {
		return false, nil
	}
	if turn.at != full {
		turn.pass()
	}
	turn.at = nil
	if err := b.awaitRoom(ctx, p.event, full, room); err != nil {
		full.Leave(room)
		return false, err
	}
	turn.at = full
	return false, nil
}

// reserveNow locks the outbox of p, or returns a cursor that has no room.
func (b *Bus) reserveNow(ctx context.Context, p *plan) (full *topiclog.Position, err error) {
	p.outbox.lock()
	if state := b.state.Load(); state != open {
		p.outbox.unlock()
		if state == closed || !b.admits(ctx) {
			return nil, errorAt("publish", p.event, ErrClosed)
		}
		p.outbox.lock()
		if b.state.Load() == closed {
			p.outbox.unlock()
			return nil, errorAt("publish", p.event, ErrClosed)
		}
	}
	if full = p.outbox.full(); full != nil {
		p.outbox.unlock()
		if full.Policy() == topiclog.Reject {
			err = fmt.Errorf("events: publish %q to %s: %w", p.event, full.Owner.(*Subscription).Name(), ErrFull)
			return nil, err
		}
	}
	return full, nil
}

// slowPublish is how long a publisher waits before that is reported.
const slowPublish = time.Second

// awaitRoom waits for room in a queue.
func (b *Bus) awaitRoom(ctx context.Context, event string, full *topiclog.Position, room <-chan struct{}) error {
	holder := full.Owner.(*Subscription)
	fail := func(err error) error {
		return fmt.Errorf("events: publish %q to %s, whose queue is full: %w", event, holder.Name(), err)
	}
	done, closing := (<-chan struct{})(nil), b.closing()
	if ctx != nil {
		done = ctx.Done()
	}
	var publisher *worker
	if h := handling(ctx); h != nil {
		publisher = h.worker
		if h.bus == b {
			closing = b.lifetime().Done()
			b.activity.waiting.Add(1)
			b.changed()
			defer b.activity.waiting.Add(-1)
		}
	}
	if publisher != nil {
		stuck := !publisher.waitFor(holder)
		defer publisher.waitNoMore(holder)
		if stuck && !full.HasRoom() {
			return fail(ErrDeadlock)
		}
	}
	slow := time.NewTimer(slowPublish)
	defer slow.Stop()
	for reported := false; ; reported = true {
		select {
		case <-room:
			return nil
		case <-done:
			return fail(context.Cause(ctx))
		case <-closing:
			return fail(ErrClosed)
		case <-slow.C:
			if publisher != nil && !full.HasRoom() && publisher.isStuck(holder) {
				return fail(ErrDeadlock)
			}
			if !reported {
				b.logger().WarnContext(orBackground(ctx), "publisher waits for a full queue",
					"event", event, "handler", holder.Name(), "waited", slowPublish)
			}
			slow.Reset(slowPublish)
		}
	}
}

// post publishes an untyped event that queued handlers may hear.
func (b *Bus) post(ctx context.Context, event Event) error {
	var turn turn
	defer turn.pass()
	for {
		p, err := b.planFor(ctx, event.Name)
		if p == nil || p.outbox == nil {
			return b.dispatch(ctx, p, event, err)
		}
		refused, payload := p.convert(event)
		if refused != nil && p.delivery.failFast {
			return refused[0]
		}
		if refused != nil {
			p = p.withoutTyped()
		}
		reserved, err := b.reserve(ctx, p, &turn)
		if err != nil {
			return err
		}
		if !reserved {
			continue
		}
		p.leave(ctx, event, payload)
		if err := p.dispatch(ctx, event); err != nil {
			refused = append(refused, err)
		}
		return join(refused)
	}
}

// leave puts an untyped event in the outbox, which is locked, and unlocks it.
func (p *plan) leave(ctx context.Context, event Event, payload any) {
	if payload != nil {
		p.outbox.typed.append(ctx, payload)
	}
	if p.outbox.asMaps != nil && event.Data != nil && structOf(reflect.TypeOf(event.Data)) == p.outbox.asMaps {
		event.Data = asMap{event.Data}
	}
	p.outbox.put(ctx, event)
	p.outbox.unlock()
}

// convert returns an event's payload for the topic's log, or nil and what each
// of its subscriptions is to be told.
func (p *plan) convert(event Event) (refused []error, payload any) {
	if p.outbox.typed == nil {
		return nil, nil
	}
	payload, err := p.outbox.typed.convert(event)
	if err == nil {
		return nil, payload
	}
	for _, s := range p.outbox.takers {
		refused = append(refused, &HandlerError{Event: p.event, Handler: s.Name(), Err: err})
	}
	return refused, nil
}

// postAsync leaves an untyped event in the outbox, at once if there is room,
// and has the rest done by a worker.
func (p *plan) postAsync(ctx context.Context, b *Bus, event Event) error {
	refused, payload := p.convert(event)
	if refused != nil && p.delivery.failFast {
		return refused[0]
	}
	if refused != nil {
		p = p.withoutTyped()
	}
	full, err := b.reserveNow(ctx, p)
	if err != nil {
		return err
	}
	if refused != nil {
		defer b.report(ctx, join(refused))
	}
	t := task{ctx: ctx, plan: p, event: event}
	if full == nil {
		if len(p.subscriptions) > 0 {
			err = b.accept(t, true)
		}
		p.leave(ctx, event, payload)
		return err
	}
	t.post = func(ctx context.Context) error {
		err := b.awaitReserved(ctx, p)
		if err == nil {
			p.leave(ctx, event, payload)
		}
		return err
	}
	return b.publishAsync(t)
}

// withoutTyped returns the plan of an event that the topic's handlers cannot
// take: they neither get it nor have others wait for their queues.
func (p *plan) withoutTyped() *plan {
	untyped, rest := *p, *p.outbox
	gate := rest.typed.gate()
	rest.typed, rest.takers = nil, nil
	rest.gates = slices.DeleteFunc(slices.Clone(rest.gates), func(g *topiclog.Gate) bool { return g == gate })
	untyped.outbox = &rest
	return &untyped
}

// awaitReserved is reserve for a worker, which keeps to the plan of when the
// event was published. A queued handler that has since subscribed through the
// topic gets the event, too.
func (b *Bus) awaitReserved(ctx context.Context, p *plan) error {
	var turn turn
	defer turn.pass()
	for {
		if reserved, err := b.reserve(ctx, p, &turn); reserved || err != nil {
			return err
		}
	}
}
