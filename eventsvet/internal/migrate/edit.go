package migrate

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ast/astutil"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// change is what becomes of one file.
type change struct {
	name          string // relative to the module
	file          string
	before, after []byte
}

// edits collects the edits of all files by their names.
type edits struct {
	fset  *token.FileSet
	files map[string][]analysis.TextEdit
	moved map[string]bool // files in which calls were rewritten
}

// add takes a set of edits that belong together, or none of them.
func (e *edits) add(set []analysis.TextEdit) error {
	for _, edit := range set {
		for _, other := range e.files[e.file(edit.Pos)] {
			if edit.Pos < other.End && other.Pos < edit.End {
				return errors.New("another rewrite touches the same place")
			}
		}
	}
	for _, edit := range set {
		file := e.file(edit.Pos)
		e.moved[file] = true
		same := func(other analysis.TextEdit) bool {
			return other.Pos == edit.Pos && other.End == edit.End && string(other.NewText) == string(edit.NewText)
		}
		if !slices.ContainsFunc(e.files[file], same) {
			e.files[file] = append(e.files[file], edit)
		}
	}
	return nil
}

func (e *edits) file(at token.Pos) string { return e.fset.File(at).Name() }

// apply returns the new content of a file.
func (e *edits) apply(file string) (before, after []byte, err error) {
	before, err = os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	list := e.files[file]
	slices.SortStableFunc(list, func(a, b analysis.TextEdit) int {
		return cmp.Or(cmp.Compare(a.Pos, b.Pos), cmp.Compare(a.End, b.End))
	})
	done := 0
	for _, edit := range list {
		handle := e.fset.File(edit.Pos)
		after = append(after, before[done:handle.Offset(edit.Pos)]...)
		after = append(after, edit.NewText...)
		done = handle.Offset(edit.End)
	}
	after = append(after, before[done:]...)
	if e.moved[file] {
		after, err = tidy(file, before, after)
	} else if formatted, failed := format.Source(before); failed == nil && bytes.Equal(formatted, before) {
		after, err = format.Source(after) // the new path may belong elsewhere in its group
	}
	return before, after, err
}

// tidy removes the imports that a rewrite left without use, and formats.
func tidy(file string, before, after []byte) ([]byte, error) {
	fset := token.NewFileSet()
	old, err := parser.ParseFile(fset, file, before, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(fset, file, after, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("rewriting %s: %w", file, err)
	}
	for _, spec := range old.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if !astutil.UsesImport(parsed, path) {
			name := ""
			if spec.Name != nil {
				name = spec.Name.Name
			}
			astutil.DeleteNamedImport(fset, parsed, name, path)
		}
	}
	// The path of the events package itself is a new one.
	if !astutil.UsesImport(parsed, calls.Path) {
		astutil.DeleteImport(fset, parsed, calls.Path)
	}
	var out bytes.Buffer
	if err := format.Node(&out, fset, parsed); err != nil {
		return nil, err
	}
	return format.Source(out.Bytes())
}

// replaceImport puts the new path in the place of the old one. The name by
// which the file knows the package stays.
func replaceImport(spec *ast.ImportSpec, from, packageName string) (analysis.TextEdit, bool) {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil || path != from || from == calls.Path {
		return analysis.TextEdit{}, false
	}
	text := strconv.Quote(calls.Path)
	if spec.Name == nil && packageName != "events" {
		text = packageName + " " + text
	}
	return analysis.TextEdit{Pos: spec.Path.Pos(), End: spec.Path.End(), NewText: []byte(text)}, true
}
