package events

import (
	"context"
	"fmt"
	"time"

	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// How long somebody waits before it is asked for the first time, and from then
// on, whether that wait can ever end. To ask at once would cost every short
// wait some microseconds.
const (
	recheckFirst = time.Millisecond
	recheckEvery = time.Second
)

// nextRecheck returns how long it is until a wait has lasted whole intervals.
func nextRecheck(since time.Time) time.Duration { return recheckEvery - time.Since(since)%recheckEvery }

func newRecheck() *time.Timer { return time.NewTimer(recheckFirst) }

// waiting is the wait of one publish for room, which may be for several queues
// in turn. The zero waiting has not begun.
type waiting struct {
	waiter *topiclog.Waiter
	since  time.Time
	slow   bool // it has lasted so long that it was to be reported
}

// leave gives up the place in a line.
func (w *waiting) leave() {
	if w.waiter != nil {
		w.waiter.Leave()
	}
}

// await waits in the line of a place without room, until that has some or the
// parcel is in it.
func (b *Bus) await(ctx context.Context, c *parcel, at place, admitted bool, wait *waiting) (topiclog.Outcome, error) {
	if wait.waiter == nil {
		wait.waiter = &topiclog.Waiter{Woken: make(chan topiclog.Outcome, 1)}
		wait.since = time.Now()
	}
	w, request := wait.waiter, topiclog.Request{Admitted: admitted}
	if i, alone := c.onlyPlace(); alone {
		p := c.plan
		request.Entry, request.Key = at.entry(ctx, c.event, *c.at(i)), c.at(i).key
		request.Fresh = func() bool { return p.isFresh(b) }
	}
	gate := at.gate()
	gate.Wait(w, request)
	again := newRecheck()
	defer again.Stop()
	var graph *waitgraph.Wait
	defer func() { graph.Over() }()
	for {
		var cause error
		select {
		case outcome := <-w.Woken:
			return b.outcome(c, outcome)
		case <-ctx.Done():
			cause = context.Cause(ctx)
		case <-again.C:
			again.Reset(nextRecheck(wait.since))
			graph.Over()
			full, _ := gate.FullQueue()
			if full == nil {
				graph = nil
				continue
			}
			holder := full.Owner.(*Subscription)
			if graph = waitgraph.ForRoom(holder.group(), func() bool { return gate.IsOver(w) }); graph.Hopeless() {
				cause = ErrDeadlock
			} else if b.isSlow(ctx, holder, wait) {
				// Nobody is held up by what the logger does.
				if !w.Leave() {
					return b.outcome(c, <-w.Woken)
				}
				_, others := gate.FullQueue()
				b.warnSlow(ctx, c.plan.event, holder, others+1, wait)
				gate.Wait(w, request)
			}
		}
		if cause != nil {
			if !w.Leave() {
				return b.outcome(c, <-w.Woken)
			}
			return 0, &QueueError{Operation: "publish", Event: c.plan.event, Handler: gateOwner(gate, c), Err: cause}
		}
	}
}

// onlyPlace returns the place of a parcel that goes into one.
func (c *parcel) onlyPlace() (place int, alone bool) {
	n := 0
	c.each(func(i int, _ placed) bool {
		place = i
		n++
		return true
	})
	return place, n == 1
}

func (b *Bus) outcome(c *parcel, outcome topiclog.Outcome) (topiclog.Outcome, error) {
	if outcome == topiclog.Refused && b.state.Load() == closed {
		return outcome, errorAt("publish", c.plan.event, ErrClosed)
	}
	return outcome, nil
}

// gateOwner names a queue behind the gate: the full one, or else any.
func gateOwner(gate *topiclog.Gate, c *parcel) string {
	if full, _ := gate.FullQueue(); full != nil {
		return full.Owner.(*Subscription).Name()
	}
	for _, at := range c.places {
		if at.gate() == gate && len(at.takers) > 0 {
			return at.takers[0].Name()
		}
	}
	return "another publisher"
}

// inLog marks the context of a logger, whose own publishes are not logged as
// slow.
type inLog struct{}

// isSlow reports whether it is time to say that publishers wait for holder: once
// in a wait, when that has lasted a second, and once a second for all of them.
func (b *Bus) isSlow(ctx context.Context, holder *Subscription, wait *waiting) bool {
	if wait.slow || time.Since(wait.since) < recheckEvery || ctx.Value(inLog{}) != nil {
		return false
	}
	wait.slow = true
	last, now := holder.warned.Load(), time.Now().UnixNano()
	return now-last >= int64(recheckEvery) && holder.warned.CompareAndSwap(last, now)
}

func (b *Bus) warnSlow(ctx context.Context, event string, holder *Subscription, publishers int, wait *waiting) {
	arguments := []any{
		"event", event, "handler", holder.Name(), "subscribed", holder.Source(),
		"publishers", publishers, "waited", time.Since(wait.since).Round(time.Millisecond),
	}
	if publisher := SubscriptionFrom(ctx); publisher != nil {
		arguments = append(arguments, "publisher", publisher.Name(),
			"note", fmt.Sprintf("a goroutine that %s started and waits for would never end if %s waits for it in turn", publisher.Name(), holder.Name()))
	}
	b.log(func() {
		b.logger().WarnContext(context.WithValue(ctx, inLog{}, true), "publisher waits for a full queue", arguments...)
	})
}
