package rewrite

import (
	"fmt"
	"go/ast"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Import returns the name under which the file knows a package, and the edit
// that imports it if the file does not yet. It fails when the name is taken.
func (f *File) Import(path, name string) (local string, edits []analysis.TextEdit, ok bool) {
	if path == f.Types.Path() {
		return "", nil, true
	}
	var last *ast.ImportSpec // to stand behind: one of the same kind, if any
	for _, spec := range f.Syntax.Imports {
		if last == nil || isStandard(spec.Path.Value) || !isStandard(path) {
			last = spec
		}
		imported := f.Info.PkgNameOf(spec)
		if imported == nil || imported.Imported().Path() != path || imported.Name() == "_" || imported.Name() == "." {
			continue
		}
		return imported.Name(), nil, true
	}
	if f.uses(name) || f.Types.Scope().Lookup(name) != nil || !mayImport(f.Types.Path(), path) {
		return "", nil, false
	}
	return name, []analysis.TextEdit{f.insertImport(last, strconv.Quote(path))}, true
}

// mayImport reports whether a package may import path, as far as internal
// folders decide it.
func mayImport(importer, path string) bool {
	parent, _, found := strings.Cut("/"+path+"/", "/internal/")
	if !found {
		return true
	}
	return strings.HasPrefix("/"+importer+"/", parent+"/")
}

func (f *File) insertImport(last *ast.ImportSpec, quoted string) analysis.TextEdit {
	at, text := f.Syntax.Name.End(), fmt.Sprintf("\n\nimport %s", quoted)
	if last != nil {
		at, text = last.End(), fmt.Sprintf("\nimport %s", quoted)
		if group := f.importGroup(last); group.Lparen.IsValid() {
			text = fmt.Sprintf("\n\t%s", quoted)
		}
	}
	return analysis.TextEdit{Pos: at, End: at, NewText: []byte(text)}
}

// isStandard reports whether an import path, quoted or not, is of the standard
// library, going by the form that these have.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func (f *File) importGroup(spec *ast.ImportSpec) *ast.GenDecl {
	for _, declaration := range f.Syntax.Decls {
		if group, ok := declaration.(*ast.GenDecl); ok && group.Pos() <= spec.Pos() && spec.End() <= group.End() {
			return group
		}
	}
	return nil
}

// uses reports whether any identifier of the file has this name.
func (f *File) uses(name string) bool {
	return usesName(f.Syntax, name)
}

func usesName(root ast.Node, name string) bool {
	found := false
	ast.Inspect(root, func(node ast.Node) bool {
		if identifier, ok := node.(*ast.Ident); ok && identifier.Name == name {
			found = true
		}
		return !found
	})
	return found
}

// FreeName returns the first of the candidates that nothing in root is called,
// or an empty string.
func FreeName(root ast.Node, candidates ...string) string {
	for _, candidate := range candidates {
		if !usesName(root, candidate) {
			return candidate
		}
	}
	return ""
}
