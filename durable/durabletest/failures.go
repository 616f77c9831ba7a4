package durabletest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

var errFailed = errors.New("failed on purpose")

// quickly has retries follow at once.
func quickly() durable.SubscribeOption {
	return durable.WithBackoff(time.Millisecond, 10*time.Millisecond)
}

func triedAgain(k *kit) {
	got, _ := k.group("g", func(h handled) error {
		if h.Number == 1 && h.Attempt < 3 {
			return errFailed
		}
		return nil
	}, durable.WithBackoff(500*time.Millisecond, time.Second))
	if err := durable.PublishBatch(k.timely(), k.engine, k.topic, []order{{Number: 1}, {Number: 2}}); err != nil { // both before the retry
		k.Fatal(err)
	}
	k.wantSame("a failure holds nobody up", k.take(2, got), []int{1, 2})
	for _, want := range []int{2, 3} {
		if h := k.next(got); h.Number != 1 || h.Attempt != want {
			k.Fatalf("got event %d, attempt %d, want event 1, attempt %d", h.Number, h.Attempt, want)
		}
	}
}

func triedAfter(k *kit) {
	const wait = 200 * time.Millisecond
	first := true
	got, _ := k.group("g", func(handled) error {
		if first {
			first = false
			return durable.RetryAfter(errFailed, wait)
		}
		return nil
	}, durable.WithBackoff(time.Hour, time.Hour))
	k.publish(1)
	failed := k.next(got).at
	if took := k.next(got).at.Sub(failed); took < wait-2*time.Millisecond {
		k.Errorf("the next attempt came after %v, want %v", took, wait)
	}
}

// triedAtOnce has a handler ask for no wait, in an error of its own.
func triedAtOnce(k *kit) {
	const n = 5
	got, sub := k.group("g", func(h handled) error {
		if h.Attempt < n {
			return fmt.Errorf("attempt %d: %w", h.Attempt, durable.RetryAfter(errFailed, 0))
		}
		return nil
	}, durable.WithBackoff(time.Hour, time.Hour))
	k.publish(1)
	for attempt := 1; attempt <= n; attempt++ {
		if h := k.next(got); h.Attempt != attempt {
			k.Errorf("got attempt %d, want %d", h.Attempt, attempt)
		}
	}
	k.eventually("it is handled", func() bool { return sub.Stats().Handled == 1 })
}

func deadLettered(k *kit) {
	var fails atomic.Bool
	fails.Store(true)
	got, _ := k.group("g", func(handled) error {
		if fails.Load() {
			return errFailed
		}
		return nil
	}, durable.WithAttempts(2), quickly())
	other, _ := k.group("other", nil)
	k.publish(7)
	k.wantSame("both attempts", k.take(2, got), []int{7, 7})
	letters, list := k.dead(1)
	letter := list[0]
	if letter.Attempts != 2 || !strings.Contains(letter.Reason, errFailed.Error()) || letter.Topic != k.topic.Name() || letter.Group != "g" {
		k.Errorf("dead letter: %d attempts, reason %q, topic %q, group %q", letter.Attempts, letter.Reason, letter.Topic, letter.Group)
	}
	fails.Store(false)
	if n, err := letters.Redrive(k.timely(), k.topic.Name(), "g", letter.Ref, "999999"); n != 1 || err != nil {
		k.Fatalf("Redrive: %d, %v, want 1", n, err)
	}
	if h := k.next(got); h.Number != 7 || h.Attempt != 1 || h.ID != letter.ID {
		k.Errorf("redriven: event %d, attempt %d, id %q, want 7, 1, %q", h.Number, h.Attempt, h.ID, letter.ID)
	}
	k.dead(0)
	k.take(1, other)
	if n := len(other); n != 0 {
		k.Errorf("another group got the redriven event %d times", n)
	}
	if _, err := letters.List(k.timely(), k.topic.Name(), "unknown", "", 1); !errors.Is(err, durable.ErrUnknownGroup) {
		k.Errorf("List of an unknown group: %v, want ErrUnknownGroup", err)
	}
}

func unreadable(k *kit) {
	got, _ := k.group("g", nil, durable.WithBackoff(time.Hour, time.Hour))
	for _, m := range []durable.Message{
		{ID: "text", ContentType: "application/json", Data: []byte("no JSON")},
		{ID: "type", ContentType: "text/plain", Data: []byte("{}")},
	} {
		m.Topic = k.topic.Name()
		if err := k.engine.Publish(k.timely(), m); err != nil {
			k.Fatal(err)
		}
	}
	k.publish(1)
	k.wantSame("behind what cannot be read", k.take(1, got), []int{1})
	_, list := k.dead(2)
	for _, letter := range list {
		if letter.Attempts != 1 || !strings.Contains(letter.Reason, "cannot be read") {
			k.Errorf("%s: %d attempts, reason %q", letter.ID, letter.Attempts, letter.Reason)
		}
	}
}

func discard(k *kit) {
	k.group("g", func(handled) error { return events.Permanent(errFailed) })
	k.publish(count(5)...)
	letters, list := k.dead(5)
	page, err := letters.List(k.timely(), k.topic.Name(), "g", list[1].Ref, 2)
	if err != nil || len(page) != 2 || page[0].Ref != list[2].Ref || page[1].Ref != list[3].Ref {
		k.Errorf("the page behind the second dead letter: %v, %v", page, err)
	}
	if n, err := letters.Discard(k.timely(), k.topic.Name(), "g", list[0].Ref, list[0].Ref, list[4].Ref); n != 2 || err != nil {
		k.Errorf("Discard: %d, %v, want 2", n, err)
	}
	k.dead(3)
}

