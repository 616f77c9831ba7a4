package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// plan is what the command line asks for.
type plan struct {
	engine, scenario, broken string
	duration                 time.Duration
	quick, keep              bool
	seed                     uint64
	program                  string
	out                      io.Writer
}

const (
	quickTime  = 20 * time.Second // of the mixed scenario
	brokenTime = time.Minute      // of one run of a broken engine
	brokenRuns = 3                // in which that must have been noticed
)

func (p *plan) run(ctx context.Context) error {
	chosen, err := choose("engine", p.engine, engines)
	if err != nil {
		return err
	}
	if p.quick {
		p.duration = min(p.duration, quickTime)
	}
	var errs []error
	for _, e := range chosen {
		if missing := e.missing(); missing != "" {
			fmt.Fprintf(p.out, "== %s: skipped, for want of %s\n", e.name, missing)
			continue
		}
		if p.broken != "" {
			errs = append(errs, p.tryBroken(ctx, e))
		} else {
			errs = append(errs, p.try(ctx, e))
		}
	}
	return errors.Join(errs...)
}

// try runs the scenarios on an engine. Those that play in one process spend their time with
// waiting, so they play side by side.
func (p *plan) try(ctx context.Context, e *engine) error {
	chosen, err := choose("scenario", p.scenario, scenarios)
	if err != nil {
		return err
	}
	chosen = slices.DeleteFunc(slices.Clone(chosen), func(sc *scenario) bool { return sc.only != nil && !sc.only(e) })
	runs := make([]performance, len(chosen))
	var beside sync.WaitGroup
	for i, sc := range chosen {
		if sc.directed {
			r := &runs[i]
			beside.Go(func() { r.violated, r.err = p.perform(ctx, e, sc, &r.text) })
		}
	}
	beside.Wait()
	var violated []string
	for i, sc := range chosen {
		if _, err := runs[i].text.WriteTo(p.out); err != nil {
			return err
		}
		if !sc.directed {
			runs[i].violated, runs[i].err = p.perform(ctx, e, sc, p.out)
		}
		if runs[i].err != nil {
			return fmt.Errorf("%s, %s: %w", e.name, sc.name, runs[i].err)
		}
		if runs[i].violated {
			violated = append(violated, sc.name)
		}
	}
	if len(violated) > 0 {
		return fmt.Errorf("%s: promises are broken in %v", e.name, violated)
	}
	fmt.Fprintf(p.out, "\nchaos: %s keeps its promises, in %d scenarios\n", e.name, len(chosen))
	return nil
}

// performance is what has come of a scenario.
type performance struct {
	text     bytes.Buffer // what it has printed, if it played beside others
	violated bool
	err      error
}

func (p *plan) perform(ctx context.Context, e *engine, sc *scenario, out io.Writer) (violated bool, err error) {
	fmt.Fprintf(out, "\n== %s, %s: %s\n", e.name, sc.name, sc.about)
	begun := time.Now()
	on := p.stage(e)
	on.out = out
	r, err := play(ctx, sc, on)
	if err != nil {
		return false, err
	}
	r.report(out)
	verdict := "nothing found"
	if len(r.violations) > 0 {
		verdict = fmt.Sprintf("%d violations", len(r.violations))
	}
	fmt.Fprintf(out, "  %s in %v (seed %d)\n", verdict, time.Since(begun).Round(time.Second), p.seed)
	return len(r.violations) > 0, nil
}

func (p *plan) stage(e *engine) stage {
	return stage{
		engine: e, program: p.program, duration: p.duration, quick: p.quick, keep: p.keep, saying: 10 * time.Second,
		random: rand.New(rand.NewPCG(p.seed, 0)), out: p.out,
	}
}

// tryBroken breaks an engine on purpose, one way after the other, and fails if one of
// them is not noticed.
func (p *plan) tryBroken(ctx context.Context, e *engine) error {
	name := p.broken
	if name == "all" {
		name = ""
	}
	chosen, err := choose("break", name, sabotages)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "chaos-break-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }() // it is in the temporary folder
	table := tabwriter.NewWriter(p.out, 2, 0, 2, ' ', 0)
	unnoticed := 0
	for _, s := range chosen {
		if !s.isFor(e) {
			continue
		}
		noticed, err := p.notice(ctx, e, s, folder)
		if err != nil {
			return fmt.Errorf("break %s: %w", s.name, err)
		}
		if noticed == "" {
			noticed = "NOT NOTICED"
			unnoticed++
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", s.name, noticed, s.about)
	}
	fmt.Fprintf(p.out, "\n== %s, broken on purpose\n", e.name)
	_ = table.Flush() // as all that is printed
	if unnoticed > 0 {
		return fmt.Errorf("%s: %d ways to break it were not noticed", e.name, unnoticed)
	}
	return nil
}

// notice runs a broken engine until that is noticed, and returns how it was, or nothing.
func (p *plan) notice(ctx context.Context, e *engine, s *sabotage, folder string) (string, error) {
	program, err := s.build(ctx, folder)
	if err != nil {
		return "", err
	}
	scenes, err := choose("scenario", s.scenario, scenarios)
	if err != nil {
		return "", err
	}
	begun := time.Now()
	for n := range brokenRuns {
		fmt.Fprintf(p.out, "\n== %s, broken by %s, run %d: %s\n", e.name, s.name, n+1, s.about)
		if scenes[0].directed {
			if out, err := exec.CommandContext(ctx, program, "-engine="+e.name, "-scenario="+s.scenario).CombinedOutput(); err != nil {
				fmt.Fprintf(p.out, "%s", out)
				return fmt.Sprintf("noticed after %v: %v", time.Since(begun).Round(time.Second), err), nil
			}
			continue
		}
		on := p.stage(e)
		on.program, on.duration, on.saying, on.hasty = program, brokenTime, 2*time.Second, true
		on.random = rand.New(rand.NewPCG(p.seed, uint64(n)))
		r, err := play(ctx, scenes[0], on)
		if err != nil {
			return "", err
		}
		r.report(p.out)
		if len(r.violations) > 0 {
			return fmt.Sprintf("noticed after %v by %s", time.Since(begun).Round(time.Second), r.checks()), nil
		}
	}
	return "", nil
}
