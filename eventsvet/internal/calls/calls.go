// Package calls recognises the calls of the events API in type-checked syntax.
package calls

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/types/typeutil"
)

// Path is the import path of the events package.
const Path = "github.com/typedbus/events"

// Kind tells what a call does.
type Kind int

// The calls that matter to the checks.
const (
	Register Kind = iota + 1
	Subscribe
	Dispatch
	DispatchAsync
	NewTopic
	TopicSubscribe
	TopicSubscribeBatch
	TopicAll
)

// Call is one call of the API.
type Call struct {
	Kind    Kind
	Expr    *ast.CallExpr
	Bus     ast.Expr   // nil for a package-level function, which means the default bus
	Context ast.Expr   // of a dispatch
	Name    ast.Expr   // of a registration, a subscription or a new topic
	Handler ast.Expr   // of a registration or a subscription
	Event   ast.Expr   // of a dispatch
	Options []ast.Expr // behind the handler, or behind the name of a new topic
}

// API is the set of import paths under which the package is known: one, or two
// while a program moves from one to the other.
type API []string

// Default knows the package under its own path.
var Default = API{Path}

// Has reports whether pkg is the events package.
func (a API) Has(pkg *types.Package) bool {
	return pkg != nil && slices.Contains(a, pkg.Path())
}

// IsEvent reports whether t is the Event type.
func (a API) IsEvent(t types.Type) bool {
	return a.isNamed(t, "Event")
}

// IsBus reports whether t is the Bus type, or what it replaces.
func (a API) IsBus(t types.Type) bool {
	return a.isNamed(t, "Bus") || a.isNamed(t, "EventDispatcher")
}

func (a API) isNamed(t types.Type, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == name && a.Has(named.Obj().Pkg())
}

// Payload returns T when t is a *Topic[T].
func (a API) Payload(t types.Type) (types.Type, bool) {
	pointer, ok := types.Unalias(t).(*types.Pointer)
	if !ok || !a.isNamed(pointer.Elem(), "Topic") {
		return nil, false
	}
	arguments := types.Unalias(pointer.Elem()).(*types.Named).TypeArgs()
	if arguments.Len() != 1 {
		return nil, false
	}
	return arguments.At(0), true
}

// IsHandler reports whether signature is that of an untyped handler.
func (a API) IsHandler(signature *types.Signature) bool {
	parameters, results := signature.Params(), signature.Results()
	return parameters.Len() == 2 && !signature.Variadic() && results.Len() == 1 &&
		a.IsEvent(parameters.At(1).Type()) &&
		types.Identical(results.At(0).Type(), types.Universe.Lookup("error").Type())
}

// kinds maps the receiver's type, empty for a function, and the name of the
// callee to what it does.
var kinds = map[[2]string]Kind{
	{"", "NewTopic"}:                     NewTopic,
	{"", "Register"}:                     Register,
	{"", "Dispatch"}:                     Dispatch,
	{"", "DispatchAsync"}:                DispatchAsync,
	{"Bus", "Register"}:                  Register,
	{"Bus", "Subscribe"}:                 Subscribe,
	{"Bus", "Dispatch"}:                  Dispatch,
	{"Bus", "DispatchAsync"}:             DispatchAsync,
	{"EventDispatcher", "Register"}:      Register,
	{"EventDispatcher", "Dispatch"}:      Dispatch,
	{"EventDispatcher", "DispatchAsync"}: DispatchAsync,
	{"Topic", "Subscribe"}:               TopicSubscribe,
	{"Topic", "SubscribeBatch"}:          TopicSubscribeBatch,
	{"Topic", "All"}:                     TopicAll,
}

// Of tells what expr calls, if that belongs to the API.
func (a API) Of(info *types.Info, expr *ast.CallExpr) (Call, bool) {
	callee := typeutil.StaticCallee(info, expr)
	if callee == nil || !a.Has(callee.Pkg()) {
		return Call{}, false
	}
	call := Call{Expr: expr}
	receiver := ""
	if r := callee.Signature().Recv(); r != nil {
		receiver = typeName(r.Type())
		selector, ok := ast.Unparen(expr.Fun).(*ast.SelectorExpr)
		if !ok || info.Selections[selector] == nil || info.Selections[selector].Kind() != types.MethodVal {
			return Call{}, false
		}
		call.Bus = selector.X
	}
	call.Kind = kinds[[2]string{receiver, callee.Name()}]
	arguments := expr.Args
	switch call.Kind {
	case Register, Subscribe:
		if len(arguments) < 2 {
			return Call{}, false
		}
		call.Name, call.Handler, call.Options = arguments[0], arguments[1], arguments[2:]
	case Dispatch, DispatchAsync:
		if len(arguments) != 2 {
			return Call{}, false
		}
		call.Context, call.Event = arguments[0], arguments[1]
	case NewTopic:
		if len(arguments) < 1 {
			return Call{}, false
		}
		call.Name, call.Options = arguments[0], arguments[1:]
	case TopicSubscribe, TopicSubscribeBatch:
		if len(arguments) < 2 {
			return Call{}, false
		}
		call.Bus, call.Handler, call.Options = arguments[0], arguments[1], arguments[2:]
	case TopicAll:
	default:
		return Call{}, false
	}
	return call, true
}

