package rewrite

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// Topic is a declared topic.
type Topic struct {
	Event       string
	Package     string // import path
	PackageName string
	Var         string
	Payload     types.Type
	Map         bool // declared WithMapPayload
	Plain       bool // declared with no other option
	Written     bool // an untyped handler may write to its map, for others to see
	Settled     bool // no untyped handler of it is left in the program
}

// refer returns the expression for the topic's variable, and the edits that
// make it known in the file.
func (f *File) refer(t Topic, at token.Pos) (string, []analysis.TextEdit, error) {
	switch {
	case t.Var == "":
		return "", nil, errors.New("the topic is not a variable of its own")
	case !t.Plain:
		return "", nil, errors.New("the topic has options")
	}
	if t.Package == f.Types.Path() {
		if found := f.lookUp(t.Var, at); found != nil && found.Parent() != f.Types.Scope() {
			return "", nil, fmt.Errorf("%s means something else here", t.Var)
		}
		return t.Var, nil, nil
	}
	if !ast.IsExported(t.Var) {
		return "", nil, fmt.Errorf("%s is not exported", t.Var)
	}
	local, edits, err := f.qualify(t.Package, t.PackageName, at)
	return local + "." + t.Var, edits, err
}

// qualify returns the name of an imported package at a position.
func (f *File) qualify(path, name string, at token.Pos) (string, []analysis.TextEdit, error) {
	local, edits, ok := f.Import(path, name)
	if !ok {
		return "", nil, fmt.Errorf("package %s cannot be imported as %s", path, name)
	}
	if _, isPackage := f.lookUp(local, at).(*types.PkgName); !isPackage && edits == nil {
		return "", nil, fmt.Errorf("%s means something else here", local)
	}
	return local, edits, nil
}

func (f *File) lookUp(name string, at token.Pos) types.Object {
	scope := f.Types.Scope().Innermost(at)
	if scope == nil {
		return f.Types.Scope().Lookup(name)
	}
	_, found := scope.LookupParent(name, at)
	return found
}

// typeText writes a type as the file would, and gives the edits that import
// what it needs.
func (f *File) typeText(t types.Type, at token.Pos) (string, []analysis.TextEdit, error) {
	var edits []analysis.TextEdit
	var failed error
	text := types.TypeString(t, func(pkg *types.Package) string {
		if pkg.Path() == f.Types.Path() {
			return ""
		}
		local, more, err := f.qualify(pkg.Path(), pkg.Name(), at)
		if err != nil {
			failed = err
		}
		edits = append(edits, more...)
		return local
	})
	if failed == nil && !f.accessible(t) {
		failed = fmt.Errorf("%s is not exported", text)
	}
	return text, edits, failed
}

func (f *File) accessible(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		object := t.Obj()
		if object.Pkg() != nil && object.Pkg().Path() != f.Types.Path() && !object.Exported() {
			return false
		}
		for argument := range t.TypeArgs().Types() {
			if !f.accessible(argument) {
				return false
			}
		}
	case *types.Pointer:
		return f.accessible(t.Elem())
	case *types.Slice:
		return f.accessible(t.Elem())
	case *types.Map:
		return f.accessible(t.Key()) && f.accessible(t.Elem())
	case *types.Struct:
		return false
	}
	return true
}

// bus writes the bus of a call as an argument.
func (f *File) bus(call calls.Call) (string, error) {
	if call.Bus == nil {
		switch function := ast.Unparen(call.Expr.Fun).(type) {
		case *ast.SelectorExpr:
			return f.Text(function.X) + ".Default()", nil
		default:
			return "Default()", nil
		}
	}
	if calls.HasCall(call.Bus) {
		return "", errors.New("the bus is the result of a call")
	}
	t := types.Unalias(f.Info.TypeOf(call.Bus))
	if pointer, ok := t.(*types.Pointer); ok && f.API.IsBus(pointer.Elem()) {
		return f.Text(call.Bus), nil
	}
	if f.API.IsBus(t) {
		return "&" + f.Text(call.Bus), nil
	}
	return "", errors.New("the bus is a part of another type")
}

// isStatement reports whether a call, whose parent is given, leaves its result
// unused.
func isStatement(parent ast.Node) bool {
	switch parent.(type) {
	case *ast.ExprStmt, *ast.GoStmt, *ast.DeferStmt:
		return true
	}
	return false
}

func replace(from, to token.Pos, text string) analysis.TextEdit {
	return analysis.TextEdit{Pos: from, End: to, NewText: []byte(text)}
}
