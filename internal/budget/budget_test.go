package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// output is what two rounds of go test -bench print.
const output = `goos: linux
goarch: amd64
pkg: github.com/typedbus/events
cpu: A Processor
BenchmarkTyped/handlers=1/floor-2         	 2984767	         4.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkTyped/handlers=1/bus-2           	 1326940	        12.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkTypedParallel/goroutines=1-2     	  823202	        12.0 ns/op
BenchmarkTypedParallel/goroutines=2-2     	 1208751	         8.0 ns/op
BenchmarkSubscribe/topics=100000-2        	       1	  66300758 ns/op	       397.0 bytes/topic	       663.0 ns/topic
PASS
ok  	github.com/typedbus/events	0.910s
goos: linux
goarch: amd64
pkg: github.com/typedbus/events
cpu: A Processor
BenchmarkTyped/handlers=1/floor-2         	 1761228	         8.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkTyped/handlers=1/bus-2           	  814430	        16.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkTypedParallel/goroutines=1-2     	  977786	        12.0 ns/op
BenchmarkTypedParallel/goroutines=2-2     	 1194098	         6.0 ns/op
BenchmarkSubscribe/topics=100000-2        	       1	  70990569 ns/op	       399.0 bytes/topic	       709.0 ns/topic
PASS
ok  	github.com/typedbus/events	0.898s
`

var (
	typed      = row{work: "typed", bench: "Typed/handlers=1/bus", beside: "Typed/handlers=1/floor", atMost: 3, allocs: noAllocs}
	throughput = row{work: "throughput", bench: "TypedParallel/goroutines=1", beside: "TypedParallel/goroutines=2", atLeast: 1.8}
	memory     = row{work: "memory", bench: "Subscribe/topics=100000", unit: "bytes/topic", atMost: 400}
	noRatio    = row{work: "no ratio", bench: "Typed/handlers=1/bus", beside: "Typed/handlers=1/floor", allocs: oneAlloc}
	noLimits   = row{work: "no limits", bench: "Typed/handlers=1/bus", beside: "Typed/handlers=1/floor"}
)

func readAll(t *testing.T, output string) (*results, string) {
	t.Helper()
	var progress strings.Builder
	results, err := read(strings.NewReader(output), &progress)
	if err != nil {
		t.Fatal(err)
	}
	return results, progress.String()
}

// verdict returns the line of a row as it is printed.
func verdict(t *testing.T, output string, row row) string {
	t.Helper()
	results, _ := readAll(t, output)
	cells, _ := line(row, results.measure(row))
	return strings.Join(cells, " | ")
}

