// Package pattern matches event names of dotted segments against patterns.
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
	text string // without the open end
	open bool   // ends with > or **
	wild bool   // has a *
}

// Parse parses a pattern. It returns an error when a segment is empty or a
// wildcard is a part of a segment or, if it is > or **, not the last segment.
func Parse(text string) (Pattern, error) {
	p := Pattern{text: text}
	segments := strings.Split(text, ".")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case segment == "":
			return Pattern{}, errors.New("pattern has an empty segment, want segments between dots")
		case segment == "*":
			p.wild = true
		case segment == ">" || segment == "**":
			if !last {
				return Pattern{}, fmt.Errorf("pattern has %s before its end, want it as the last segment", segment)
			}
			p.open = true
			p.text = text[:len(text)-len(segment)]
		case strings.ContainsAny(segment, "*>"):
			return Pattern{}, fmt.Errorf("pattern has a wildcard within segment %q, want it as a whole segment", segment)
		}
	}
	return p, nil
}

// IsLiteral reports whether the pattern matches just the name that it spells.
func (p *Pattern) IsLiteral() bool { return !p.open && !p.wild }

// Match reports whether the whole of name matches.
func (p *Pattern) Match(name string) bool {
	if !p.wild {
		if p.open {
			return strings.HasPrefix(name, p.text)
		}
		return name == p.text
	}
	rest := p.text
	for {
		// An open pattern's text ends with a dot, behind which anything goes.
		if rest == "" && p.open {
			return true
		}
		want, restOfPattern, morePattern := strings.Cut(rest, ".")
		have, restOfName, moreName := strings.Cut(name, ".")
		if want != "*" && want != have {
			return false
		}
		if morePattern != moreName {
			return false
		}
		if !morePattern {
			return true
		}
		rest, name = restOfPattern, restOfName
	}
}
