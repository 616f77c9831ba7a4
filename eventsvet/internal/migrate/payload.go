package migrate

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ast/inspector"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/shape"
)

// collectEvent reads an event that is written out.
func (p *program) collectEvent(e *evidence, u *unit, literal calls.Event, cursor inspector.Cursor) {
	info := u.TypesInfo
	name, ok := calls.Text(info, literal.Name)
	if !ok {
		if literal.Name != nil {
			e.note(left, p.place(literal.Literal.Pos()), "", "the name of the event made here is not constant")
		}
		return
	}
	from := &publisher{unit: u, at: literal.Literal.Pos()}
	if expr, ok := cursor.Parent().Node().(*ast.CallExpr); ok {
		if call, ok := p.api.Of(info, expr); ok {
			from.call, from.at, from.parent = &call, expr.Pos(), cursor.Parent().Parent().Node()
		}
	}
	data := literal.Data
	if function, ok := enclosing(cursor); ok && data != nil {
		if name, ok := ast.Unparen(data).(*ast.Ident); ok {
			from.entries, ok = localMap(info, function, name)
			if ok {
				from.kind, data = mapping, nil
			}
		}
	}
	switch {
	case from.kind == mapping:
	case data == nil || info.Types[data].IsNil():
		from.kind = nothing
	default:
		from.kind, from.payload = other, types.Default(info.TypeOf(data))
		if types.IsInterface(from.payload) {
			from.kind = unseen
		}
		if shape.IsMap(from.payload) {
			from.kind = unseen
			if entries, ok := mapEntries(info, data); ok {
				from.kind, from.entries = mapping, entries
			}
		}
	}
	event := e.event(name)
	event.publishers = append(event.publishers, from)
	if from.kind == unseen {
		e.note(left, p.place(from.at), name, "the payload is %s, whose content is not seen", types.ExprString(literal.Data))
	}
}

func enclosing(cursor inspector.Cursor) (ast.Node, bool) {
	for function := range cursor.Enclosing((*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)) {
		return function.Node(), true
	}
	return nil, false
}

// mapEntries reads a map literal, or a map that is made empty.
func mapEntries(info *types.Info, expr ast.Expr) ([]entry, bool) {
	switch expr := ast.Unparen(expr).(type) {
	case *ast.CallExpr:
		name, ok := expr.Fun.(*ast.Ident)
		return nil, ok && info.Uses[name] == types.Universe.Lookup("make")
	case *ast.CompositeLit:
		var entries []entry
		for _, element := range expr.Elts {
			pair := element.(*ast.KeyValueExpr)
			key, ok := calls.Text(info, pair.Key)
			if !ok {
				return nil, false
			}
			entries = append(entries, entry{key, info.Types[pair.Value], pair.Pos()})
		}
		return entries, true
	}
	return nil, false
}

// localMap reads a map that a variable of the function is set to once and that
// is then filled, key by key. It fails when anything else happens to the map.
func localMap(info *types.Info, function ast.Node, name *ast.Ident) (entries []entry, ok bool) {
	variable := info.ObjectOf(name)
	if !shape.IsMap(variable.Type()) {
		return nil, false
	}
	known, uses := 0, 0
	ast.Inspect(function, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Ident:
			if info.Uses[node] == variable {
				uses++
			}
		case *ast.AssignStmt:
			for i, target := range node.Lhs {
				if len(node.Lhs) != len(node.Rhs) {
					break
				}
				switch target := target.(type) {
				case *ast.Ident:
					if node.Tok == token.DEFINE && info.Defs[target] == variable {
						more, isKnown := mapEntries(info, node.Rhs[i])
						entries, ok = append(entries, more...), isKnown
					}
				case *ast.IndexExpr:
					if base, isName := target.X.(*ast.Ident); isName && info.Uses[base] == variable {
						if key, isConstant := calls.Text(info, target.Index); isConstant {
							entries = append(entries, entry{key, info.Types[node.Rhs[i]], target.Pos()})
							known++
						}
					}
				}
			}
		}
		return true
	})
	return entries, ok && uses == known+1
}