func TestVerdicts(t *testing.T) {
	tests := map[string]struct {
		row  row
		edit []string // pairs of old and new
		want string
	}{
		"met":                      {typed, nil, "typed | 14.0 ns | 6.00 ns | 2.50× (2.00 to 3.00) | ≤ 3× | 0 of 0 | met"},
		"at the limit":             {typed, []string{"16.0", "24.0"}, "typed | 18.0 ns | 6.00 ns | 3.00× (3.00 to 3.00) | ≤ 3× | 0 of 0 | met"},
		"over":                     {typed, []string{"16.0", "26.0"}, "typed | 19.0 ns | 6.00 ns | 3.12× (3.00 to 3.25) | ≤ 3× | 0 of 0 | NOT met"},
		"allocates":                {typed, []string{"       0 allocs/op", "       1 allocs/op"}, "typed | 14.0 ns | 6.00 ns | 2.50× (2.00 to 3.00) | ≤ 3× | 1 of 0 | NOT met"},
		"at least":                 {throughput, []string{"6.0 ns", "4.0 ns"}, "throughput | 12.0 ns | 6.00 ns | 2.25× (1.50 to 3.00) | ≥ 1.8× |  | met"},
		"less than at least":       {throughput, nil, "throughput | 12.0 ns | 7.00 ns | 1.75× (1.50 to 2.00) | ≥ 1.8× |  | NOT met"},
		"a figure by itself":       {memory, nil, "memory | 398 bytes/topic (397 to 399) |  |  | ≤ 400 bytes/topic |  | met"},
		"without a limit":          {noLimits, nil, "no limits | 14.0 ns | 6.00 ns | 2.50× (2.00 to 3.00) |  |  | no limit"},
		"one allocation":           {noRatio, []string{"       0 allocs/op", "       1 allocs/op"}, "no ratio | 14.0 ns | 6.00 ns | 2.50× (2.00 to 3.00) |  | 1 of 1 | met"},
		"two allocations":          {noRatio, []string{"       0 allocs/op", "       2 allocs/op"}, "no ratio | 14.0 ns | 6.00 ns | 2.50× (2.00 to 3.00) |  | 2 of 1 | NOT met"},
		"without its benchmark":    {typed, []string{"handlers=1/bus", "handlers=1/car"}, "typed |  |  |  | ≤ 3× |  | not measured (ns/op of Typed/handlers=1/bus)"},
		"without the one beside":   {typed, []string{"handlers=1/floor", "handlers=1/door"}, "typed |  |  |  | ≤ 3× |  | not measured (ns/op of Typed/handlers=1/floor)"},
		"without allocations":      {typed, []string{"allocs/op", "elephants/op"}, "typed |  |  |  | ≤ 3× |  | not measured (allocs/op of Typed/handlers=1/bus)"},
		"without its unit":         {memory, []string{"bytes/topic", "bytes"}, "memory |  |  |  | ≤ 400 bytes/topic |  | not measured (bytes/topic of Subscribe/topics=100000)"},
		"one processor, no suffix": {typed, []string{"-2 ", " "}, "typed | 14.0 ns | 6.00 ns | 2.50× (2.00 to 3.00) | ≤ 3× | 0 of 0 | met"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			edited := strings.NewReplacer(test.edit...).Replace(output)
			if got := verdict(t, edited, test.row); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// A machine that is twice as slow in one round must not change the ratio,
// whichever round it is.
func TestRatiosComeFromTheSameRound(t *testing.T) {
	drifting := strings.NewReplacer("4.0 ns", "40.0 ns", "12.0 ns", "80.0 ns").Replace(output)
	if got := verdict(t, drifting, typed); !strings.Contains(got, "| 2.00× (2.00 to 2.00) |") {
		t.Errorf("got %s, want a ratio of 2", got)
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	for _, bad := range []string{
		"BenchmarkTyped/handlers=1/floor-2",
		"BenchmarkTyped/handlers=1/floor-2 \t--- FAIL: BenchmarkTyped",
		"BenchmarkTyped/handlers=1/floor-2 \t many \t 4.0 ns/op",
		"BenchmarkTyped/handlers=1/floor-2 \t 100 \t 4.0 ns/op \t 7",
		"BenchmarkTyped/handlers=1/floor-2 \t 100 \t 1000 ns/op \t x B/op",
	} {
		got, progress := readAll(t, output+bad+"\n")
		if n := len(got.figures[metric{"Typed/handlers=1/floor", "ns/op"}]); n != 2 {
			t.Errorf("after %q there are %d figures for the floor, want the 2 of the other lines", bad, n)
		}
		number := fmt.Sprintf("line %d: ", strings.Count(output, "\n")+1)
		if !strings.Contains(progress, number) || !strings.Contains(progress, bad) {
			t.Errorf("the progress does not name %s%q:\n%s", number, bad, progress)
		}
	}
}

func TestProgressShowsFailures(t *testing.T) {
	failing := output + "--- FAIL: BenchmarkUntyped\n    bench_test.go:76: handlers received 1 events, want 2\n"
	_, progress := readAll(t, failing)
	for _, want := range []string{"..... 5 measured\nok  \t", "--- FAIL: BenchmarkUntyped\n", "want 2\n"} {
		if !strings.Contains(progress, want) {
			t.Errorf("the progress lacks %q:\n%s", want, progress)
		}
	}
}

func TestTable(t *testing.T) {
	results, _ := readAll(t, output)
	results.notes = []string{"a note"}
	var out strings.Builder
	missing := row{work: "missing", bench: "Missing", unit: "ns/op", atMost: 1}
	if err := write(&out, results, []row{typed, throughput, memory, missing}, "go test"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"goos: linux, goarch: amd64, cpu: A Processor, ",
		"\ngo test\na note\n",
		"\n| work       | measured ",
		"\n| typed      | 14.0 ns ",
		"\nmet: 2, not met: 1, not measured: 1\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestLoad(t *testing.T) {
	tests := map[string]struct {
		loadavg string
		want    int // lines
	}{
		"at rest":    {"0.21 0.40 0.35 1/84 3350\n", 1},
		"at one":     {"1.00 0.40 0.35 1/84 3350\n", 1},
		"busy":       {"1.01 0.40 0.35 1/84 3350\n", 2},
		"unreadable": {"much\n", 0},
		"no such":    {"", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			lines := parseLoad(test.loadavg).describe("before", busyBefore)
			if len(lines) != test.want || test.want > 0 && !strings.Contains(lines[0], test.loadavg[:4]) {
				t.Errorf("got %q, want %d lines", lines, test.want)
			}
		})
	}
}

func TestNothingToRead(t *testing.T) {
	results, err := read(strings.NewReader(""), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if m := results.measure(row); m.missing == "" {
			t.Errorf("%s: measured without a figure", row.work)
		}
	}
}

// A row whose benchmark was renamed would say "not measured" for ever.
func TestRowsNameBenchmarks(t *testing.T) {
	if _, err := os.Stat("../../benchmarks"); err != nil {
		t.Skip("the library without its other modules: ", err)
	}
	var source strings.Builder
	for _, pattern := range []string{"../../*_test.go", "../../benchmarks/*_test.go", "../../eventssql/internal/beside/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	seen := make(map[string]bool)
	for _, row := range slices.Concat(rows, durableRows) {
		if row.atMost > 0 && row.atLeast > 0 {
			t.Errorf("%s: want one limit", row.work)
		}
		if seen[row.work] {
			t.Errorf("%s: is there twice", row.work)
		}
		seen[row.work] = true
		for _, bench := range []string{row.bench, row.beside} {
			name, _, _ := strings.Cut(bench, "/")
			if bench != "" && !regexp.MustCompile(`func Benchmark`+name+`\(`).MatchString(source.String()) {
				t.Errorf("%s: there is no Benchmark%s", row.work, name)
			}
		}
	}
}
