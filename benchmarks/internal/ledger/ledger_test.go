package ledger_test

import (
	"math"
	"testing"

	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

var (
	quick = ledger.Cell{Scenario: "inline-1", Contender: "quick"}
	slow  = ledger.Cell{Scenario: "inline-1", Contender: "slow"}
)

func add(l *ledger.Ledger, c ledger.Cell, values ...float64) {
	for _, v := range values {
		l.Add(c, scenario.Result{Values: map[scenario.Metric]float64{scenario.Nanos: v}})
	}
}

func TestAFigureIsTheMedianAndItsInterval(t *testing.T) {
	l := ledger.New()
	add(l, quick, 30, 10, 20, 10, 10, 20)
	f, ok := l.Figure(quick, scenario.Nanos)
	if !ok || f.Median != 15 || f.Lo != 10 || f.Hi != 30 || f.N != 6 {
		t.Errorf("got %+v, %v", f, ok)
	}
	if got := f.Spread(); got != 1 {
		t.Errorf("spread %v, want 1: the upper bound is twice the median", got)
	}
}

func TestTooFewRepetitionsHaveNoInterval(t *testing.T) {
	l := ledger.New()
	add(l, quick, 10, 11)
	if f, _ := l.Figure(quick, scenario.Nanos); !math.IsInf(f.Spread(), 1) {
		t.Errorf("got %+v", f)
	}
}

func TestRatiosAreTakenWithinRepetitions(t *testing.T) {
	l := ledger.New()
	// The machine is ten times slower in every other repetition, for both.
	add(l, quick, 10, 100, 10, 100)
	add(l, slow, 20, 200, 20, 200)
	f, ok := l.Ratio(quick, slow, scenario.Nanos)
	if !ok || f.Median != 0.5 || f.N != 4 {
		t.Errorf("got %+v, %v", f, ok)
	}
}

func TestARatioWithoutFiguresIsNone(t *testing.T) {
	l := ledger.New()
	add(l, quick, 10)
	if f, ok := l.Ratio(quick, slow, scenario.Nanos); ok {
		t.Errorf("got %+v", f)
	}
	add(l, slow, 0)
	if f, ok := l.Ratio(quick, slow, scenario.Nanos); ok {
		t.Errorf("by zero: got %+v", f)
	}
}

func TestLessNeedsMoreThanChance(t *testing.T) {
	l := ledger.New()
	add(l, quick, 10, 11, 12, 13, 14, 15)
	add(l, slow, 20, 21, 22, 23, 24, 25)
	if !l.Less(quick, slow, scenario.Nanos) {
		t.Error("a clear lead is not seen")
	}
	if l.Less(slow, quick, scenario.Nanos) {
		t.Error("the slower one leads")
	}
	alike := ledger.Cell{Scenario: "inline-1", Contender: "alike"}
	add(l, alike, 11, 12, 13, 14, 15, 16)
	if l.Less(quick, alike, scenario.Nanos) {
		t.Error("noise counts as a lead")
	}
	if l.Less(quick, ledger.Cell{}, scenario.Nanos) {
		t.Error("nothing is being led")
	}
}

func TestAFailureTakesTheFiguresAway(t *testing.T) {
	l := ledger.New()
	add(l, quick, 10)
	l.Fail(quick, "a handler got 1 of 2 events")
	if f, ok := l.Figure(quick, scenario.Nanos); ok {
		t.Errorf("got %+v", f)
	}
	if !l.Settled(quick) || l.Failure(quick) == "" {
		t.Error("the failure is forgotten")
	}
}

func TestAMarkStays(t *testing.T) {
	l := ledger.New()
	l.Add(quick, scenario.Result{Mark: "out of order"})
	l.Add(quick, scenario.Result{})
	if l.Mark(quick) != "out of order" {
		t.Error("one repetition in order hides the one that was not")
	}
}
