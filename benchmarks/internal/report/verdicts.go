package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/probe"
)

// sign stands for a grade, so that a table can be read at a glance.
var sign = map[probe.Grade]string{probe.Good: "✓", probe.Neutral: "–", probe.Fair: "○", probe.Bad: "✗"}

// overview renders the grades of all answers, a row for each contender, and returns "" when there are none.
func overview(contenders []contender.Contender, results *ledger.Ledger) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, q := range probe.All() {
		b.WriteString(" " + q.Heading + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat(":---:|", len(probe.All())) + "\n")
	answered := false
	for _, c := range contenders {
		var cells []string
		asked := false
		for _, q := range probe.All() {
			v, ok := results.Verdict(ledger.Cell{Scenario: q.ID, Contender: c.ID})
			asked = asked || ok
			if ok {
				cells = append(cells, sign[v.Grade])
			} else {
				cells = append(cells, "")
			}
		}
		if asked {
			answered = true
			fmt.Fprintf(&b, "| %s | %s |\n", name(c), strings.Join(cells, " | "))
		}
	}
	if !answered {
		return ""
	}
	return b.String()
}

// An answered verdict is one with those who gave it.
type answered struct {
	verdict probe.Verdict
	names   []string
}

// answers renders the answers to one probe, best first, each with the contenders that gave it, and returns "" when nobody
// was asked.
func answers(q probe.Probe, contenders []contender.Contender, results *ledger.Ledger) string {
	var all []answered
	for _, c := range contenders {
		v, ok := results.Verdict(ledger.Cell{Scenario: q.ID, Contender: c.ID})
		if !ok {
			continue
		}
		i := slices.IndexFunc(all, func(a answered) bool { return a.verdict == v })
		if i < 0 {
			i = len(all)
			all = append(all, answered{verdict: v})
		}
		all[i].names = append(all[i].names, name(c))
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortStableFunc(all, func(a, b answered) int { return int(a.verdict.Grade) - int(b.verdict.Grade) })
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n", q.Question)
	for _, a := range all {
		fmt.Fprintf(&b, "- %s %s: %s\n", sign[a.verdict.Grade], a.verdict.Text, strings.Join(a.names, ", "))
	}
	return b.String()
}
