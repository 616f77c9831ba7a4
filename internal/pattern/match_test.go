package pattern

import "strings"

// Match reports whether the whole of name matches. It is what a tree is compared
// with, which matches a name against many patterns.
func (p *Pattern) Match(name string) bool {
	more := true
	for want := range strings.SplitSeq(p.text, ".") {
		if !more {
			return false
		}
		if want == anyRest {
			return true
		}
		var have string
		have, name, more = strings.Cut(name, ".")
		if want != anyOne && want != have {
			return false
		}
	}
	return !more
}
