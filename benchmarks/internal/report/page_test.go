package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/probe"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

var contenders = []contender.Contender{
	{ID: "events", Name: "events, typed", Kind: contender.Ours},
	{ID: "peer", Name: "a/peer", Kind: contender.Peer},
	{ID: "late", Name: "a/late", Kind: contender.Peer},
	{ID: "loop", Name: "bare loop", Kind: contender.Floor},
}

func filled() *ledger.Ledger {
	l := ledger.New()
	for i := range 6 {
		for id, base := range map[string]float64{"events": 10, "peer": 5, "loop": 4} {
			for _, s := range []string{"inline-1", "inline-10", "inline-100"} {
				l.Add(ledger.Cell{Scenario: s, Contender: id}, scenario.Result{Values: map[scenario.Metric]float64{
					scenario.Nanos: base + float64(i)/10, scenario.Allocs: 0,
				}})
			}
		}
	}
	for _, s := range []string{"inline-1", "inline-10"} {
		l.Lack(ledger.Cell{Scenario: s, Contender: "late"}, "subscribers get a channel")
	}
	l.Fail(ledger.Cell{Scenario: "inline-100", Contender: "late"}, "a handler got 1 of 2 events")
	l.Judge(ledger.Cell{Scenario: "order", Contender: "peer"}, probe.Verdict{Grade: probe.Bad, Text: "no"})
	return l
}

func find(t *testing.T, id string) group {
	t.Helper()
	for _, g := range groups {
		if g.id == id {
			return g
		}
	}
	t.Fatalf("no group %s", id)
	return group{}
}

