package durabletest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/typedbus/events/durable"
)

// allOutcomes are those by which who has lost a delivery might still change it.
var allOutcomes = []durable.Outcome{
	durable.OutcomeRenew, durable.OutcomeRetry, durable.OutcomeRelease, durable.OutcomeDeadLetter, durable.OutcomeAck,
}

func (k *kit) wantLost(r durable.Receiver, d *durable.Delivery, when string) {
	k.Helper()
	for _, outcome := range allOutcomes {
		if !k.settle(r, durable.Settlement{Delivery: d, Outcome: outcome, Reason: "late"}) {
			k.Errorf("%v of an old claim was not lost %s", outcome, when)
		}
	}
}

// settledBefore has deliveries be settled that were settled before, and are still there.
func settledBefore(k *kit) {
	r := k.receiveAs(durable.Consumer{Lease: time.Hour})
	for _, outcome := range []durable.Outcome{durable.OutcomeRetry, durable.OutcomeDeadLetter, durable.OutcomeRelease} {
		k.publish(1)
		d := k.claim(r, 1)[0]
		if k.settle(r, durable.Settlement{Delivery: d, Outcome: outcome, After: time.Hour, Reason: "failed on purpose"}) {
			k.Errorf("%v: the delivery of who has it was lost", outcome)
		}
		k.wantLost(r, d, fmt.Sprintf("behind its %v", outcome))
	}
	again := k.claim(r, 1)[0]
	if k.settle(r, durable.Settlement{Delivery: again}) {
		k.Error("a delivery that was released and claimed was lost")
	}
	k.dead(1)
}

// lostByRedrive has the claims of an event from before it was dead have no effect on
// what it became.
func lostByRedrive(k *kit) {
	slow, quick := k.receive(), k.receive()
	k.publish(1)
	expired := k.claim(slow, 1)[0]
	failed := k.claim(quick, 1)[0] // when the lease of slow is over
	if k.settle(quick, durable.Settlement{Delivery: failed, Outcome: durable.OutcomeDeadLetter, Reason: "failed on purpose"}) {
		k.Fatal("the delivery of who has it was lost")
	}
	old := map[durable.Receiver]*durable.Delivery{slow: expired, quick: failed}
	for r, d := range old {
		k.wantLost(r, d, "when it was dead")
	}
	letters, list := k.dead(1)
	if list[0].Reason != "failed on purpose" {
		k.Errorf("the dead letter has reason %q, of who had lost it", list[0].Reason)
	}
	if n, err := letters.Redrive(k.timely(), k.topic.Name(), "g", list[0].Ref); n != 1 || err != nil {
		k.Fatalf("Redrive: %d, %v, want 1", n, err)
	}
	for r, d := range old {
		k.wantLost(r, d, "when it was redriven")
	}
	last := k.receiveAs(durable.Consumer{Lease: time.Hour})
	redriven := k.claim(last, 1)[0]
	if redriven.Attempt != 1 && k.features.Attempts {
		k.Errorf("redriven, it has attempt %d, want 1", redriven.Attempt)
	}
	for r, d := range old {
		k.wantLost(r, d, "when it was claimed anew")
	}
	if k.settle(last, durable.Settlement{Delivery: redriven}) {
		k.Error("the redriven delivery of who has it was lost")
	}
	k.dead(0)
}

// settledInPart has some deliveries of one Settle belong to another by then.
func settledInPart(k *kit) {
	const n, taken = 6, 2
	slow, quick := k.receive(), k.receiveAs(durable.Consumer{Lease: time.Hour})
	for i := range n {
		k.publishWith(i, durable.WithID(fmt.Sprint(i)))
	}
	claimed := k.claimAll(slow, n)
	isTaken := make(map[string]bool)
	for range taken { // when the leases of slow are over
		d := k.claim(quick, 1)[0]
		isTaken[d.ID] = true
		k.settle(quick, durable.Settlement{Delivery: d})
	}
	var settlements []durable.Settlement
	var want []int // lost
	outcomes := []durable.Outcome{durable.OutcomeRetry, durable.OutcomeDeadLetter, durable.OutcomeAck, durable.OutcomeRelease}
	back := make(map[string]int)                                    // by what comes back: its attempt
	for _, d := range slices.Concat(claimed[n/2:], claimed[:n/2]) { // those that are lost in the middle
		s := durable.Settlement{Delivery: d, Reason: "failed on purpose"}
		if isTaken[d.ID] {
			want = append(want, len(settlements))
			settlements = append(settlements, s)
			continue
		}
		s.Outcome, outcomes = outcomes[0], outcomes[1:]
		switch s.Outcome {
		case durable.OutcomeAck: // and, as package durable does, a renewal before it
			settlements = append(settlements, durable.Settlement{Delivery: d, Outcome: durable.OutcomeRenew})
		case durable.OutcomeRetry:
			back[d.ID] = 2
		case durable.OutcomeRelease:
			back[d.ID] = 1
		}
		settlements = append(settlements, s)
	}
	lost, err := slow.Settle(k.timely(), settlements)
	if err != nil {
		k.Fatal(err)
	}
	slices.Sort(lost)
	k.wantSame("what was lost, by index", lost, want)
	if lost, err := slow.Settle(k.timely(), nil); err != nil || len(lost) > 0 {
		k.Errorf("Settle of nothing: %v lost, %v", lost, err)
	}
	for len(back) > 0 {
		for _, d := range k.claim(quick, n) {
			if back[d.ID] != d.Attempt {
				k.Fatalf("event %s came back with attempt %d, want %d (0 for one that must not come)", d.ID, d.Attempt, back[d.ID])
			}
			delete(back, d.ID)
			k.settle(quick, durable.Settlement{Delivery: d})
		}
	}
	if more := k.claimAtOnce(quick, n, 50*time.Millisecond); len(more) > 0 {
		k.Errorf("event %s came once more", more[0].ID)
	}
	k.dead(1)
}

// renewedTogether keeps all that is in hand for several leases.
func renewedTogether(k *kit) {
	const n = 3
	r, other := k.receive(), k.receive()
	k.publish(count(n)...)
	claimed := k.claimAll(r, n)
	settlements := make([]durable.Settlement, n)
	for i, d := range claimed {
		settlements[i] = durable.Settlement{Delivery: d, Outcome: durable.OutcomeRenew}
	}
	taken := make(chan []*durable.Delivery, 1)
	go func() {
		ctx, cancel := context.WithTimeout(k.Context(), 2*shortLease)
		defer cancel()
		got, _ := other.Receive(ctx, n) // it ends with an error, if all is well
		taken <- got
	}()
	last := claimed[0].Claimed
	for end := time.Now().Add(2 * shortLease); time.Now().Before(end); time.Sleep(shortLease / 10) {
		called := time.Now()
		lost, err := r.Settle(k.timely(), settlements)
		if err != nil {
			k.Fatal(err)
		}
		if time.Since(last) > shortLease/2 {
			<-taken
			k.Skip("the machine is too slow for leases as short as these")
		}
		if len(lost) > 0 {
			k.Fatalf("renewals in time: %v are lost", lost)
		}
		last = called
	}
	if got := <-taken; len(got) > 0 {
		k.Errorf("another got event %s while its lease was renewed", got[0].ID)
	}
	for _, d := range claimed {
		if k.settle(r, durable.Settlement{Delivery: d}) {
			k.Errorf("event %s was lost while its lease was renewed", d.ID)
		}
	}
}