func typeName(t types.Type) string {
	if pointer, ok := types.Unalias(t).(*types.Pointer); ok {
		t = pointer.Elem()
	}
	if named, ok := types.Unalias(t).(*types.Named); ok {
		return named.Obj().Name()
	}
	return ""
}

// Event is a composite literal of the Event type.
type Event struct {
	Literal *ast.CompositeLit
	Name    ast.Expr // nil when left out
	Data    ast.Expr // nil when left out
}

// EventOf reads expr as an Event literal.
func (a API) EventOf(info *types.Info, expr ast.Expr) (Event, bool) {
	literal, ok := ast.Unparen(expr).(*ast.CompositeLit)
	if !ok || !a.IsEvent(info.TypeOf(literal)) {
		return Event{}, false
	}
	event := Event{Literal: literal}
	for i, element := range literal.Elts {
		pair, keyed := element.(*ast.KeyValueExpr)
		switch {
		case keyed && pair.Key.(*ast.Ident).Name == "Name":
			event.Name = pair.Value
		case keyed:
			event.Data = pair.Value
		case i == 0:
			event.Name = element
		default:
			event.Data = element
		}
	}
	return event, true
}

// IsData reports whether expr selects the Data field of an event, and gives
// the event.
func (a API) IsData(info *types.Info, expr ast.Expr) (event ast.Expr, ok bool) {
	return a.isField(info, expr, "Data")
}

// IsName reports whether expr selects the Name field of an event, and gives
// the event.
func (a API) IsName(info *types.Info, expr ast.Expr) (event ast.Expr, ok bool) {
	return a.isField(info, expr, "Name")
}

func (a API) isField(info *types.Info, expr ast.Expr, name string) (ast.Expr, bool) {
	selector, ok := ast.Unparen(expr).(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return nil, false
	}
	t := info.TypeOf(selector.X)
	if t == nil {
		return nil, false
	}
	if pointer, ok := t.Underlying().(*types.Pointer); ok {
		t = pointer.Elem()
	}
	return selector.X, a.IsEvent(t)
}

// Text returns the value of a constant string.
func Text(info *types.Info, expr ast.Expr) (string, bool) {
	if expr == nil {
		return "", false
	}
	value := info.Types[expr].Value
	if value == nil || value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(value), true
}

// IsBlank reports whether expr is the blank identifier.
func IsBlank(expr ast.Expr) bool {
	identifier, ok := expr.(*ast.Ident)
	return ok && identifier.Name == "_"
}

// Unchecked reports whether assertion, whose parent node is given, panics when
// it does not hold.
func Unchecked(assertion *ast.TypeAssertExpr, parent ast.Node) bool {
	if assertion.Type == nil {
		return false // of a type switch
	}
	switch parent := parent.(type) {
	case *ast.AssignStmt:
		return len(parent.Lhs) != 2 || len(parent.Rhs) != 1
	case *ast.ValueSpec:
		return len(parent.Names) != 2 || len(parent.Values) != 1
	}
	return true
}

// Function returns the parameters and the body of the function that expr
// names, if it is a literal or one of those that are declared in files.
func Function(info *types.Info, files []*ast.File, expr ast.Expr) (*ast.FuncType, *ast.BlockStmt) {
	switch expr := ast.Unparen(expr).(type) {
	case *ast.FuncLit:
		return expr.Type, expr.Body
	case *ast.CallExpr:
		// A conversion, as in events.Handler(f).
		if info.Types[expr.Fun].IsType() && len(expr.Args) == 1 {
			return Function(info, files, expr.Args[0])
		}
	case *ast.Ident, *ast.SelectorExpr:
		if declaration := Declaration(info, files, expr); declaration != nil {
			return declaration.Type, declaration.Body
		}
	}
	return nil, nil
}

// Declaration finds the declaration of the function or method that expr names.
func Declaration(info *types.Info, files []*ast.File, expr ast.Expr) *ast.FuncDecl {
	var name *ast.Ident
	switch expr := ast.Unparen(expr).(type) {
	case *ast.Ident:
		name = expr
	case *ast.SelectorExpr:
		name = expr.Sel
	default:
		return nil
	}
	function, ok := info.Uses[name].(*types.Func)
	if !ok {
		return nil
	}
	for _, file := range files {
		if function.Pos() == token.NoPos || function.Pos() < file.FileStart || function.Pos() >= file.FileEnd {
			continue
		}
		for _, declaration := range file.Decls {
			if d, ok := declaration.(*ast.FuncDecl); ok && info.Defs[d.Name] == function && d.Body != nil {
				return d
			}
		}
	}
	return nil
}

// HasCall reports whether evaluating expr may do more than read variables.
func HasCall(expr ast.Expr) bool {
	found := false
	ast.Inspect(expr, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CallExpr, *ast.FuncLit:
			found = true
		case *ast.UnaryExpr:
			found = found || node.Op == token.ARROW
		}
		return !found
	})
	return found
}
