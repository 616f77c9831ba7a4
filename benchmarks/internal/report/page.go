// Package report writes the page that shows what a run found: tables, charts, and where other buses are ahead.
package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/probe"
)

// Run describes the circumstances of a run.
type Run struct {
	Processor   string
	Cores       int
	Platform    string
	Go          string
	Date        time.Time
	Took        time.Duration
	Command     string
	Repetitions int
}

// Page is what is written.
type Page struct {
	Run        Run
	Contenders []contender.Contender
	Results    *ledger.Ledger
}

// unmeasured are the buses that belong here and could not be built, with the reason.
var unmeasured = []struct{ name, reason string }{
	{"jilio/ebu", "none of its releases could be fetched when the comparison was put together"},
}

// Write writes benchmarks.md and the charts, benchmarks/*.svg, into the folder.
func Write(folder string, p Page) error {
	charts := filepath.Join(folder, "benchmarks")
	if err := os.MkdirAll(charts, 0o755); err != nil {
		return err
	}
	for _, g := range groups {
		rows := g.rows(p.Contenders, p.Results)
		if len(rows) == 0 {
			continue
		}
		svg, err := g.chart(rows)
		if err != nil {
			return fmt.Errorf("chart %s: %w", g.id, err)
		}
		if err := os.WriteFile(filepath.Join(charts, g.id+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "benchmarks.md"), []byte(p.markdown()), 0o644)
}

func (p Page) markdown() string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\n")
	fmt.Fprintf(&b, "Every figure on this page was measured in one run, and the page was written by it: run it yourself with "+
		"`make compare`, which takes about 20 minutes, or `make compare QUICK=1`, which takes about 3.\n\n")
	b.WriteString(p.run())
	b.WriteString(method)
	b.WriteString("## Against the budget\n\n" +
		"The ratios that [the design](design.md) sets as limits. Each is the median of the repetitions' own ratios.\n\n")
	b.WriteString(budgetTable(p.Results) + "\n")
	for _, g := range groups {
		table := g.table(p.Contenders, p.Results)
		if table == "" {
			continue
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", g.title, g.text)
		if len(g.rows(p.Contenders, p.Results)) > 0 {
			fmt.Fprintf(&b, "![%s: %s of each bus](benchmarks/%s.svg)\n\n", g.title, g.axis, g.id)
		}
		b.WriteString(table + "\n")
		b.WriteString(g.ahead(p.Contenders, p.Results) + "\n")
	}
	if text := overview(p.Contenders, p.Results); text != "" {
		b.WriteString("## Under fire\n\n" +
			"What happens when things go wrong, found by letting them go wrong, each time in a process of its own. " +
			"Of several trials the worst answer stands here. ✓ is what one would hope for, ○ has a catch, ✗ loses events or " +
			"work, or stops the program, – is left to the program on purpose. Empty is a library without the mode.\n\n")
		b.WriteString(text + "\n")
		for _, q := range probe.All() {
			if text := answers(q, p.Contenders, p.Results); text != "" {
				b.WriteString(text + "\n")
			}
		}
	}
	b.WriteString(p.contenders())
	return b.String()
}

const method = `## How it is measured

- Each measurement runs in a process of its own. A repetition goes through all contenders before the next one begins, so a
  machine that drifts slows all of them alike.
- A figure is the median of the repetitions. The ± is the wider half of its 95% confidence interval, ±? when there were too few
  repetitions for one.
- Handlers do next to nothing: they count, and check that events come in order. A wrong count is ✗ and no figure. Every other
  remark stands under its table.
- *Floors*, in italics, are not buses: they are the least that work of this kind costs.
- A bus is called ahead when its figures are lower than those of the best of ours by a Mann-Whitney test at 5%.

`

func (p Page) run() string {
	r := p.Run
	return fmt.Sprintf("| | |\n|---|---|\n| processor | %s, %d cores |\n| platform | %s |\n| Go | %s |\n| date | %s |\n"+
		"| command | `%s` in `benchmarks/` |\n| took | %v, %d repetitions |\n\n",
		r.Processor, r.Cores, r.Platform, r.Go, r.Date.UTC().Format("2 January 2006, 15:04 UTC"),
		strings.ReplaceAll(r.Command, "|", `\|`), r.Took.Round(time.Second), r.Repetitions)
}

func (p Page) contenders() string {
	var b strings.Builder
	b.WriteString("## Contenders\n\n| | version | used through |\n|---|---|---|\n")
	for _, c := range p.Contenders {
		version := c.Version()
		if version == "" {
			version = "part of the comparison"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name(c), version, c.Usage)
	}
	for _, u := range unmeasured {
		fmt.Fprintf(&b, "\nNot measured: %s, since %s.\n", u.name, u.reason)
	}
	return b.String()
}
