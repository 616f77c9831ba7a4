package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results are the figures of a run: for each benchmark and unit, one for each
// time that it was measured.
type results struct {
	figures map[metric][]float64
	machine []string // what go test said about the machine
	notes   []string // what else the reader is to know of the run
}

type metric struct{ bench, unit string }

// processors is the suffix that go test gives to every name.
var processors = regexp.MustCompile(`-\d+$`)

// read reads what go test -bench printed, once or several times. Its progress
// goes to the given writer, and with it whatever is no result: a failure is
// not to be lost between the figures.
func read(from io.Reader, progress io.Writer) (*results, error) {
	r := &results{figures: make(map[metric][]float64)}
	lines := bufio.NewScanner(from)
	dots := 0
	say := func(line string) {
		if dots > 0 {
			fmt.Fprintf(progress, " %d measured\n", dots)
			dots = 0
		}
		if line != "" {
			fmt.Fprintln(progress, line)
		}
	}
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		key, _, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "Benchmark"):
			if err := r.add(line); err != nil {
				say(fmt.Sprintf("line %d: %v: %s", n, err, line))
				continue
			}
			fmt.Fprint(progress, ".")
			dots++
		case slices.Contains([]string{"goos", "goarch", "cpu"}, key):
			if !slices.Contains(r.machine, line) {
				r.machine = append(r.machine, line)
			}
		case key == "pkg", line == "PASS":
		default:
			say(line)
		}
	}
	say("")
	return r, lines.Err()
}

// add takes the figures of one line, or none when any of it cannot be read:
//
//	BenchmarkName-2   100   4.6 ns/op   0 allocs/op
func (r *results) add(line string) error {
	fields := strings.Fields(line)
	if len(fields) < 4 || len(fields)%2 != 0 {
		return errors.New("want a name, a count, and pairs of figure and unit")
	}
	if _, err := strconv.Atoi(fields[1]); err != nil {
		return fmt.Errorf("want a count behind the name, got %q", fields[1])
	}
	figures := make([]float64, 0, len(fields)/2)
	for i := 2; i < len(fields); i += 2 {
		figure, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return fmt.Errorf("want a figure before %s, got %q", fields[i+1], fields[i])
		}
		figures = append(figures, figure)
	}
	name := processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
	for i, figure := range figures {
		of := metric{name, fields[3+2*i]}
		r.figures[of] = append(r.figures[of], figure)
	}
	return nil
}

// A measurement is what the figures say about a row.
type measurement struct {
	bench, beside float64   // medians
	ratios        []float64 // one for each round, in ascending order; of a row with nothing beside it, the figures
	allocs        float64   // median
	missing       string    // what the row needs and was not measured
}

// measure finds the figures of a row.
func (r *results) measure(row row) measurement {
	var m measurement
	figures := func(bench, unit string) []float64 {
		found := r.figures[metric{bench, unit}]
		if len(found) == 0 && m.missing == "" {
			m.missing = unit + " of " + bench
		}
		return found
	}

	bench := figures(row.bench, row.figures())
	m.bench, m.ratios = median(bench), bench
	if row.beside != "" {
		// Each figure is divided by the one that was measured in the same
		// round, so that a machine that drifts hurts both.
		beside := figures(row.beside, row.figures())
		m.beside, m.ratios = median(beside), nil
		for i := range min(len(bench), len(beside)) {
			m.ratios = append(m.ratios, bench[i]/beside[i])
		}
	}
	m.ratios = slices.Sorted(slices.Values(m.ratios))
	if row.allocs != anyAllocs {
		m.allocs = median(figures(row.bench, "allocs/op"))
	}
	return m
}

// met says whether a measurement is within the budget of its row.
func (m measurement) met(row row) bool {
	got := median(m.ratios)
	switch {
	case row.allocs != anyAllocs && m.allocs > row.allocs.most():
		return false
	case row.atLeast > 0:
		return got >= row.atLeast
	case row.atMost > 0:
		return got <= row.atMost
	default:
		return true
	}
}

// median returns 0 for no figures.
func median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
