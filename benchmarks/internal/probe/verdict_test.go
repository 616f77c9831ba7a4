package probe_test

import (
	"testing"

	"github.com/typedbus/events/benchmarks/internal/probe"
)

func TestVerdicts(t *testing.T) {
	cases := []struct {
		probe   string
		outcome probe.Outcome
		want    probe.Verdict
	}{
		{"panic-inline", probe.Outcome{Died: true}, probe.Verdict{Grade: probe.Bad, Text: "the process dies"}},
		{"panic-inline", probe.Outcome{Hung: true}, probe.Verdict{Grade: probe.Bad, Text: "hangs"}},
		{"panic-inline", probe.Outcome{Facts: probe.Facts{Panicked: true, Usable: true}}, probe.Verdict{Grade: probe.Fair, Text: "panics in the publisher; the other handlers do not run"}},
		{"panic-inline", probe.Outcome{Facts: probe.Facts{Refused: "oops", Others: true, Usable: true}}, probe.Verdict{Grade: probe.Good, Text: "an error for the publisher; the other handlers run"}},
		{"panic-inline", probe.Outcome{Facts: probe.Facts{Refused: "oops", Usable: true}}, probe.Verdict{Grade: probe.Fair, Text: "an error for the publisher; the other handlers do not run"}},
		{"panic-inline", probe.Outcome{Facts: probe.Facts{Others: true, Usable: true}, Logged: true}, probe.Verdict{Grade: probe.Fair, Text: "logged; the other handlers run"}},
		{"panic-inline", probe.Outcome{Facts: probe.Facts{Others: true}}, probe.Verdict{Grade: probe.Bad, Text: "lost in silence; the other handlers run; later events are not handled by all"}},
		{"panic-async", probe.Outcome{Facts: probe.Facts{Usable: true}, Logged: true}, probe.Verdict{Grade: probe.Good, Text: "reported; the subscriber goes on"}},
		{"panic-async", probe.Outcome{Facts: probe.Facts{Usable: true}}, probe.Verdict{Grade: probe.Fair, Text: "lost in silence; the subscriber goes on"}},
		{"panic-async", probe.Outcome{Logged: true}, probe.Verdict{Grade: probe.Bad, Text: "reported; later events are not handled"}},
		{"panic-async", probe.Outcome{}, probe.Verdict{Grade: probe.Bad, Text: "lost in silence; later events are not handled"}},
		{"own-topic", probe.Outcome{Facts: probe.Facts{Handled: 2}}, probe.Verdict{Grade: probe.Good, Text: "delivered"}},
		{"own-topic", probe.Outcome{Facts: probe.Facts{Handled: 1}}, probe.Verdict{Grade: probe.Bad, Text: "not delivered"}},
		{"own-topic", probe.Outcome{Facts: probe.Facts{Handled: 3}}, probe.Verdict{Grade: probe.Bad, Text: "delivered more than once"}},
		{"own-topic", probe.Outcome{Facts: probe.Facts{Refused: "no"}}, probe.Verdict{Grade: probe.Fair, Text: "refused with an error"}},
		{"own-queue", probe.Outcome{Facts: probe.Facts{Stalled: true}}, probe.Verdict{Grade: probe.Bad, Text: "hangs"}},
		{"own-queue", probe.Outcome{Facts: probe.Facts{Refused: "full"}}, probe.Verdict{Grade: probe.Good, Text: "refused with an error"}},
		{"own-queue", probe.Outcome{Facts: probe.Facts{Accepted: 5, Handled: 5}}, probe.Verdict{Grade: probe.Fair, Text: "accepted without a limit"}},
		{"own-queue", probe.Outcome{Facts: probe.Facts{Accepted: 5, Handled: 3}}, probe.Verdict{Grade: probe.Bad, Text: "2 of 5 lost"}},
		{"leave", probe.Outcome{Facts: probe.Facts{Unable: true}}, probe.Verdict{Grade: probe.Neutral, Text: "cannot leave"}},
		{"leave", probe.Outcome{Facts: probe.Facts{Others: true}}, probe.Verdict{Grade: probe.Good, Text: "the others get every event"}},
		{"leave", probe.Outcome{Facts: probe.Facts{Others: true, Late: 1}}, probe.Verdict{Grade: probe.Fair, Text: "it still gets the next event"}},
		{"leave", probe.Outcome{}, probe.Verdict{Grade: probe.Bad, Text: "another handler misses an event or gets it twice"}},
		{"close", probe.Outcome{Facts: probe.Facts{Unable: true}}, probe.Verdict{Grade: probe.Neutral, Text: "has no close"}},
		{"close", probe.Outcome{Facts: probe.Facts{Accepted: 10, AtClose: 10, Handled: 10}}, probe.Verdict{Grade: probe.Good, Text: "handles them all, then returns"}},
		{"close", probe.Outcome{Facts: probe.Facts{Accepted: 10, AtClose: 1, Handled: 10}}, probe.Verdict{Grade: probe.Fair, Text: "returns at once; they are handled later"}},
		{"close", probe.Outcome{Facts: probe.Facts{Accepted: 10, AtClose: 1, Handled: 4}}, probe.Verdict{Grade: probe.Bad, Text: "6 of 10 accepted events are lost"}},
		{"cancel", probe.Outcome{}, probe.Verdict{Grade: probe.Bad, Text: "the event is not handled"}},
		{"cancel", probe.Outcome{Facts: probe.Facts{Handled: 1}}, probe.Verdict{Grade: probe.Neutral, Text: "handled; no context to the handler"}},
		{"cancel", probe.Outcome{Facts: probe.Facts{Handled: 1, Context: true, Cancelled: true, Values: true}}, probe.Verdict{Grade: probe.Bad, Text: "handled with a cancelled context"}},
		{"cancel", probe.Outcome{Facts: probe.Facts{Handled: 1, Context: true, Values: true}}, probe.Verdict{Grade: probe.Good, Text: "handled; the context lives and keeps its values"}},
		{"cancel", probe.Outcome{Facts: probe.Facts{Handled: 1, Context: true}}, probe.Verdict{Grade: probe.Fair, Text: "handled; the context lives, its values are lost"}},
		{"order", probe.Outcome{Facts: probe.Facts{Accepted: 9, Handled: 9}}, probe.Verdict{Grade: probe.Good, Text: "yes"}},
		{"order", probe.Outcome{Facts: probe.Facts{Accepted: 9, Handled: 9, Disorder: 1}}, probe.Verdict{Grade: probe.Fair, Text: "no"}},
		{"order", probe.Outcome{Facts: probe.Facts{Accepted: 9, Handled: 7}}, probe.Verdict{Grade: probe.Bad, Text: "2 of 9 lost"}},
	}
	for _, c := range cases {
		p, ok := probe.ByID(c.probe)
		if !ok {
			t.Fatalf("no probe %s", c.probe)
		}
		if got := p.Judge([]probe.Outcome{c.outcome}); got != c.want {
			t.Errorf("%s: %+v is judged %+v, not %+v", c.probe, c.outcome, got, c.want)
		}
	}
}

func TestTheWorstOfSeveralTrialsCounts(t *testing.T) {
	p, _ := probe.ByID("order")
	fine, lossy := probe.Outcome{Facts: probe.Facts{Accepted: 1, Handled: 1}}, probe.Outcome{Facts: probe.Facts{Accepted: 1}}
	if got := p.Judge([]probe.Outcome{fine, lossy, fine}); got.Grade != probe.Bad {
		t.Errorf("got %+v", got)
	}
}
