package report

import (
	"fmt"
	"strings"

	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// A limit is one line of the budget: what ours may take of what the other takes.
type limit struct {
	work  string
	ours  ledger.Cell
	other ledger.Cell
	// factor bounds ours divided by other from above, or from below when atLeast is set.
	factor  float64
	atLeast bool
	against string
}

// A cap bounds a figure of ours by itself.
type ceiling struct {
	work   string
	cell   ledger.Cell
	metric scenario.Metric
	most   float64
}

// limits are those of the budget that can be seen in a comparison, which uses all
// cores. (One subscriber beside kelindar/event is asked on one core: make bench
// has that row.)
var limits = []limit{
	{work: "typed publish, inline, 1 handler", ours: ledger.Cell{Scenario: "inline-1", Contender: "events"}, other: ledger.Cell{Scenario: "inline-1", Contender: "loop"}, factor: 3.0, against: "the bare loop"},
	{work: "typed publish, inline, 10 handlers", ours: ledger.Cell{Scenario: "inline-10", Contender: "events"}, other: ledger.Cell{Scenario: "inline-10", Contender: "loop"}, factor: 1.4, against: "the bare loop"},
	{work: "typed publish, inline, 100 handlers", ours: ledger.Cell{Scenario: "inline-100", Contender: "events"}, other: ledger.Cell{Scenario: "inline-100", Contender: "loop"}, factor: 1.15, against: "the bare loop"},
	{work: "typed publish, 1 handler, throughput on 2 goroutines", ours: ledger.Cell{Scenario: "inline-1", Contender: "events"}, other: ledger.Cell{Scenario: "inline-1-by-2", Contender: "events"}, factor: 1.8, atLeast: true, against: "itself on 1"},
	{work: "untyped Dispatch, 1 handler", ours: ledger.Cell{Scenario: "inline-1", Contender: "events-untyped"}, other: ledger.Cell{Scenario: "inline-1", Contender: "rwmutex"}, factor: 0.8, against: "the RWMutex+map dispatcher"},
	{work: "untyped Dispatch, 1 handler, a name made at run time", ours: ledger.Cell{Scenario: "inline-1-made", Contender: "events-untyped"}, other: ledger.Cell{Scenario: "inline-1-made", Contender: "rwmutex"}, factor: 0.8, against: "the RWMutex+map dispatcher"},
	{work: "untyped Dispatch, 10 handlers", ours: ledger.Cell{Scenario: "inline-10", Contender: "events-untyped"}, other: ledger.Cell{Scenario: "inline-10", Contender: "rwmutex"}, factor: 1.35, against: "the RWMutex+map dispatcher"},
	{work: "untyped Dispatch, 1 handler, 8 goroutines", ours: ledger.Cell{Scenario: "inline-1-by-8", Contender: "events-untyped"}, other: ledger.Cell{Scenario: "inline-1-by-8", Contender: "rwmutex"}, factor: 0.5, against: "the RWMutex+map dispatcher"},
	{work: "typed publish, nobody listening", ours: ledger.Cell{Scenario: "nobody", Contender: "events"}, other: ledger.Cell{Scenario: "nobody", Contender: "lookup"}, factor: 1.5, against: "a sync.Map lookup of the name"},
	{work: "untyped Dispatch, nobody listening", ours: ledger.Cell{Scenario: "nobody", Contender: "events-untyped"}, other: ledger.Cell{Scenario: "nobody", Contender: "lookup"}, factor: 1.5, against: "a sync.Map lookup of the name"},
	{work: "DispatchAsync, 1 handler", ours: ledger.Cell{Scenario: "async-1-by-1", Contender: "events-untyped"}, other: ledger.Cell{Scenario: "async-1-by-1", Contender: "rwmutex"}, factor: 1.0 / 3, against: "go Dispatch"},
	{work: "queued, 1 subscriber", ours: ledger.Cell{Scenario: "async-1-by-1", Contender: "events"}, other: ledger.Cell{Scenario: "async-1-by-1", Contender: "channel"}, factor: 0.85, against: "a buffered channel"},
	{work: "queued, 1 subscriber, 4 publishers", ours: ledger.Cell{Scenario: "async-1-by-4", Contender: "events"}, other: ledger.Cell{Scenario: "async-1-by-4", Contender: "channel"}, factor: 1.1, against: "a buffered channel"},
	{work: "queued, 10 subscribers", ours: ledger.Cell{Scenario: "async-10-by-1", Contender: "events"}, other: ledger.Cell{Scenario: "async-10-by-1", Contender: "kelindar"}, factor: 0.3, against: "kelindar/event"},
	{work: "queued, idle subscriber, there and back", ours: ledger.Cell{Scenario: "wakeup", Contender: "events"}, other: ledger.Cell{Scenario: "wakeup", Contender: "channel"}, factor: 1.6, against: "buffered channels"},
}

var ceilings = []ceiling{
	{"typed publish, inline, 1 handler, allocations", ledger.Cell{Scenario: "inline-1", Contender: "events"}, scenario.Allocs, 0},
	{"typed publish, inline, 100 handlers, allocations", ledger.Cell{Scenario: "inline-100", Contender: "events"}, scenario.Allocs, 0},
	{"untyped Dispatch, 1 handler, allocations", ledger.Cell{Scenario: "inline-1", Contender: "events-untyped"}, scenario.Allocs, 0},
	{"untyped Dispatch, 10 handlers, allocations", ledger.Cell{Scenario: "inline-10", Contender: "events-untyped"}, scenario.Allocs, 0},
	{"typed publish, nobody listening, allocations", ledger.Cell{Scenario: "nobody", Contender: "events"}, scenario.Allocs, 0},
	{"untyped Dispatch, nobody listening, allocations", ledger.Cell{Scenario: "nobody", Contender: "events-untyped"}, scenario.Allocs, 0},
	{"queued, 1 subscriber, allocations", ledger.Cell{Scenario: "async-1-by-1", Contender: "events"}, scenario.Allocs, 0},
	{"a topic with one subscription, of 100,000, memory", ledger.Cell{Scenario: "topics", Contender: "events"}, scenario.Bytes, 400},
	{"a topic with one subscription, of 100,000, time", ledger.Cell{Scenario: "topics", Contender: "events"}, scenario.Nanos, 1000},
}

func (l limit) measured(results *ledger.Ledger) (ledger.Figure, bool) {
	return results.Ratio(l.ours, l.other, scenario.Nanos)
}

func (l limit) holds(f ledger.Figure) bool {
	if l.atLeast {
		return f.Median >= l.factor
	}
	return f.Median <= l.factor
}

// budgetTable renders the budget beside what the run found.
func budgetTable(results *ledger.Ledger) string {
	var b strings.Builder
	b.WriteString("| work | measured against | budget | this run | |\n|---|---|---:|---:|---|\n")
	line := func(work, against, budget, measured, outcome string) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", work, against, budget, measured, outcome)
	}
	for _, l := range limits {
		sign := "≤"
		if l.atLeast {
			sign = "≥"
		}
		budget := sign + " " + factor(l.factor)
		f, ok := l.measured(results)
		if !ok {
			line(l.work, l.against, budget, "—", "not measured")
			continue
		}
		line(l.work, l.against, budget, factor(f.Median)+" "+spread(f), outcome(l.holds(f), f, l.factor))
	}
	for _, c := range ceilings {
		budget := "≤ " + amount(c.most, c.metric)
		if c.most == 0 {
			budget = "0"
		}
		f, ok := results.Figure(c.cell, c.metric)
		if !ok {
			line(c.work, "", budget, "—", "not measured")
			continue
		}
		// Less than an allocation in two hundred events is what the run itself allocates now and then.
		holds := f.Median <= c.most || c.metric == scenario.Allocs && f.Median < c.most+0.005
		line(c.work, "", budget, amount(f.Median, c.metric), outcome(holds, f, c.most))
	}
	return b.String()
}

// outcome says on which side of the limit the median is, and whether its interval is on that side too.
func outcome(holds bool, f ledger.Figure, limit float64) string {
	text := "holds"
	if !holds {
		text = "**missed**"
	}
	if f.Lo < limit && limit < f.Hi {
		text += ", within the noise"
	}
	return text
}