// killsItsProcess has an event end each process that gets it, and one beside it
// that is innocent.
func killsItsProcess(k *kit) {
	victim := k.receive()
	k.publish(1, 2)
	var claimed []*durable.Delivery
	for len(claimed) < 2 {
		claimed = append(claimed, k.claim(victim, 2)...)
	}
	for life := 1; life <= 2; life++ {
		r := k.receive()
		for {
			got := k.claim(r, 10)
			if len(got) != 1 {
				k.Fatalf("%d suspects came together", len(got))
			}
			if got[0].ID == claimed[0].ID {
				if got[0].Attempt != life {
					k.Errorf("life %d: attempt %d, want %d", life, got[0].Attempt, life)
				}
				break // the process ends
			}
			if got[0].Attempt != 1 {
				k.Errorf("the innocent event has attempt %d, want 1", got[0].Attempt)
			}
			k.settle(r, durable.Settlement{Delivery: got[0]})
		}
	}
	got, _ := k.group("g", nil, durable.WithAttempts(2), durable.WithLease(shortLease))
	_, list := k.dead(1)
	if list[0].ID != claimed[0].ID || !strings.Contains(list[0].Reason, "its process ended") {
		k.Errorf("dead letter %q, reason %q", list[0].ID, list[0].Reason)
	}
	for len(got) > 0 {
		if h := <-got; h.ID == claimed[0].ID {
			k.Error("the event that ended its processes was run once more")
		}
	}
}

func leaseLost(k *kit) {
	slow, quick := k.receive(), k.receive()
	k.publish(1)
	late := k.claim(slow, 1)[0]
	now := k.claim(quick, 1)[0] // when the lease of slow is over
	if late.ID != now.ID {
		k.Fatalf("got %q and %q, want one event twice", late.ID, now.ID)
	}
	for _, outcome := range []durable.Outcome{durable.OutcomeRenew, durable.OutcomeRetry, durable.OutcomeRelease, durable.OutcomeDeadLetter, durable.OutcomeAck} {
		if !k.settle(slow, durable.Settlement{Delivery: late, Outcome: outcome}) {
			k.Errorf("%v of a delivery that another has was not lost", outcome)
		}
	}
	if k.settle(quick, durable.Settlement{Delivery: now}) {
		k.Error("the delivery of who has it was lost")
	}
	if !k.settle(quick, durable.Settlement{Delivery: now}) {
		k.Error("a delivery was settled twice")
	}
}

func leaseOfNobodyElse(k *kit) {
	r := k.receive()
	k.publish(1)
	d := k.claim(r, 1)[0]
	time.Sleep(shortLease + shortLease/5)
	if k.settle(r, durable.Settlement{Delivery: d}) {
		k.Error("a settlement after the lease, of what nobody else has, was lost")
	}
}

// leaseRenewed has a handler take several leases. On a machine that is busy with other
// things a renewal may come late, so longer leases are tried before it is a fault.
func leaseRenewed(k *kit) {
	for lease := shortLease; ; lease *= 2 {
		got, sub := k.group(fmt.Sprint("lease of ", lease), func(handled) error {
			time.Sleep(3 * lease)
			return nil
		}, durable.WithLease(lease))
		k.publish(1)
		k.eventually("it is handled", func() bool { return sub.Stats().Handled == 1 })
		k.close(sub)
		switch n := len(got); {
		case n == 1:
			return
		case lease >= 4*shortLease:
			k.Fatalf("a handler that took three leases of %v ran %d times, want once", lease, n)
		}
	}
}

func panicsAreErrors(k *kit) {
	got, sub := k.group("g", func(h handled) error {
		if h.Attempt == 1 || !k.features.Attempts && h.Number > 0 {
			if h.Number == 1 {
				panic("on purpose")
			}
			if h.Number == 2 {
				runtime.Goexit()
			}
		}
		return nil
	}, quickly())
	k.publish(1, 2, 3)
	k.eventually("all are handled", func() bool { return sub.Stats().Handled == 3 })
	if s := sub.Stats(); s.Retried != 2 || len(got) != 5 {
		k.Errorf("%d retried in %d calls, want 2 in 5", s.Retried, len(got))
	}
}

func traceGoesOn(k *kit) {
	got, _ := k.group("g", func(h handled) error {
		if h.Number == 1 {
			return durable.Publish(h.ctx, k.engine, k.topic, order{Number: 2})
		}
		return nil
	})
	k.publishWith(1, durable.WithHeader("traceparent", "00-1-1-01"), durable.WithHeader("mine", "x"), durable.WithID("first"))
	first, second := k.next(got), k.next(got)
	if first.ID != "first" || first.Headers["mine"] != "x" {
		k.Errorf("got id %q and headers %v", first.ID, first.Headers)
	}
	if second.Number != 2 || second.Headers["traceparent"] != "00-1-1-01" || second.Headers["mine"] != "" {
		k.Errorf("what the handler published has headers %v, want those of the trace", second.Headers)
	}
}
