// Package ledger keeps the figures of a run and answers what they amount to.
package ledger

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"

	"github.com/typedbus/events/benchmarks/internal/probe"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// Cell is one contender at one scenario.
type Cell struct{ Scenario, Contender string }

// Ledger holds what was measured, and what could not be.
type Ledger struct {
	values   map[Cell]map[scenario.Metric][]float64
	marks    map[Cell]string
	failures map[Cell]string
	lacks    map[Cell]string
	verdicts map[Cell]probe.Verdict
}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{
		values:   make(map[Cell]map[scenario.Metric][]float64),
		marks:    make(map[Cell]string),
		failures: make(map[Cell]string),
		lacks:    make(map[Cell]string),
		verdicts: make(map[Cell]probe.Verdict),
	}
}

// Add enters one repetition. Repetitions are entered in the order in which they ran.
func (l *Ledger) Add(c Cell, r scenario.Result) {
	if l.values[c] == nil {
		l.values[c] = make(map[scenario.Metric][]float64)
	}
	for metric, value := range r.Values {
		l.values[c][metric] = append(l.values[c][metric], value)
	}
	if r.Mark != "" {
		l.marks[c] = r.Mark
	}
}

// Fail enters that the work was not done. The cell has no figures then, whatever other repetitions had.
func (l *Ledger) Fail(c Cell, reason string) {
	l.failures[c] = reason
	delete(l.values, c)
}

// Lack enters that the contender has no way to do the work, with the reason, if there is one to tell.
func (l *Ledger) Lack(c Cell, reason string) { l.lacks[c] = reason }

// Settled says whether there is nothing more to find out about the cell by repeating it.
func (l *Ledger) Settled(c Cell) bool {
	_, lacks := l.lacks[c]
	return lacks || l.failures[c] != ""
}

// Mark returns what was wrong although every event arrived.
func (l *Ledger) Mark(c Cell) string { return l.marks[c] }

// Failure returns why there are no figures, and "" when there are.
func (l *Ledger) Failure(c Cell) string { return l.failures[c] }

// Lacking returns why the contender was not measured, and "" when it was.
func (l *Ledger) Lacking(c Cell) string { return l.lacks[c] }

// Judge enters the answer of a probe, whose ID stands for the scenario.
func (l *Ledger) Judge(c Cell, v probe.Verdict) { l.verdicts[c] = v }

// Verdict returns the answer of a probe.
func (l *Ledger) Verdict(c Cell) (probe.Verdict, bool) {
	v, ok := l.verdicts[c]
	return v, ok
}

// Figure is a median and how far to believe it.
type Figure struct {
	Median float64
	// Lo and Hi bound the median with 95% confidence. With too few repetitions for that they are infinite.
	Lo, Hi float64
	// N is how many repetitions there were.
	N int
}

// Spread returns the half-width of the interval as a part of the median, the wider half.
func (f Figure) Spread() float64 {
	if f.Median == 0 {
		return 0
	}
	return max(f.Hi/f.Median-1, 1-f.Lo/f.Median)
}

// Figure returns what the repetitions of a cell come to.
func (l *Ledger) Figure(c Cell, metric scenario.Metric) (Figure, bool) {
	values := l.values[c][metric]
	if len(values) == 0 {
		return Figure{}, false
	}
	return figure(values), true
}

const confidence = 0.95

func figure(values []float64) Figure {
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	summary := benchmath.AssumeNothing.Summary(sample, confidence)
	return Figure{Median: summary.Center, Lo: summary.Lo, Hi: summary.Hi, N: len(values)}
}

// Ratio returns how a relates to b. Each repetition is compared with itself: the contenders of one repetition ran within
// seconds of each other, so what slowed one down slowed down the other.
func (l *Ledger) Ratio(a, b Cell, metric scenario.Metric) (Figure, bool) {
	over, under := l.values[a][metric], l.values[b][metric]
	n := min(len(over), len(under))
	if n == 0 {
		return Figure{}, false
	}
	ratios := make([]float64, 0, n)
	for i := range n {
		if under[i] > 0 {
			ratios = append(ratios, over[i]/under[i])
		}
	}
	if len(ratios) == 0 {
		return Figure{}, false
	}
	return figure(ratios), true
}

// Less says whether the figures of a are below those of b beyond what chance explains.
func (l *Ledger) Less(a, b Cell, metric scenario.Metric) bool {
	x, y := l.values[a][metric], l.values[b][metric]
	if len(x) == 0 || len(y) == 0 {
		return false
	}
	first := benchmath.NewSample(slices.Clone(x), &benchmath.DefaultThresholds)
	second := benchmath.NewSample(slices.Clone(y), &benchmath.DefaultThresholds)
	comparison := benchmath.AssumeNothing.Compare(first, second)
	return comparison.P <= comparison.Alpha && !math.IsNaN(comparison.P) && figure(x).Median < figure(y).Median
}
