package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/probe"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// childCommand is the first argument of the processes that measure.
const childCommand = "child"

// An answer is what a child writes to its standard output.
type answer struct {
	Result scenario.Result `json:"result,omitzero"`
	Facts  probe.Facts     `json:"facts,omitzero"`
	// Error says why there is neither.
	Error string `json:"error,omitempty"`
	// Lacks is set when the reason is that the contender has no way to do it.
	Lacks *scenario.LackError `json:"lacks,omitempty"`
}

// child does one measurement or one trial in this process, and returns the exit code.
func child(arguments []string) int {
	a := perform(arguments)
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func perform(arguments []string) answer {
	if len(arguments) != 4 {
		return answer{Error: "a child takes a kind, an ID, a contender and a budget"}
	}
	kind, id := arguments[0], arguments[1]
	c, ok := contender.ByID(arguments[2])
	if !ok {
		return answer{Error: "no contender " + arguments[2]}
	}
	budget, err := time.ParseDuration(arguments[3])
	if err != nil {
		return answer{Error: err.Error()}
	}
	var a answer
	if kind == "scenario" {
		if s, ok := scenario.ByID(id); ok {
			a.Result, err = s.Measure(c, budget)
		} else {
			err = fmt.Errorf("no scenario %s", id)
		}
	} else {
		if p, ok := probe.ByID(id); ok {
			a.Facts, err = p.Try(c)
		} else {
			err = fmt.Errorf("no probe %s", id)
		}
	}
	if err != nil {
		a.Error = err.Error()
		a.Lacks, _ = errors.AsType[*scenario.LackError](err)
	}
	return a
}

// A process starts children.
type process struct {
	executable string
	// patience is how long a measurement may take before it is given up.
	patience time.Duration
}

// measure lets a child do one measurement.
func (p process) measure(ctx context.Context, id, contender string, budget time.Duration) (scenario.Result, error) {
	e := p.start(ctx, p.patience, "scenario", id, contender, budget)
	switch {
	case ctx.Err() != nil:
		return scenario.Result{}, ctx.Err()
	case e.hung:
		return scenario.Result{}, fmt.Errorf("not done after %v", p.patience)
	case e.died != "":
		return scenario.Result{}, errors.New("the process died: " + e.died)
	case e.answer.Lacks != nil:
		return scenario.Result{}, e.answer.Lacks
	case e.answer.Error != "":
		return scenario.Result{}, errors.New(e.answer.Error)
	}
	return e.answer.Result, nil
}

// try lets a child do one trial of a probe.
func (p process) try(ctx context.Context, q probe.Probe, contender string) (probe.Outcome, error) {
	e := p.start(ctx, q.Patience, "probe", q.ID, contender, 0)
	if err := ctx.Err(); err != nil {
		return probe.Outcome{}, err
	}
	if e.answer.Error != "" {
		return probe.Outcome{}, errors.New(e.answer.Error)
	}
	return probe.Outcome{Facts: e.answer.Facts, Died: e.died != "", Hung: e.hung, Logged: e.logged}, nil
}

// An ending is what became of a child.
type ending struct {
	answer answer
	hung   bool
	// died is what the child had to say for itself when it did not end well.
	died   string
	logged bool
}

func (p process) start(ctx context.Context, patience time.Duration, kind, id, contender string, budget time.Duration) ending {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(limited, p.executable, childCommand, kind, id, contender, budget.String())
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	switch {
	case limited.Err() != nil:
		return ending{hung: true}
	case err != nil:
		return ending{died: lastWords(stderr.String(), err)}
	}
	var a answer
	if err := json.Unmarshal(stdout.Bytes(), &a); err != nil {
		return ending{died: err.Error()}
	}
	return ending{answer: a, logged: stderr.Len() > 0}
}

// lastWords returns the line in which the Go runtime says what happened, or else how the process ended.
func lastWords(stderr string, err error) string {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	return err.Error()
}
