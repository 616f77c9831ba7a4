package main

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/probe"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// A stage stands in for the processes.
type stage struct {
	calls []string
	fail  map[string]error
}

func (s *stage) measure(_ context.Context, id, contender string, _ time.Duration) (scenario.Result, error) {
	s.calls = append(s.calls, id+" "+contender)
	if err := s.fail[contender]; err != nil {
		return scenario.Result{}, err
	}
	return scenario.Result{Values: map[scenario.Metric]float64{scenario.Nanos: 1}}, nil
}

func (s *stage) try(_ context.Context, q probe.Probe, contender string) (probe.Outcome, error) {
	s.calls = append(s.calls, q.ID+" "+contender)
	return probe.Outcome{Facts: probe.Facts{Usable: true}, Died: contender == "kelindar"}, nil
}

func TestContendersTakeTurns(t *testing.T) {
	p := newPlan(effort{repetitions: 2}, regexp.MustCompile("^inline-1$"), regexp.MustCompile("^(events|loop|rwmutex)$"))
	var s stage
	if err := p.run(t.Context(), &s, ledger.New(), new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"inline-1 events", "inline-1 rwmutex", "inline-1 loop",
		"inline-1 events", "inline-1 rwmutex", "inline-1 loop",
	}
	if !slices.Equal(s.calls, want) {
		t.Errorf("got %q", s.calls)
	}
}

func TestAFailureIsEnteredAndNotRepeated(t *testing.T) {
	p := newPlan(effort{repetitions: 3}, regexp.MustCompile("^inline-1$"), regexp.MustCompile("^(events|loop)$"))
	s := stage{fail: map[string]error{"loop": errors.New("a handler got 1 of 2 events")}}
	results := ledger.New()
	if err := p.run(t.Context(), &s, results, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	if len(s.calls) != 4 {
		t.Errorf("got %q", s.calls)
	}
	if results.Failure(ledger.Cell{Scenario: "inline-1", Contender: "loop"}) == "" {
		t.Error("the failure is not in the ledger")
	}
}

func TestAMissingModeIsEnteredAndNotMeasured(t *testing.T) {
	p := newPlan(effort{repetitions: 1, trials: 1}, regexp.MustCompile("^(inline-1|panic-inline)$"), regexp.MustCompile("^kelindar$"))
	var s stage
	results := ledger.New()
	if err := p.run(t.Context(), &s, results, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	if len(s.calls) != 0 {
		t.Errorf("got %q", s.calls)
	}
	if results.Lacking(ledger.Cell{Scenario: "inline-1", Contender: "kelindar"}) == "" {
		t.Error("what it lacks is not in the ledger")
	}
}

func TestProbesAreTriedAndJudged(t *testing.T) {
	p := newPlan(effort{trials: 3}, regexp.MustCompile("^panic-async$"), regexp.MustCompile("^(kelindar|ro)$"))
	var s stage
	results := ledger.New()
	if err := p.run(t.Context(), &s, results, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"panic-async kelindar", "panic-async ro", "panic-async ro", "panic-async ro"}; !slices.Equal(s.calls, want) {
		t.Errorf("got %q", s.calls)
	}
	v, ok := results.Verdict(ledger.Cell{Scenario: "panic-async", Contender: "kelindar"})
	if !ok || v.Text != "the process dies" {
		t.Errorf("got %+v, %v", v, ok)
	}
}

func TestAnInterruptEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := newPlan(effort{repetitions: 2}, regexp.MustCompile("^inline-1$"), regexp.MustCompile("^events$"))
	if err := p.run(ctx, &stage{}, ledger.New(), new(bytes.Buffer)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLastWords(t *testing.T) {
	crash := "time=now level=INFO\npanic: the handler went wrong\n\ngoroutine 7 [running]:\n"
	if got := lastWords(crash, errors.New("exit status 2")); got != "panic: the handler went wrong" {
		t.Errorf("got %q", got)
	}
	if got := lastWords("", errors.New("signal: killed")); got != "signal: killed" {
		t.Errorf("got %q", got)
	}
}

func TestAChildAnswers(t *testing.T) {
	a := perform([]string{"scenario", "inline-1", "loop", "1ms"})
	if a.Error != "" || a.Result.Values[scenario.Nanos] <= 0 {
		t.Errorf("got %+v", a)
	}
	a = perform([]string{"probe", "own-topic", "loop", "0s"})
	if a.Error != "" || a.Facts.Handled != 2 {
		t.Errorf("got %+v", a)
	}
	for _, wrong := range [][]string{
		nil,
		{"scenario", "inline-1", "nobody's", "1ms"},
		{"scenario", "none", "loop", "1ms"},
		{"probe", "none", "loop", "1ms"},
		{"scenario", "inline-1", "loop", "soon"},
	} {
		if a := perform(wrong); a.Error == "" {
			t.Errorf("%q has an answer: %+v", wrong, a)
		}
	}
	if a := perform([]string{"scenario", "inline-1", "kelindar", "1ms"}); a.Lacks == nil {
		t.Errorf("got %+v", a)
	}
}
