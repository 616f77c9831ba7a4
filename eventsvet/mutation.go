package eventsvet

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// Mutation reports handlers that write to their payload.
var Mutation = &analysis.Analyzer{
	Name: "mutation",
	Doc: `report handlers that write through a pointer, map or slice payload

All handlers of an event share what its payload points to: the next one sees
the change, and a queued one may be reading meanwhile. Write to a copy.`,
	Run:      checkMutation,
	Requires: []*analysis.Analyzer{topics},
}

func checkMutation(pass *analysis.Pass) (any, error) {
	d := pass.ResultOf[topics].(*declarations)
	for _, file := range d.files {
		for cursor := range file.Preorder((*ast.FuncDecl)(nil), (*ast.FuncLit)(nil), (*ast.CallExpr)(nil), (*ast.RangeStmt)(nil)) {
			switch node := cursor.Node().(type) {
			case *ast.FuncDecl:
				if node.Body != nil {
					d.checkUntyped(pass, node.Type, node.Body)
				}
			case *ast.FuncLit:
				d.checkUntyped(pass, node.Type, node.Body)
			case *ast.CallExpr:
				d.checkTyped(pass, node)
			case *ast.RangeStmt:
				d.checkRange(pass, node)
			}
		}
	}
	return nil, nil
}

// checkUntyped looks at functions that have the signature of a Handler.
func (d *declarations) checkUntyped(pass *analysis.Pass, function *ast.FuncType, body *ast.BlockStmt) {
	if s := sharedByUntyped(pass.TypesInfo, function); s != nil {
		d.reportWrites(pass, body, s)
	}
}

// checkTyped looks at the handlers that subscribe to a topic.
func (d *declarations) checkTyped(pass *analysis.Pass, expr *ast.CallExpr) {
	call, _ := calls.Default.Of(pass.TypesInfo, expr)
	if call.Kind != calls.TopicSubscribe && call.Kind != calls.TopicSubscribeBatch {
		return
	}
	function, body := calls.Function(pass.TypesInfo, pass.Files, call.Handler)
	if function == nil {
		return
	}
	payload := lastParameter(pass.TypesInfo, function)
	if payload == nil {
		return
	}
	s := &shared{info: pass.TypesInfo, variables: map[types.Object]bool{payload: true}}
	if call.Kind == calls.TopicSubscribeBatch {
		s.batch = payload
	}
	d.reportWrites(pass, body, s)
}

// checkRange looks at loops over a topic's events.
func (d *declarations) checkRange(pass *analysis.Pass, loop *ast.RangeStmt) {
	expr, ok := ast.Unparen(loop.X).(*ast.CallExpr)
	if !ok {
		return
	}
	if call, _ := calls.Default.Of(pass.TypesInfo, expr); call.Kind != calls.TopicAll {
		return
	}
	if name, ok := loop.Value.(*ast.Ident); ok && pass.TypesInfo.Defs[name] != nil {
		d.reportWrites(pass, loop.Body, &shared{info: pass.TypesInfo, variables: map[types.Object]bool{pass.TypesInfo.Defs[name]: true}})
	}
}

// lastParameter returns the payload of a handler, or nil when it has no name.
func lastParameter(info *types.Info, function *ast.FuncType) types.Object {
	fields := function.Params.List
	if len(fields) == 0 || len(fields[len(fields)-1].Names) == 0 {
		return nil
	}
	names := fields[len(fields)-1].Names
	return info.Defs[names[len(names)-1]]
}

func (d *declarations) reportWrites(pass *analysis.Pass, body *ast.BlockStmt, s *shared) {
	s.eachWrite(body, func(node ast.Node) {
		d.report(pass, analysis.Diagnostic{
			Pos: node.Pos(), End: node.End(),
			Message: "handler writes to its payload, which other handlers see",
		})
	})
}
