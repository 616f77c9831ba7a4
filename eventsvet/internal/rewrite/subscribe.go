package rewrite

import (
	"errors"
	"fmt"
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// Subscribe rewrites a registration or an untyped subscription to one of the
// topic, the handler included, or says why not.
func (f *File) Subscribe(call calls.Call, parent ast.Node, t Topic) ([]analysis.TextEdit, error) {
	if call.Kind == calls.Register && !isStatement(parent) {
		return nil, errors.New("the result is used")
	}
	for _, option := range call.Options {
		if !f.keepsMeaning(option) {
			return nil, fmt.Errorf("option %s depends on the payload", types.ExprString(option))
		}
	}
	variable, edits, err := f.refer(t, call.Expr.Pos())
	if err != nil {
		return nil, err
	}
	bus, err := f.bus(call)
	if err != nil {
		return nil, err
	}
	if f.commented(call.Name.Pos(), call.Name.End()) {
		return nil, errors.New("a comment would be lost")
	}
	edits = append(edits,
		replace(call.Expr.Fun.Pos(), call.Expr.Fun.End(), variable+".Subscribe"),
		replace(call.Name.Pos(), call.Name.End(), bus))
	more, err := f.handler(call.Handler, t)
	return append(edits, more...), err
}

// keepsMeaning reports whether an option is the same for a typed handler.
func (f *File) keepsMeaning(option ast.Expr) bool {
	expr, ok := ast.Unparen(option).(*ast.CallExpr)
	if !ok {
		return false
	}
	var name *ast.Ident
	switch function := ast.Unparen(expr.Fun).(type) {
	case *ast.Ident:
		name = function
	case *ast.SelectorExpr:
		name = function.Sel
	default:
		return false
	}
	object := f.Info.Uses[name]
	return object != nil && f.API.Has(object.Pkg()) && slices.Contains([]string{
		"WithName", "WithPriority", "WithOnce", "WithUntil", "WithQueue", "WithOverflow",
	}, object.Name())
}

// handler rewrites the function that handles the events.
func (f *File) handler(expr ast.Expr, t Topic) ([]analysis.TextEdit, error) {
	switch expr := ast.Unparen(expr).(type) {
	case *ast.FuncLit:
		return f.function(expr.Type, expr.Body, t)
	case *ast.Ident, *ast.SelectorExpr:
		declaration := calls.Declaration(f.Info, f.Files, expr)
		if declaration == nil {
			return nil, errors.New("the handler is declared elsewhere")
		}
		home, err := f.Open(declaration.Pos())
		if err != nil {
			return nil, err
		}
		if err := home.usedOnce(declaration); err != nil {
			return nil, err
		}
		return home.function(declaration.Type, declaration.Body, t)
	}
	return nil, errors.New("the handler is made by a call")
}

// usedOnce reports whether the registration is all that knows a function.
func (f *File) usedOnce(declaration *ast.FuncDecl) error {
	name := declaration.Name.Name
	if declaration.Name.IsExported() {
		return fmt.Errorf("%s is exported", name)
	}
	uses := 0
	for _, object := range f.Info.Uses {
		if object == f.Info.Defs[declaration.Name] {
			uses++
		}
	}
	if uses != 1 || f.inTests(name) {
		return fmt.Errorf("%s is used elsewhere too", name)
	}
	for _, file := range f.Files {
		for node := range ast.Preorder(file) {
			contract, ok := node.(*ast.InterfaceType)
			if ok && usesName(contract, name) {
				return fmt.Errorf("%s belongs to an interface", name)
			}
		}
	}
	return nil
}
