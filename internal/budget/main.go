// Budget reads the output of go test -bench and prints the figures beside the
// performance budget of the package:
//
//	go test -run '^$' -bench . -count 6 . | go run ./internal/budget
//
// It reports and does not judge: a row that is not met, or not measured, is
// said, and the exit status is 0 all the same, since a figure of a shared
// machine is not a fact about the code.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func main() {
	command := flag.String("command", "", "the command whose output is read, to print with the table")
	durable := flag.Bool("durable", false, "print the rows of durable events in place of those of the bus")
	flag.Parse()
	wanted := rows
	if *durable {
		wanted = durableRows
	}
	before := readLoad()
	for _, line := range before.describe("before", busyBefore) {
		fmt.Fprintln(os.Stderr, line)
	}
	results, err := read(os.Stdin, os.Stderr)
	if err == nil {
		results.notes = append(before.describe("before", busyBefore), readLoad().describe("after", busyAfter)...)
		err = write(os.Stdout, results, wanted, *command)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "budget:", err)
		os.Exit(1)
	}
}

// write prints the table, in Markdown.
func write(to io.Writer, results *results, rows []row, command string) error {
	table := [][]string{
		{"work", "measured", "beside", "ratio", "budget", "allocs/op", "verdict"},
		{"-", "-", "-", "-", "-", "-", "-"},
	}
	count := make(map[string]int)
	for _, row := range rows {
		cells, verdict := line(row, results.measure(row))
		table = append(table, cells)
		count[verdict]++
	}

	var out strings.Builder
	fmt.Fprintf(&out, "\n%s, %d processors, %s\n", strings.Join(results.machine, ", "), runtime.NumCPU(), runtime.Version())
	if command != "" {
		fmt.Fprintln(&out, command)
	}
	for _, note := range results.notes {
		fmt.Fprintln(&out, note)
	}
	fmt.Fprint(&out, "Medians, with the least and the greatest in brackets.\n\n")
	align(&out, table)
	fmt.Fprintf(&out, "\nmet: %d, not met: %d, not measured: %d\n", count[met], count[notMet], count[notMeasured])
	_, err := io.WriteString(to, out.String())
	return err
}

// The verdicts on a row.
const (
	met         = "met"
	notMet      = "NOT met"
	notMeasured = "not measured"
	noLimit     = "no limit"
)

// line returns the cells of a row, and the verdict on it.
func line(row row, m measurement) (cells []string, verdict string) {
	unit, limit := " "+strings.TrimSuffix(row.figures(), "/op"), ""
	if row.hasLimit() {
		limit = "≤ " + number(row.atMost)
		if row.atLeast > 0 {
			limit = "≥ " + number(row.atLeast)
		}
		if row.beside == "" {
			limit += unit
		} else {
			limit += "×"
		}
	}
	if m.missing != "" {
		return []string{row.work, "", "", "", limit, "", notMeasured + " (" + m.missing + ")"}, notMeasured
	}

	switch {
	case !m.met(row):
		verdict = notMet
	case !row.hasLimit() && row.allocs == anyAllocs:
		verdict = noLimit
	default:
		verdict = met
	}
	spread := fmt.Sprintf(" (%s to %s)", figure(m.ratios[0]), figure(m.ratios[len(m.ratios)-1]))
	measured, beside, ratio := figure(m.bench)+unit, "", ""
	if row.beside == "" {
		measured += spread
	} else {
		beside, ratio = figure(m.beside)+unit, figure(median(m.ratios))+"×"+spread
	}
	allocs := ""
	if row.allocs != anyAllocs {
		allocs = number(m.allocs) + " of " + number(row.allocs.most())
	}
	return []string{row.work, measured, beside, ratio, limit, allocs, verdict}, verdict
}

// figure formats what was measured, number what was decided.
func figure(x float64) string {
	switch {
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x >= 1:
		return strconv.FormatFloat(x, 'f', 2, 64)
	default:
		return strconv.FormatFloat(x, 'f', 3, 64)
	}
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// align prints a table with columns of even width; a cell that is a dash
// becomes a rule.
func align(to io.Writer, table [][]string) {
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, cells := range table {
		cells = slices.Clone(cells)
		for i, cell := range cells {
			fill := " "
			if cell == "-" {
				fill = "-"
			}
			cells[i] += strings.Repeat(fill, widths[i]-utf8.RuneCountInString(cell))
		}
		fmt.Fprintf(to, "| %s |\n", strings.Join(cells, " | "))
	}
}
