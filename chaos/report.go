package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
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
	for _, name := range slices.Sorted(maps.Keys(r.blows)) {
		fmt.Fprintf(out, "  %d times: %s\n", r.blows[name], name)
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
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		if shown[name] > mostShown {
			fmt.Fprintf(out, "  VIOLATION %s: %d in all\n", name, shown[name])
		}
	}
}

// checks returns which checks have found something, and how much.
func (r *result) checks() string {
	counts := make(map[string]int)
	for _, v := range r.violations {
		counts[v.check]++
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s (%d)", name, counts[name]))
	}
	return strings.Join(list, ", ")
}
