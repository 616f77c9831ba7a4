package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"
)

// actArgument has the program be a publisher or a worker.
const actArgument = "act"

func main() {
	var err error
	if len(os.Args) == 3 && os.Args[1] == actArgument {
		err = act(os.Args[2])
	} else {
		err = direct()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func direct() error {
	p := plan{out: os.Stdout}
	flag.StringVar(&p.engine, "engine", "", "the one engine to put to the test: "+names(engines))
	flag.StringVar(&p.scenario, "scenario", "", "the one scenario to run: "+names(scenarios))
	flag.StringVar(&p.broken, "break", "", "break an engine on purpose, or all in turn, which must be noticed: all, "+names(sabotages))
	flag.DurationVar(&p.duration, "time", 10*time.Minute, "how long the mixed scenario lasts")
	flag.BoolVar(&p.quick, "quick", false, "run all in two minutes")
	flag.BoolVar(&p.keep, "keep", false, "keep ledgers and logs in any case")
	flag.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "of what is random in the director")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what scenarios provoke is no news
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if p.program, err = os.Executable(); err != nil {
		return err
	}
	return p.run(ctx)
}

// named is what can be chosen by its name.
type named interface{ title() string }

func (e *engine) title() string   { return e.name }
func (s *scenario) title() string { return s.name }
func (s *sabotage) title() string { return s.name }

func names[T named](all []T) string {
	var list []string
	for _, one := range all {
		list = append(list, one.title())
	}
	return strings.Join(list, ", ")
}

// choose returns the one of a name, or all for no name.
func choose[T named](what, name string, all []T) ([]T, error) {
	if name == "" {
		return all, nil
	}
	for _, one := range all {
		if one.title() == name {
			return []T{one}, nil
		}
	}
	return nil, fmt.Errorf("no %s %q: want one of %s", what, name, names(all))
}
