package eventsvet

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"

	"golang.org/x/tools/go/analysis"
)

// Conflict reports a name that two topics declare with different payload types.
var Conflict = &analysis.Analyzer{
	Name: "conflict",
	Doc: `report one event name declared with two payload types

A bus knows one payload type for a name: the second topic to be used on it
gets ErrTopicConflict from Subscribe and Publish.`,
	Run:      checkConflict,
	Requires: []*analysis.Analyzer{topics},
}

func checkConflict(pass *analysis.Pass) (any, error) {
	d := pass.ResultOf[topics].(*declarations)
	for i, t := range d.own {
		others := slices.Concat(d.own[:i], d.all[len(d.own):])
		if other := t.firstConflict(others); other != nil {
			d.report(pass, analysis.Diagnostic{
				Pos: t.call.Pos(), End: t.call.End(),
				Message: fmt.Sprintf("topic %q carries %s here and %s in %s", t.Event, t.Payload, other.Payload, other.Package),
			})
		}
	}
	imported := d.all[len(d.own):]
	for i, t := range imported {
		other := t.firstConflict(imported[:i])
		if other == nil || d.knownBelow(t.declared, other.declared) {
			continue
		}
		if spec := d.importOf(t.declared); spec != nil {
			d.report(pass, analysis.Diagnostic{
				Pos: spec.Pos(), End: spec.End(),
				Message: fmt.Sprintf("topic %q carries %s in %s and %s in %s", t.Event, t.Payload, t.Package, other.Payload, other.Package),
			})
		}
	}
	return nil, nil
}

func (t *topic) firstConflict(others []*topic) *topic {
	for _, other := range others {
		if other.Event == t.Event && other.differs(t) {
			return other
		}
	}
	return nil
}

// knownBelow reports whether an imported package sees both topics: the
// conflict is then reported there.
func (d *declarations) knownBelow(a, b declared) bool {
	for _, known := range d.direct {
		if slices.Contains(known, a) && slices.Contains(known, b) {
			return true
		}
	}
	return false
}

// importOf finds the import that brings in a topic.
func (d *declarations) importOf(t declared) *ast.ImportSpec {
	for _, file := range d.files {
		for _, spec := range file.Node().(*ast.File).Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err == nil && slices.Contains(d.direct[path], t) {
				return spec
			}
		}
	}
	return nil
}
