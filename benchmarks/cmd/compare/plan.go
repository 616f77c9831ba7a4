package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/probe"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// An effort is how much a run puts into its figures.
type effort struct {
	repetitions int
	// budget is the time for one measurement, patience the time after which it is given up.
	budget   time.Duration
	patience time.Duration
	// trials is how often each probe is tried; the worst answer counts.
	trials int
}

// Six repetitions are the fewest that give a median with a 95% interval.
var (
	thorough = effort{repetitions: 10, budget: 400 * time.Millisecond, patience: 20 * time.Second, trials: 3}
	hasty    = effort{repetitions: 6, budget: 30 * time.Millisecond, patience: 5 * time.Second, trials: 1}
)

// A plan is what a run measures, in order.
type plan struct {
	effort     effort
	scenarios  []scenario.Scenario
	probes     []probe.Probe
	contenders []contender.Contender
}

func newPlan(e effort, wanted, taking *regexp.Regexp) plan {
	p := plan{effort: e}
	for _, s := range scenario.All() {
		if wanted.MatchString(s.ID) {
			p.scenarios = append(p.scenarios, s)
		}
	}
	for _, q := range probe.All() {
		if wanted.MatchString(q.ID) {
			p.probes = append(p.probes, q)
		}
	}
	for _, c := range contender.All() {
		if taking.MatchString(c.ID) {
			p.contenders = append(p.contenders, c)
		}
	}
	return p
}

// A bench measures and tries; in earnest it is a [process].
type bench interface {
	measure(ctx context.Context, id, contender string, budget time.Duration) (scenario.Result, error)
	try(ctx context.Context, q probe.Probe, contender string) (probe.Outcome, error)
}

// run enters everything that the plan has into the ledger, and says on w how far it is.
func (p plan) run(ctx context.Context, b bench, results *ledger.Ledger, w io.Writer) error {
	if err := p.probe(ctx, b, results, w); err != nil {
		return err
	}
	begin := time.Now()
	steps, step := p.effort.repetitions*len(p.scenarios), 0
	for repetition := range p.effort.repetitions {
		for _, s := range p.scenarios {
			// One contender after the other within each repetition: a machine that drifts slows all of them alike.
			for _, c := range p.contenders {
				if err := p.measure(ctx, b, s, c, results, w); err != nil {
					return err
				}
			}
			step++
			left := time.Since(begin) / time.Duration(step) * time.Duration(steps-step)
			fmt.Fprintf(w, "repetition %d of %d: %-16s %3d%%, %v left\n",
				repetition+1, p.effort.repetitions, s.ID, 100*step/steps, left.Round(time.Second))
		}
	}
	return nil
}

// measure enters one repetition of one cell, and returns an error only when the run must end.
func (p plan) measure(ctx context.Context, b bench, s scenario.Scenario, c contender.Contender, results *ledger.Ledger, w io.Writer) error {
	cell := ledger.Cell{Scenario: s.ID, Contender: c.ID}
	if results.Settled(cell) {
		return nil
	}
	_, err := s.Mode(c)
	var result scenario.Result
	if err == nil {
		result, err = b.measure(ctx, s.ID, c.ID, p.effort.budget)
	}
	lack, lacks := errors.AsType[*scenario.LackError](err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lacks:
		results.Lack(cell, lack.Reason)
	case err != nil:
		fmt.Fprintf(w, "%s at %s: %v\n", c.Name, s.ID, err)
		results.Fail(cell, err.Error())
	default:
		results.Add(cell, result)
	}
	return nil
}

func (p plan) probe(ctx context.Context, b bench, results *ledger.Ledger, w io.Writer) error {
	for _, q := range p.probes {
		for _, c := range p.contenders {
			if _, ok := q.Mode(c); !ok {
				continue
			}
			var outcomes []probe.Outcome
			for range p.effort.trials {
				outcome, err := b.try(ctx, q, c.ID)
				if err != nil {
					return fmt.Errorf("%s at %s: %w", c.Name, q.ID, err)
				}
				// The worst answer counts, so a bad one needs no second trial.
				if outcomes = append(outcomes, outcome); q.Judge(outcomes).Grade == probe.Bad {
					break
				}
			}
			results.Judge(ledger.Cell{Scenario: q.ID, Contender: c.ID}, q.Judge(outcomes))
		}
		fmt.Fprintf(w, "probed: %s\n", q.ID)
	}
	return nil
}
