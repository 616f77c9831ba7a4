package report

import (
	"fmt"
	"strings"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// notes numbers the remarks of one table.
type notes struct {
	texts []string
}

// mark returns the reference to a remark, which it adds when it is new.
func (n *notes) mark(text string) string {
	for i, t := range n.texts {
		if t == text {
			return fmt.Sprintf("<sup>%d</sup>", i+1)
		}
	}
	n.texts = append(n.texts, text)
	return fmt.Sprintf("<sup>%d</sup>", len(n.texts))
}

func (n *notes) String() string {
	var b strings.Builder
	for i, text := range n.texts {
		fmt.Fprintf(&b, "<sup>%d</sup> %s.  \n", i+1, text)
	}
	return b.String()
}

// table renders the figures of a group, and returns "" when the run has none of them.
func (g group) table(contenders []contender.Contender, results *ledger.Ledger) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, col := range g.columns {
		b.WriteString(" " + col.header + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(g.columns)) + "\n")
	var remarks notes
	measured := false
	for _, c := range contenders {
		cells := make([]string, len(g.columns))
		empty := true
		for i, col := range g.columns {
			cells[i] = cell(ledger.Cell{Scenario: col.scenario, Contender: c.ID}, col.metric, results, &remarks)
			empty = empty && cells[i] == ""
		}
		once(cells)
		// What a partial run left out has no line; a library that lacks the mode has one that says so.
		if empty {
			continue
		}
		measured = true
		fmt.Fprintf(&b, "| %s | %s |\n", name(c), strings.Join(cells, " | "))
	}
	if !measured {
		return ""
	}
	if text := remarks.String(); text != "" {
		b.WriteString("\n" + text)
	}
	return b.String()
}

// name returns what the contender is called in tables, ours in bold and floors in italics.
func name(c contender.Contender) string {
	switch c.Kind {
	case contender.Ours:
		return "**" + c.Name + "**"
	case contender.Floor:
		return "*" + c.Name + "*"
	default:
		return c.Name
	}
}

// once leaves only the first of neighbouring cells that refer to the same remark its reference.
func once(cells []string) {
	for i := len(cells) - 1; i > 0; i-- {
		if text, _, ok := strings.Cut(cells[i], "<sup>"); ok && cells[i] == cells[i-1] {
			cells[i] = text
		}
	}
}

// cell renders one figure, or why there is none.
func cell(at ledger.Cell, metric scenario.Metric, results *ledger.Ledger, remarks *notes) string {
	if reason := results.Lacking(at); reason != "" {
		return "—" + remarks.mark(reason)
	}
	if reason := results.Failure(at); reason != "" {
		return "✗" + remarks.mark(reason)
	}
	figure, ok := results.Figure(at, metric)
	if !ok {
		return ""
	}
	text := amount(figure.Median, metric)
	if metric == scenario.Allocs {
		return text
	}
	text += " " + spread(figure)
	if reason := results.Mark(at); reason != "" {
		text += remarks.mark(reason)
	}
	return text
}

// ahead says where a contender that is not a floor takes less than the best of ours, one line for each column.
func (g group) ahead(contenders []contender.Contender, results *ledger.Ledger) string {
	var b strings.Builder
	for _, col := range g.columns {
		if col.metric == scenario.Allocs {
			continue
		}
		best, ok := bestOfOurs(col, contenders, results)
		if !ok {
			continue
		}
		ours, _ := results.Figure(ledger.Cell{Scenario: col.scenario, Contender: best.ID}, col.metric)
		var names []string
		for _, c := range contenders {
			at := ledger.Cell{Scenario: col.scenario, Contender: c.ID}
			if c.Kind == contender.Ours || c.Kind == contender.Floor ||
				!results.Less(at, ledger.Cell{Scenario: col.scenario, Contender: best.ID}, col.metric) {
				continue
			}
			figure, _ := results.Figure(at, col.metric)
			text := c.Name + " with " + amount(figure.Median, col.metric)
			if reason := results.Mark(at); reason != "" {
				text += " (" + reason + ")"
			}
			names = append(names, text)
		}
		if len(names) > 0 {
			fmt.Fprintf(&b, "- %s: ahead of %s with %s is %s.\n",
				col.header, best.Name, amount(ours.Median, col.metric), strings.Join(names, ", "))
		}
	}
	if b.Len() == 0 {
		return "No other bus is ahead in this table.\n"
	}
	return b.String()
}

// bestOfOurs returns the contender of ours with the lowest figure in the column.
func bestOfOurs(col column, contenders []contender.Contender, results *ledger.Ledger) (contender.Contender, bool) {
	var best contender.Contender
	least, found := 0.0, false
	for _, c := range contenders {
		figure, ok := results.Figure(ledger.Cell{Scenario: col.scenario, Contender: c.ID}, col.metric)
		if ok && c.Kind == contender.Ours && (!found || figure.Median < least) {
			best, least, found = c, figure.Median, true
		}
	}
	return best, found
}
