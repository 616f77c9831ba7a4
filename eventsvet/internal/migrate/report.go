package migrate

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// note is something that the program's owner should know.
type note struct {
	kind  noteKind
	place string
	event string // empty when it concerns no single event
	text  string
}

type noteKind int

const (
	declaredNote noteKind = iota // what was proposed
	disagreement                 // between places of the program
	left                         // what stays as it is
)

func (e *evidence) note(kind noteKind, place, event, format string, arguments ...any) {
	e.notes = append(e.notes, note{kind, place, event, fmt.Sprintf(format, arguments...)})
}

var headings = map[noteKind]string{
	declaredNote: "Topics",
	disagreement: "Disagreements, to be settled by hand",
	left:         "Left unchanged",
}

// writeReport lists the notes by kind, and in each by event and place.
func writeReport(out io.Writer, notes []note) {
	slices.SortStableFunc(notes, func(a, b note) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.event, b.event), cmp.Compare(a.place, b.place))
	})
	notes = slices.Compact(notes)
	for i, n := range notes {
		if i == 0 || notes[i-1].kind != n.kind {
			fmt.Fprintf(out, "\n%s:\n", headings[n.kind])
		}
		fmt.Fprint(out, "  ")
		if n.place != "" {
			fmt.Fprintf(out, "%s: ", n.place)
		}
		if n.event != "" {
			fmt.Fprintf(out, "%s: ", n.event)
		}
		fmt.Fprintln(out, n.text)
	}
}
