package eventsvet

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/types/typeutil"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/flow"
)

// shared tells which expressions in a handler lead to memory that the payload
// brought with it. Variables that are set twice are not followed.
type shared struct {
	info      *types.Info
	event     types.Object          // the parameter of an untyped handler
	batch     types.Object          // the parameter of a batch handler, whose own elements are not shared
	variables map[types.Object]bool // that hold the payload or a part of it
	replaced  map[string]token.Pos  // where fields of those are set anew
}

// lead is where an expression leads.
type lead struct {
	payload bool // to the payload
	through bool // through a pointer, a map or a slice of it
	batch   bool // to the batch itself
}

// follow finds the variables in body that hold parts of the payload.
func (s *shared) follow(body *ast.BlockStmt) {
	if s.variables == nil {
		s.variables = make(map[types.Object]bool)
	}
	s.replaced = make(map[string]token.Pos)
	s.forgetReassigned(body)
	values := flow.Of(s.info, body)
	for grown := true; grown; {
		grown = false
		for object, value := range values {
			if !s.variables[object] && s.lead(value).payload {
				s.variables[object] = true
				grown = true
			}
		}
	}
}

// forgetReassigned drops what no longer holds the payload once it was set.
func (s *shared) forgetReassigned(body *ast.BlockStmt) {
	ast.Inspect(body, func(node ast.Node) bool {
		assign, ok := node.(*ast.AssignStmt)
		if !ok || assign.Tok != token.ASSIGN {
			return true
		}
		for _, target := range assign.Lhs {
			switch target := ast.Unparen(target).(type) {
			case *ast.Ident:
				object := s.info.ObjectOf(target)
				delete(s.variables, object)
				if object == s.event {
					s.event = nil
				}
			case *ast.SelectorExpr:
				if at := s.lead(target); at.payload && !at.through {
					s.replaced[types.ExprString(target)] = assign.End()
				}
			}
		}
		return true
	})
}

// isReplaced reports whether expr was set to something of the handler's own
// further up.
func (s *shared) isReplaced(expr ast.Expr) bool {
	at, ok := s.replaced[types.ExprString(expr)]
	return ok && expr.Pos() > at
}

// eachWrite calls f with what changes the payload in body.
func (s *shared) eachWrite(body *ast.BlockStmt, f func(ast.Node)) {
	s.follow(body)
	ast.Inspect(body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			for _, target := range node.Lhs {
				if s.writes(target) {
					f(target)
				}
			}
		case *ast.IncDecStmt:
			if s.writes(node.X) {
				f(node.X)
			}
		case *ast.RangeStmt:
			for _, target := range []ast.Expr{node.Key, node.Value} {
				if target != nil && node.Tok == token.ASSIGN && s.writes(target) {
					f(target)
				}
			}
		case *ast.CallExpr:
			if len(node.Args) > 0 && writesFirst(s.info, node) && s.holds(node.Args[0]) {
				f(node)
			}
		}
		return true
	})
}

// sharedByUntyped prepares for a function that has the signature of a Handler
// and names its event, and gives nil for any other.
func sharedByUntyped(info *types.Info, function *ast.FuncType) *shared {
	signature, ok := info.TypeOf(function).(*types.Signature)
	if !ok || !calls.Default.IsHandler(signature) {
		return nil
	}
	event := lastParameter(info, function)
	if event == nil {
		return nil
	}
	return &shared{info: info, event: event}
}

// writes reports whether setting target changes shared memory.
func (s *shared) writes(target ast.Expr) bool {
	at := s.lead(target)
	return at.payload && at.through
}

// holds reports whether expr is a part of the payload.
func (s *shared) holds(expr ast.Expr) bool {
	at := s.lead(expr)
	return at.payload && !at.batch
}

func (s *shared) lead(expr ast.Expr) lead {
	expr = ast.Unparen(expr)
	if event, ok := calls.Default.IsData(s.info, expr); ok {
		name, ok := ast.Unparen(event).(*ast.Ident)
		if ok && s.event != nil && s.info.ObjectOf(name) == s.event {
			return lead{payload: !s.isReplaced(expr)}
		}
	}
	switch expr := expr.(type) {
	case *ast.Ident:
		object := s.info.ObjectOf(expr)
		return lead{payload: s.variables[object], batch: object == s.batch && s.batch != nil}
	case *ast.SelectorExpr:
		if s.isReplaced(expr) {
			return lead{}
		}
		return s.step(expr.X, isPointer(s.info.TypeOf(expr.X)))
	case *ast.IndexExpr:
		if s.info.Types[expr.X].Type == nil {
			return lead{} // an instantiation
		}
		_, isArray := s.info.TypeOf(expr.X).Underlying().(*types.Array)
		return s.step(expr.X, !isArray)
	case *ast.SliceExpr:
		return s.lead(expr.X)
	case *ast.StarExpr:
		return s.step(expr.X, true)
	case *ast.TypeAssertExpr:
		return lead{payload: s.lead(expr.X).payload}
	case *ast.UnaryExpr:
		if at := s.lead(expr.X); expr.Op == token.AND && at.through {
			return lead{payload: at.payload}
		}
	}
	return lead{}
}

// step leads on from base, through what it points to or not.
func (s *shared) step(base ast.Expr, through bool) lead {
	from := s.lead(base)
	if !from.payload {
		return lead{}
	}
	if from.batch {
		return lead{payload: true}
	}
	return lead{payload: true, through: from.through || through}
}

func isPointer(t types.Type) bool {
	if t == nil {
		return false
	}
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

// writers are the functions that change their first argument in place.
var writers = map[string][]string{
	"maps":   {"Copy", "DeleteFunc", "Insert"},
	"slices": {"Reverse", "Sort", "SortFunc", "SortStableFunc"},
	"sort":   {"Float64s", "Ints", "Slice", "SliceStable", "Strings"},
}

// writesFirst reports whether a call changes its first argument in place.
func writesFirst(info *types.Info, call *ast.CallExpr) bool {
	switch callee := typeutil.Callee(info, call).(type) {
	case *types.Builtin:
		return callee.Name() == "delete" || callee.Name() == "clear" || callee.Name() == "copy"
	case *types.Func:
		return callee.Pkg() != nil && slices.Contains(writers[callee.Pkg().Path()], callee.Name())
	}
	return false
}
