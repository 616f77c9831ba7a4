// Package pattern matches event names of dotted segments against all the patterns
// of a Tree at once.
//
// A Pattern is immutable. A Tree has no lock: Insert and Remove need the
// caller's lock to themselves (Lock), the other methods may share it (RLock), and
// what they yield to must not change the tree.
//
// What a maintainer may change: everything behind the exported names, and the
// order in which values are yielded. What must stay is that Tree.Match agrees with
// the plain way of matching that the tests have; that a tree without values holds
// no memory, and no pattern, however long, takes the stack; for those who
// publish, that matching allocates nothing; and for those who subscribe, that a
// change costs the same, amortised, however many patterns there are.
package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// Pattern is a parsed pattern: * stands for exactly one segment, and > or **
// at the end for one or more. Everything else stands for itself, and the whole
// name has to match. The zero Pattern matches the empty name.
type Pattern struct {
	text string // ends with anyRest if it was spelled with **
}

// The segments that are wildcards.
const (
	anyOne  = "*"
	anyRest = ">"
)

// Parse parses a pattern. It returns an error when a segment is empty or a
// wildcard is a part of a segment or, if it is > or **, not the last segment.
func Parse(text string) (Pattern, error) {
	rest := "" // > or **
	for segment := range strings.SplitSeq(text, ".") {
		switch {
		case rest != "":
			return Pattern{}, fmt.Errorf("pattern has %s before its end, want it as the last segment", rest)
		case segment == "":
			return Pattern{}, errors.New("pattern has an empty segment, want segments between dots")
		case segment == anyRest || segment == "**":
			rest = segment
		case segment != anyOne && strings.ContainsAny(segment, "*>"):
			return Pattern{}, fmt.Errorf("pattern has a wildcard within segment %q, want it as a whole segment", segment)
		}
	}
	if rest == "**" {
		text = strings.TrimSuffix(text, rest) + anyRest
	}
	return Pattern{text}, nil
}

// IsLiteral reports whether the pattern matches just the name that it spells.
func (p *Pattern) IsLiteral() bool { return !strings.ContainsAny(p.text, "*>") }
