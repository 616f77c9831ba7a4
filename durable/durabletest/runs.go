package durabletest

import (
	"fmt"
	"time"

	"github.com/typedbus/events/durable"
)

// publishKeyed publishes numbers from 0 to n-1 of key a, which are their ids, too.
func (k *kit) publishKeyed(n int) {
	k.Helper()
	for i := range n {
		k.publishWith(i, durable.WithKey("a"), durable.WithID(fmt.Sprint(i)))
	}
}

// wantRun checks that deliveries are those that follow in the line of key a.
func (k *kit) wantRun(got []*durable.Delivery, from int) {
	k.Helper()
	for i, d := range got {
		if number := k.numberOf(d); number != from+i {
			k.Fatalf("event %d came where %d was to come, in a run of %d", number, from+i, len(got))
		}
	}
}

// runCutByMax claims a key in runs that are shorter than it is.
func runCutByMax(k *kit) {
	const n, most = 7, 3
	r := k.receiveAs(durable.Consumer{Lease: time.Hour, OrderByKey: true})
	k.publishKeyed(n)
	for next := 0; next < n; {
		run := k.claim(r, most)
		if len(run) > most {
			k.Fatalf("Receive(%d) returned %d deliveries", most, len(run))
		}
		k.wantRun(run, next)
		for i, d := range run {
			if i < 2 {
				if more := k.claimAtOnce(r, most, 50*time.Millisecond); len(more) > 0 {
					k.Fatalf("event %s came while %d of its key were not settled", more[0].ID, len(run)-i)
				}
			}
			if k.settle(r, durable.Settlement{Delivery: d}) {
				k.Errorf("event %s was lost", d.ID)
			}
			next++
		}
	}
}

// runCutByFailure has events of a run fail: what is behind them in it is given back in
// the same call, as package durable does.
func runCutByFailure(k *kit) {
	const n = 6
	fails := map[int]int{0: 1, 3: 2} // how often
	tried := make(map[int]int)
	r := k.receiveAs(durable.Consumer{Lease: time.Hour, OrderByKey: true})
	k.publishKeyed(n)
	for next := 0; next < n; {
		run := k.claim(r, n)
		k.wantRun(run, next)
		var settlements []durable.Settlement
		failed := false
		for _, d := range run {
			number := k.numberOf(d)
			s := durable.Settlement{Delivery: d}
			switch {
			case failed:
				s.Outcome = durable.OutcomeRelease
			case fails[number] > tried[number]:
				failed = true
				s.Outcome, s.After, s.Reason = durable.OutcomeRetry, 50*time.Millisecond, "failed on purpose"
			default:
				next++
				if number == 4 {
					s.Outcome, s.Reason = durable.OutcomeDeadLetter, "given up on purpose"
				}
			}
			if d.Attempt != tried[number]+1 && k.features.Attempts {
				k.Errorf("event %d has attempt %d, want %d", number, d.Attempt, tried[number]+1)
			}
			if s.Outcome == durable.OutcomeRetry {
				tried[number]++
			}
			settlements = append(settlements, s)
		}
		if lost, err := r.Settle(k.timely(), settlements); err != nil || len(lost) > 0 {
			k.Fatalf("Settle: %v lost, %v", lost, err)
		}
	}
	k.dead(1)
}

// runCutByExpiry has a process end with the rest of a run in hand.
func runCutByExpiry(k *kit) {
	const n = 5
	ending := k.receiveAs(durable.Consumer{Lease: shortLease, OrderByKey: true})
	k.publishKeyed(n)
	left := k.claim(ending, n)
	k.settle(ending, durable.Settlement{Delivery: left[0]})
	if left = left[1:]; len(left) == 0 {
		left = k.claim(ending, n)
	}
	k.wantRun(left, 1)
	r := k.receiveAs(durable.Consumer{Lease: shortLease, OrderByKey: true})
	for next := 1; next < n; {
		run := k.claim(r, n)
		k.wantRun(run, next)
		for _, d := range run {
			if number := k.numberOf(d); number <= len(left) && len(run) > 1 {
				k.Errorf("event %d, whose lease ran out, did not come alone", number)
			}
			k.settle(r, durable.Settlement{Delivery: d})
			next++
		}
	}
	for _, d := range left {
		if !k.settle(ending, durable.Settlement{Delivery: d, Outcome: durable.OutcomeRetry}) {
			k.Errorf("event %s was not lost to who had it when its lease ran out", d.ID)
		}
	}
	if again := k.claimAtOnce(r, n, 50*time.Millisecond); len(again) > 0 {
		k.Errorf("event %s came once more", again[0].ID)
	}
}
