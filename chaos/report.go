package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// mostShown is how many violations of a check are shown: the ledgers have all.
const mostShown = 5

// report prints what a scenario has found.
func (r *result) report(out io.Writer) {
	if len(r.tallies) > 0 {
		table := tabwriter.NewWriter(out, 2, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(table, "  group\tstored\thandled\tdead\tlost\tdoubled\tshare\truns\t\n")
		for _, t := range r.tallies {
			share := float64(t.doubled) / float64(max(t.handled, 1))
			fmt.Fprintf(table, "  %s\t%d\t%d\t%d\t%d\t%d\t%.2f%%\t%d\t\n", t.group, t.stored, t.handled, t.dead, t.missing, t.doubled, 100*share, t.runs)
		}
		_ = table.Flush() // as all that is printed
	}
	if r.complaints > 0 {
		fmt.Fprintf(out, "  %d times a process was told that something could not be done\n", r.complaints)
	}
	shown := make(map[string]int)
	for _, v := range r.violations {
		if shown[v.check]++; shown[v.check] <= mostShown {
			fmt.Fprintf(out, "  VIOLATION %s: %s %s\n", v.check, v.group, v.text)
		}
	}
	for name, n := range shown {
		if n > mostShown {
			fmt.Fprintf(out, "  VIOLATION %s: %d in all\n", name, n)
		}
	}
}
