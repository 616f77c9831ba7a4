// Package flow follows the payload of events through local variables.
package flow

import (
	"go/ast"
	"go/token"
	"go/types"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// Sources maps the variables that are set once, where they are declared, to
// what they are set to. Elements of a range have the collection as source.
type Sources map[types.Object]ast.Expr

// Of reads the assignments in root.
func Of(info *types.Info, root ast.Node) Sources {
	found := make(Sources)
	times := make(map[types.Object]int)
	set := func(target, value ast.Expr) {
		name, ok := ast.Unparen(target).(*ast.Ident)
		if !ok {
			return
		}
		object := info.ObjectOf(name)
		times[object]++
		if info.Defs[name] != nil && value != nil {
			found[object] = value
		} else {
			times[object]++ // set after its declaration
		}
	}
	ast.Inspect(root, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			for i, target := range node.Lhs {
				set(target, valueAt(node.Rhs, i, len(node.Lhs)))
			}
		case *ast.ValueSpec:
			for i, name := range node.Names {
				if len(node.Values) > 0 {
					set(name, valueAt(node.Values, i, len(node.Names)))
				}
			}
		case *ast.RangeStmt:
			if node.Key != nil {
				set(node.Key, nil)
			}
			if node.Value != nil {
				set(node.Value, node.X)
			}
		case *ast.UnaryExpr:
			if node.Op == token.AND {
				set(node.X, nil)
			}
		}
		return true
	})
	for object, n := range times {
		if n != 1 {
			delete(found, object)
		}
	}
	return found
}

// valueAt returns the value that the i-th of n targets is set to; the first of
// two may be set by a checked assertion or a look-up.
func valueAt(values []ast.Expr, i, n int) ast.Expr {
	switch {
	case len(values) == n:
		return values[i]
	case len(values) == 1 && i == 0:
		if _, isCall := ast.Unparen(values[0]).(*ast.CallExpr); !isCall {
			return values[0]
		}
	}
	return nil
}

// ReachesData reports whether expr is an event's Data or a part of it that an
// assertion or an index leads to.
func (s Sources) ReachesData(api calls.API, info *types.Info, expr ast.Expr) bool {
	_, ok := s.Depth(api, info, expr)
	return ok
}

// Depth returns how many indexes lead from an event's Data to expr.
func (s Sources) Depth(api calls.API, info *types.Info, expr ast.Expr) (depth int, ok bool) {
	if _, ok := api.IsData(info, expr); ok {
		return 0, true
	}
	switch expr := ast.Unparen(expr).(type) {
	case *ast.TypeAssertExpr:
		return s.Depth(api, info, expr.X)
	case *ast.IndexExpr:
		depth, ok = s.Depth(api, info, expr.X)
		return depth + 1, ok
	case *ast.Ident:
		if source := s[info.ObjectOf(expr)]; source != nil {
			return s.Depth(api, info, source)
		}
	}
	return 0, false
}
