package calls

import (
	"go/ast"
	"go/token"
	"go/types"
)

// Topic is the declaration of a topic at package level.
type Topic struct {
	Event   string
	Var     string // empty when the topic is not a variable of its own
	Payload types.Type
	Call    *ast.CallExpr
	Map     bool // WithMapPayload
	Plain   bool // no other option
}

// Topics returns the topics of constant name that the package-level variables
// of a file declare.
func (a API) Topics(info *types.Info, file *ast.File) []Topic {
	var found []Topic
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, value := range spec.Values {
				name := ""
				if len(spec.Names) == len(spec.Values) && spec.Names[i].Name != "_" {
					name = spec.Names[i].Name
				}
				found = append(found, a.topicsIn(info, value, name)...)
			}
		}
	}
	return found
}

func (a API) topicsIn(info *types.Info, value ast.Expr, variable string) []Topic {
	var found []Topic
	ast.Inspect(value, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			call, ok := a.Of(info, node)
			if !ok || call.Kind != NewTopic {
				return true
			}
			event, constant := Text(info, call.Name)
			payload, ok := a.Payload(info.TypeOf(node))
			if !constant || !ok {
				return false
			}
			topic := Topic{Event: event, Payload: payload, Call: node, Plain: true}
			if ast.Unparen(value) == node {
				topic.Var = variable
			}
			for _, option := range call.Options {
				if a.isMapPayload(info, option) {
					topic.Map = true
				} else {
					topic.Plain = false
				}
			}
			found = append(found, topic)
			return false
		}
		return true
	})
	return found
}

func (a API) isMapPayload(info *types.Info, option ast.Expr) bool {
	call, ok := ast.Unparen(option).(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	object := info.Uses[selector.Sel]
	return object != nil && object.Name() == "WithMapPayload" && a.Has(object.Pkg())
}