func TestATableMarksWhatIsMissingAndSaysWhy(t *testing.T) {
	table := find(t, "inline").table(contenders, filled())
	for _, want := range []string{
		"| **events, typed** | 10.2 ns ±2% |",
		"| *bare loop* |",
		"| a/late | —<sup>1</sup> | — | ✗<sup>2</sup> |",
		"<sup>1</sup> subscribers get a channel.",
		"<sup>2</sup> a handler got 1 of 2 events.",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

func TestATableOfNothingIsNone(t *testing.T) {
	if table := find(t, "wakeup").table(contenders, filled()); table != "" {
		t.Errorf("got\n%s", table)
	}
}

func TestAFigureOfDisorderedEventsIsMarked(t *testing.T) {
	l := filled()
	l.Add(ledger.Cell{Scenario: "inline-1", Contender: "peer"}, scenario.Result{
		Values: map[scenario.Metric]float64{scenario.Nanos: 5}, Mark: "out of order",
	})
	if table := find(t, "inline").table(contenders, l); !strings.Contains(table, "<sup>1</sup> out of order.") {
		t.Errorf("got\n%s", table)
	}
}

func TestAPeerThatIsAheadIsNamed(t *testing.T) {
	ahead := find(t, "inline").ahead(contenders, filled())
	if want := "- 1 handler: ahead of events, typed with 10.2 ns is a/peer with 5.25 ns.\n"; !strings.Contains(ahead, want) {
		t.Errorf("no %q in\n%s", want, ahead)
	}
	if strings.Contains(ahead, "bare loop") {
		t.Errorf("a floor is ahead:\n%s", ahead)
	}
}

func TestNobodyAheadIsSaid(t *testing.T) {
	if got := find(t, "inline").ahead(contenders[:1], filled()); got != "No other bus is ahead in this table.\n" {
		t.Errorf("got %q", got)
	}
}

func TestTheBudgetIsJudged(t *testing.T) {
	table := budgetTable(filled())
	for _, want := range []string{
		"| typed publish, inline, 1 handler | the bare loop | ≤ 3× | 2.41× ±4% | holds |",
		"| typed publish, inline, 10 handlers | the bare loop | ≤ 1.4× | 2.41× ±4% | **missed** |",
		"| typed publish, inline, 1 handler, allocations |  | 0 | 0 | holds |",
		"| queued, 10 subscribers | kelindar/event | ≤ 0.3× | — | not measured |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

func TestABudgetMissedByChanceSaysSo(t *testing.T) {
	if got := outcome(false, ledger.Figure{Median: 3.1, Lo: 2.8, Hi: 3.4}, 3); got != "**missed**, within the noise" {
		t.Errorf("got %q", got)
	}
	if got := outcome(true, ledger.Figure{Median: 2, Lo: 1.9, Hi: 2.1}, 3); got != "holds" {
		t.Errorf("got %q", got)
	}
}

// Every cell that the budget and the tables ask for is one that the command measures.
func TestEveryCellAskedForExists(t *testing.T) {
	check := func(at ledger.Cell) {
		t.Helper()
		s, ok := scenario.ByID(at.Scenario)
		if !ok {
			t.Errorf("no scenario %s", at.Scenario)
		}
		c, ok := contender.ByID(at.Contender)
		if !ok {
			t.Errorf("no contender %s", at.Contender)
		} else if _, err := s.Mode(c); err != nil {
			t.Errorf("%v: %v", at, err)
		}
	}
	for _, l := range limits {
		check(l.ours)
		check(l.other)
	}
	for _, c := range ceilings {
		check(c.cell)
	}
	for _, g := range groups {
		for _, col := range g.columns {
			check(ledger.Cell{Scenario: col.scenario, Contender: anyOf(col.scenario)})
		}
	}
}

// anyOf returns a contender that can do the work.
func anyOf(id string) string {
	s, _ := scenario.ByID(id)
	for _, c := range contender.All() {
		if _, err := s.Mode(c); err == nil {
			return c.ID
		}
	}
	return ""
}

func TestAmounts(t *testing.T) {
	cases := []struct {
		value  float64
		metric scenario.Metric
		want   string
	}{
		{3.14159, scenario.Nanos, "3.14 ns"},
		{0.3, scenario.Nanos, "0.300 ns"},
		{412.4, scenario.Nanos, "412 ns"},
		{12_345, scenario.P99, "12.3 µs"},
		{1_020_000, scenario.Nanos, "1.02 ms"},
		{384, scenario.Bytes, "384 B"},
		{2_500, scenario.Bytes, "2.50 kB"},
		{0.001, scenario.Allocs, "0"},
		{2, scenario.Allocs, "2"},
		{0, scenario.Nanos, "0 ns"},
	}
	for _, c := range cases {
		if got := amount(c.value, c.metric); got != c.want {
			t.Errorf("%v is %q, not %q", c.value, got, c.want)
		}
	}
}

func TestWriteLeavesAPageAndItsCharts(t *testing.T) {
	folder := t.TempDir()
	if err := Write(folder, Page{Run: Run{Processor: "a processor", Cores: 2}, Contenders: contenders, Results: filled()}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(folder, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"(benchmarks/inline.svg)", "a processor, 2 cores", "| a/peer |  |  |  |  |  |  |  | ✗ |", "- ✗ no: a/peer\n", "Not measured: jilio/ebu"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q on the page", want)
		}
	}
	svg, err := os.Open(filepath.Join(folder, "benchmarks", "inline.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svg.Close() }()
	for decoder := xml.NewDecoder(svg); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the chart is not well-formed: %v", err)
		}
	}
}

func TestAChartFollowsADarkPage(t *testing.T) {
	g := find(t, "inline")
	svg, err := g.chart(g.rows(contenders, filled()))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append([]shade{paper, ink, muted, band}, series...) {
		if !strings.Contains(svg, "fill:"+s.light) && !strings.Contains(svg, "stroke:"+s.light) {
			t.Errorf("%s is used nowhere, or is written differently from what the style sheet replaces", s.light)
		}
		if !strings.Contains(svg, s.dark) {
			t.Errorf("%s has no dark counterpart in the style sheet", s.light)
		}
	}
}
