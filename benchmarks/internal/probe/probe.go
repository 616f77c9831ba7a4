// Package probe finds out what contenders do when things go wrong, by letting them go wrong.
//
// A trial may hang or kill its process, so it runs in one of its own: the process that was asked for the answer starts it,
// watches it, and turns what it saw into a [Verdict].
package probe

import (
	"fmt"
	"slices"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// patience is how long a trial with a handful of events may take before it counts as hanging. Trials with many events may
// take much longer, and notice by themselves that nothing moves any more.
const patience, longPatience = 3 * time.Second, 30 * time.Second

// Facts are what a trial saw. Each probe fills in those that it is about.
type Facts struct {
	// Panicked says that a handler's panic came out of the publish.
	Panicked bool `json:"panicked,omitempty"`
	// Refused is the error that a publish returned.
	Refused string `json:"refused,omitempty"`
	// Others says that the other handlers got the event.
	Others bool `json:"others,omitempty"`
	// Usable says that a later event was handled.
	Usable bool `json:"usable,omitempty"`
	// Accepted is how many publishes returned without an error.
	Accepted int `json:"accepted,omitempty"`
	// AtClose is how many of those had been handled when Close returned.
	AtClose int `json:"at_close,omitempty"`
	// Handled is how many were handled in the end.
	Handled int `json:"handled,omitempty"`
	// Stalled says that nothing moved any more, although there was something to do.
	Stalled bool `json:"stalled,omitempty"`
	// Late is how many events reached a handler that had left.
	Late int `json:"late,omitempty"`
	// Disorder is how many events came before one that was published earlier.
	Disorder int `json:"disorder,omitempty"`
	// Unable says that the library has no way to do what the probe asks for.
	Unable bool `json:"unable,omitempty"`
	// Context says that the handler got a context, Cancelled and Values what became of it.
	Context   bool `json:"context,omitempty"`
	Cancelled bool `json:"cancelled,omitempty"`
	Values    bool `json:"values,omitempty"`
}

// Outcome is how a trial ended.
type Outcome struct {
	Facts Facts
	// Died says that the process was killed by what the trial did, Hung that it did not come to an end.
	Died bool
	Hung bool
	// Logged says that something was written to standard error.
	Logged bool
}

// Grade ranks verdicts, best first.
type Grade int

// The grades. Neutral is for what a library leaves out on purpose.
const (
	Good Grade = iota
	Neutral
	Fair
	Bad
)

// Verdict is the answer of a probe.
type Verdict struct {
	Grade Grade
	Text  string
}

// Probe is one question to all contenders.
type Probe struct {
	ID string
	// Question is what the answers are to, Heading the same for the head of a column.
	Question string
	Heading  string
	// Patience is how long a trial may take before it counts as hanging.
	Patience time.Duration
	// Modes are the modes in which the question makes sense; it is asked in the first that a contender has.
	Modes []contender.Mode

	try   func(t *trial) (Facts, error)
	judge func(o Outcome) Verdict
}

// All returns the probes in the order in which the document shows them.
func All() []Probe {
	inline := []contender.Mode{contender.Inline}
	async := []contender.Mode{contender.Async}
	either := []contender.Mode{contender.Inline, contender.Async}
	return []Probe{
		{ID: "panic-inline", Question: "A handler panics, inline", Heading: "inline panic", Patience: patience, Modes: inline, try: panicInline, judge: judgePanicInline},
		{ID: "panic-async", Question: "A handler panics, asynchronous", Heading: "async panic", Patience: patience, Modes: async, try: panicAsync, judge: judgePanicAsync},
		{ID: "own-topic", Question: "A handler publishes to its own topic", Heading: "own topic", Patience: patience, Modes: either, try: ownTopic, judge: judgeOwnTopic},
		{ID: "own-queue", Question: "A handler publishes more than its own queue holds", Heading: "own queue", Patience: longPatience, Modes: async, try: ownQueue, judge: judgeOwnQueue},
		{ID: "leave", Question: "A subscriber leaves during a publish", Heading: "leaving", Patience: patience, Modes: either, try: leave, judge: judgeLeave},
		{ID: "close", Question: "The bus closes with events queued", Heading: "close", Patience: patience, Modes: async, try: closeQueued, judge: judgeClose},
		{ID: "cancel", Question: "The publisher's context is cancelled right after an asynchronous publish", Heading: "cancel", Patience: patience, Modes: async, try: cancelAfter, judge: judgeCancel},
		{ID: "order", Question: "An asynchronous subscriber sees events in order", Heading: "order", Patience: longPatience, Modes: async, try: inOrder, judge: judgeOrder},
	}
}

// ByID returns the probe with the given ID.
func ByID(id string) (Probe, bool) {
	all := All()
	i := slices.IndexFunc(all, func(p Probe) bool { return p.ID == id })
	if i < 0 {
		return Probe{}, false
	}
	return all[i], true
}

// Mode returns the mode in which c is asked, and false when it has none that the question makes sense in.
func (p Probe) Mode(c contender.Contender) (contender.Mode, bool) {
	for _, mode := range p.Modes {
		if c.Modes[mode] != nil {
			return mode, true
		}
	}
	return "", false
}

// Try puts the question to c in this process, which may not survive it.
func (p Probe) Try(c contender.Contender) (Facts, error) {
	mode, ok := p.Mode(c)
	if !ok {
		return Facts{}, fmt.Errorf("%s has no mode for %s", c.ID, p.ID)
	}
	t, err := newTrial(c, mode)
	if err != nil {
		return Facts{}, err
	}
	return p.try(t)
}

// Judge turns the outcomes of several trials into one verdict, the worst.
func (p Probe) Judge(outcomes []Outcome) Verdict {
	worst := p.judge(outcomes[0])
	for _, o := range outcomes[1:] {
		if v := p.judge(o); v.Grade > worst.Grade {
			worst = v
		}
	}
	return worst
}
