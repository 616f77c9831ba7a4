// Package scenario measures contenders at work, and checks that the work was done: every scenario counts what the handlers
// got, and a wrong count is an error and no figure.
package scenario

import (
	"fmt"
	"slices"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// Metric names a figure of a [Result].
type Metric string

// The metrics. Every scenario has Nanos, the others are had where they make sense.
const (
	Nanos  Metric = "ns"
	P99    Metric = "p99"
	Allocs Metric = "allocs"
	Bytes  Metric = "bytes"
)

// Result is one measurement.
type Result struct {
	Values map[Metric]float64 `json:"values"`
	// Mark says what was wrong although every event arrived, and is empty when nothing was.
	Mark string `json:"mark,omitempty"`
}

// LackError says that a contender has no way to do the work, and why. It has no reason when that is not what the contender
// is there for.
type LackError struct{ Reason string }

func (e *LackError) Error() string { return "has no way to do it: " + e.Reason }

// Scenario is one kind of work.
type Scenario struct {
	ID string
	// Modes are the modes in which the work can be done; a contender does it in the first that it has.
	Modes []contender.Mode
	// Handlers is how many handlers get each event, Publishers how many goroutines publish.
	Handlers   int
	Publishers int
	// NameMade means that the name which is published is made while the program runs. A name in the source is one and the
	// same string wherever it stands, which makes it quicker to compare.
	NameMade bool
	// Others is how many subscriptions stand beside the one that comes and goes.
	Others int

	measure func(r *run) (Result, error)
}

// Topics is how many topics the scenario of that name makes.
const Topics = 100_000

// queue is the capacity of bounded queues.
const queue = 1024

// All returns the scenarios in the order in which the document shows them.
func All() []Scenario {
	inline := []contender.Mode{contender.Inline}
	async := []contender.Mode{contender.Async}
	either := []contender.Mode{contender.Inline, contender.Async}
	scenarios := []Scenario{
		{ID: "inline-1", Modes: inline, Handlers: 1, Publishers: 1, measure: measureInline},
		{ID: "inline-10", Modes: inline, Handlers: 10, Publishers: 1, measure: measureInline},
		{ID: "inline-100", Modes: inline, Handlers: 100, Publishers: 1, measure: measureInline},
		{ID: "inline-1-made", Modes: inline, Handlers: 1, Publishers: 1, NameMade: true, measure: measureInline},
		{ID: "inline-1-by-2", Modes: inline, Handlers: 1, Publishers: 2, measure: measureInline},
		{ID: "inline-1-by-8", Modes: inline, Handlers: 1, Publishers: 8, measure: measureInline},
		{ID: "inline-10-by-8", Modes: inline, Handlers: 10, Publishers: 8, measure: measureInline},
		{ID: "nobody", Modes: either, Publishers: 1, measure: measureNobody},
		{ID: "async-1-by-1", Modes: async, Handlers: 1, Publishers: 1, measure: measureAsync},
		{ID: "async-10-by-1", Modes: async, Handlers: 10, Publishers: 1, measure: measureAsync},
		{ID: "async-1-by-4", Modes: async, Handlers: 1, Publishers: 4, measure: measureAsync},
		{ID: "async-10-by-4", Modes: async, Handlers: 10, Publishers: 4, measure: measureAsync},
		{ID: "wakeup", Modes: async, Handlers: 1, Publishers: 1, measure: measureWakeup},
		{ID: "concurrent", Modes: []contender.Mode{contender.Concurrent}, Handlers: 8, Publishers: 1, measure: measureConcurrent},
	}
	for _, others := range []int{0, 100, 1000} {
		scenarios = append(scenarios, Scenario{
			ID: fmt.Sprintf("churn-%d", others), Modes: either, Others: others, measure: measureChurn,
		})
	}
	return append(scenarios, Scenario{ID: "topics", Modes: either, Handlers: 1, Publishers: 1, measure: measureTopics})
}

// ByID returns the scenario with the given ID.
func ByID(id string) (Scenario, bool) {
	all := All()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.ID == id })
	if i < 0 {
		return Scenario{}, false
	}
	return all[i], true
}

// Mode returns the mode in which c does the work, and a [LackError] when it has none.
func (s Scenario) Mode(c contender.Contender) (contender.Mode, error) {
	if c.Partial && len(s.Modes) > 1 {
		return "", &LackError{}
	}
	if s.ID == "topics" && c.OneTopic {
		return "", &LackError{"topics are Go types"}
	}
	for _, mode := range s.Modes {
		if c.Modes[mode] == nil {
			continue
		}
		if s.NameMade && c.Values {
			return "", &LackError{"topics are values and not names"}
		}
		return mode, nil
	}
	return "", &LackError{c.Lacks[s.Modes[0]]}
}

// Measure lets c do the work for about the given time.
func (s Scenario) Measure(c contender.Contender, budget time.Duration) (Result, error) {
	mode, err := s.Mode(c)
	if err != nil {
		return Result{}, err
	}
	return s.measure(&run{scenario: s, contender: c, mode: mode, budget: budget})
}
