package rewrite

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/shape"
)

// Publish rewrites a dispatch to a publish of the topic, or says why not.
func (f *File) Publish(call calls.Call, parent ast.Node, t Topic) ([]analysis.TextEdit, error) {
	method := ".Publish"
	if call.Kind == calls.DispatchAsync {
		method = ".PublishAsync"
		if !isStatement(parent) {
			return nil, errors.New("the result is used")
		}
	}
	event, ok := f.API.EventOf(f.Info, call.Event)
	if !ok || event.Data == nil {
		return nil, errors.New("the payload is not written out in the call")
	}
	variable, edits, err := f.refer(t, call.Expr.Pos())
	if err != nil {
		return nil, err
	}
	bus, err := f.bus(call)
	if err != nil {
		return nil, err
	}
	edits = append(edits,
		replace(call.Expr.Fun.Pos(), call.Expr.Fun.End(), variable+method),
		replace(call.Context.End(), call.Context.End(), ", "+bus))
	data := types.Default(f.Info.TypeOf(event.Data))
	switch {
	case types.Identical(data, t.Payload) && t.Map && !t.Settled:
		return nil, errors.New("untyped handlers would get a map in place of " + data.String())
	case types.Identical(data, t.Payload):
		if f.commented(event.Literal.Pos(), event.Data.Pos()) || f.commented(event.Data.End(), event.Literal.End()) {
			return nil, errors.New("a comment would be lost")
		}
		return append(edits,
			replace(event.Literal.Pos(), event.Data.Pos(), ""),
			replace(event.Data.End(), event.Literal.End(), "")), nil
	}
	more, err := f.structFromMap(event, t)
	return append(edits, more...), err
}

// structFromMap rewrites an event with a map literal to a struct literal of
// the topic's type: that map and the struct's must be equal.
func (f *File) structFromMap(event calls.Event, t Topic) ([]analysis.TextEdit, error) {
	literal, ok := ast.Unparen(event.Data).(*ast.CompositeLit)
	if !ok || !isAnyMap(f.Info.TypeOf(literal)) {
		return nil, errors.New("the payload is neither of the topic's type nor a map literal")
	}
	if !t.Map && !t.Settled {
		return nil, errors.New("untyped handlers would no longer get a map")
	}
	if t.Written {
		return nil, errors.New("untyped handlers write to the map that they share")
	}
	fields, ok := shape.Of(t.Payload)
	if _, isPointer := t.Payload.Underlying().(*types.Pointer); !ok || isPointer || !fields.Plain {
		return nil, errors.New("the topic's type does not write the same map")
	}
	name, edits, err := f.typeText(t.Payload, event.Literal.Pos())
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, element := range literal.Elts {
		pair := element.(*ast.KeyValueExpr)
		key, ok := calls.Text(f.Info, pair.Key)
		if !ok {
			return nil, errors.New("a key is not constant")
		}
		field, ok := fields.Exact(key)
		if !ok {
			return nil, fmt.Errorf("key %q names no field", key)
		}
		if !storesAs(f.Info.Types[pair.Value], field.Type) {
			return nil, fmt.Errorf("key %q holds %s, the field %s", key, types.Default(f.Info.TypeOf(pair.Value)), field.Type)
		}
		seen[key] = true
		edits = append(edits, replace(pair.Key.Pos(), pair.Key.End(), field.Name))
	}
	for _, field := range fields.Fields {
		if !seen[field.Key] {
			return nil, fmt.Errorf("key %q is missing", field.Key)
		}
	}
	if f.commented(event.Literal.Pos(), literal.Lbrace) || f.commented(literal.Rbrace, event.Literal.End()) {
		return nil, errors.New("a comment would be lost")
	}
	return append(edits,
		replace(event.Literal.Pos(), literal.Lbrace+token.Pos(len("{")), name+"{"),
		replace(literal.Rbrace, event.Literal.End(), "}")), nil
}

// storesAs reports whether a value is the same in a field as in a map of any.
func storesAs(value types.TypeAndValue, field types.Type) bool {
	if contract, ok := field.Underlying().(*types.Interface); ok {
		return contract.Empty()
	}
	return !value.IsNil() && types.Identical(types.Default(value.Type), field)
}

// isAnyMap reports whether t is map[string]any.
func isAnyMap(t types.Type) bool {
	m, ok := types.Unalias(t).(*types.Map)
	if !ok || !types.Identical(m.Key(), types.Typ[types.String]) {
		return false
	}
	element, ok := m.Elem().Underlying().(*types.Interface)
	return ok && element.Empty()
}
