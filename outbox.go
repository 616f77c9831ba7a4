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
	payload, err := payloadOf[T](event)
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

// reserve locks the outbox of p with room for one event, for which it waits as
// long as ctx allows.
func (b *Bus) reserve(ctx context.Context, p *plan) error {
	if b.tryReserve(p) {
		return nil
	}
	_, err := b.reserveSlowly(ctx, p, true)
	return err
}

// reserveNow is reserve without waiting, and reports false instead.
func (b *Bus) reserveNow(ctx context.Context, p *plan) (bool, error) {
	if b.tryReserve(p) {
		return true, nil
	}
	return b.reserveSlowly(ctx, p, false)
}

func (b *Bus) reserveSlowly(ctx context.Context, p *plan, wait bool) (reserved bool, err error) {
	latest := b.counter.Load()
	var admitted, waited bool
	var turn *topiclog.Position // the queue that has room for this publisher next
	defer func() {
		if turn != nil && !reserved {
			turn.Pass()
		}
	}()
	for yields := 0; ; {
		p.outbox.lock()
		if state := b.state.Load(); state == closed || state == draining && !admitted {
			p.outbox.unlock()
			if admitted = b.admits(ctx); !admitted {
				return false, errorAt("publish", p.event, ErrClosed)
			}
			continue
		}
		full := p.outbox.full()
		if full == nil {
			if waited {
				p.outbox.skip(latest)
			}
			return true, nil
		}
		if full.Policy() == topiclog.Reject {
			p.outbox.unlock()
			return false, fmt.Errorf("events: publish %q to %s: %w", p.event, full.Owner.(*Subscription).Name(), ErrFull)
		}
		if !wait {
			p.outbox.unlock()
			return false, nil
		}
		waited = true
		if yields < patience {
			p.outbox.unlock()
			for ; yields < patience && !full.HasRoom(); yields++ {
				runtime.Gosched()
			}
			yields++
			continue
		}
		yields = 0
		room := full.Wait()
		p.outbox.unlock()
		if room == nil {
			continue
		}
		if turn != nil && turn != full {
			turn.Pass()
		}
		turn = nil
		if err := b.awaitRoom(ctx, p.event, full, room); err != nil {
			full.Leave(room)
			return false, err
		}
		turn = full
	}
}

// skip keeps the next event from subscriptions that were made while its
// publisher waited.
func (o *outbox) skip(latest uint64) {
	for _, g := range o.gates {
		g.Skip(func(owner any) bool { return owner.(*Subscription).number > latest })
	}
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
		}
	}
	if publisher != nil {
		if !publisher.waitFor(holder) {
			return fail(ErrDeadlock)
		}
		defer publisher.waitNoMore(holder)
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
			if publisher != nil && publisher.isStuck(holder) {
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

// post leaves an untyped event in the outbox and runs the inline handlers.
func (p *plan) post(ctx context.Context, b *Bus, event Event) error {
	refused, payload := p.convert(event)
	if refused != nil && p.delivery.failFast {
		return refused[0]
	}
	if err := b.reserve(ctx, p); err != nil {
		return err
	}
	p.leave(ctx, event, payload)
	if err := p.dispatch(ctx, event); err != nil {
		refused = append(refused, err)
	}
	return join(refused)
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
	reserved, err := b.reserveNow(ctx, p)
	if err != nil {
		return err
	}
	t := task{ctx: ctx, plan: p, event: event}
	if refused != nil {
		defer b.report(ctx, join(refused))
	}
	if reserved {
		if len(p.subscriptions) > 0 {
			err = b.accept(t, true)
		}
		p.leave(ctx, event, payload)
		return err
	}
	t.post = func(ctx context.Context) error {
		err := b.reserve(ctx, p)
		if err == nil {
			p.leave(ctx, event, payload)
		}
		return err
	}
	return b.publishAsync(t)
}
