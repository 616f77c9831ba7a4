// Command compare measures every event bus of the comparison in one run, and writes the result as a page with tables and
// charts.
//
// Each measurement runs in a process of its own, which the command starts from its own executable: what a contender leaves
// behind, and what kills it, stays there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/report"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		os.Exit(child(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "take about 3 minutes instead of 20: shorter measurements, fewer repetitions")
	out := flags.String("out", "../docs", "folder to write benchmarks.md and benchmarks/*.svg to")
	scenarios := flags.String("scenarios", "", "measure only the scenarios and probes whose ID matches this expression")
	contenders := flags.String("contenders", "", "measure only the contenders whose ID matches this expression")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*scenarios)
	if err != nil {
		return err
	}
	taking, err := regexp.Compile(*contenders)
	if err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	effort := thorough
	if *quick {
		effort = hasty
	}
	p := newPlan(effort, wanted, taking)
	begin := time.Now()
	results := ledger.New()
	if err := p.run(ctx, process{executable, effort.patience}, results, os.Stderr); err != nil {
		return err
	}
	command := strings.Join(append([]string{"go run ./cmd/compare"}, arguments...), " ")
	machine := describe(command, begin)
	machine.Repetitions = effort.repetitions
	if err := report.Write(*out, report.Page{Run: machine, Contenders: p.contenders, Results: results}); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "done in %v, written to %s\n", time.Since(begin).Round(time.Second), *out)
	return nil
}
