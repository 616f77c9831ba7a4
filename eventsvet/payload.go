package eventsvet

import (
	"fmt"
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/shape"
)

// Payload reports untyped events that the handlers of a topic cannot take.
var Payload = &analysis.Analyzer{
	Name: "payload",
	Doc: `report untyped events whose payload cannot become that of their topic

An Event whose name is that of a declared topic reaches its typed handlers only
when its Data is of the topic's type, a pointer to it, or a map that reads as
it by the JSON names of its fields. Anything else is a *PayloadError at run time.`,
	Run:      checkPayload,
	Requires: []*analysis.Analyzer{topics},
}

func checkPayload(pass *analysis.Pass) (any, error) {
	d := pass.ResultOf[topics].(*declarations)
	for _, file := range d.files {
		for cursor := range file.Preorder((*ast.CompositeLit)(nil)) {
			event, ok := calls.Default.EventOf(pass.TypesInfo, cursor.Node().(*ast.CompositeLit))
			if !ok {
				continue
			}
			if name, ok := calls.Text(pass.TypesInfo, event.Name); ok {
				if t := d.topic(name); t != nil && t.payload != nil {
					_, dispatched := cursor.Parent().Node().(*ast.CallExpr)
					d.checkData(pass, t, event, dispatched)
				}
			}
		}
	}
	return nil, nil
}

func (d *declarations) checkData(pass *analysis.Pass, t *topic, event calls.Event, dispatched bool) {
	report := func(at ast.Node, format string, arguments ...any) {
		message := fmt.Sprintf(format, arguments...)
		d.report(pass, analysis.Diagnostic{Pos: at.Pos(), End: at.End(), Message: fmt.Sprintf("event %q: %s", t.Event, message)})
	}
	payload := types.TypeString(t.payload, types.RelativeTo(pass.Pkg))
	if event.Data == nil {
		if dispatched && !types.IsInterface(t.payload) {
			report(event.Literal, "no payload does not become the topic's %s", payload)
		}
		return // otherwise it may be set later
	}
	if pass.TypesInfo.Types[event.Data].IsNil() {
		if !types.IsInterface(t.payload) {
			report(event.Data, "nil does not become the topic's %s", payload)
		}
		return
	}
	data := pass.TypesInfo.TypeOf(event.Data)
	if !shape.Becomes(data, t.payload) {
		report(event.Data, "%s does not become the topic's %s", types.TypeString(types.Default(data), types.RelativeTo(pass.Pkg)), payload)
		return
	}
	literal, ok := ast.Unparen(event.Data).(*ast.CompositeLit)
	fields, isStruct := shape.Of(t.payload)
	if !ok || !isStruct || !shape.IsMap(data) {
		return
	}
	for _, element := range literal.Elts {
		pair := element.(*ast.KeyValueExpr)
		key, ok := calls.Text(pass.TypesInfo, pair.Key)
		if !ok {
			continue
		}
		field, ok := fields.Field(key)
		switch value := pass.TypesInfo.Types[pair.Value]; {
		case !ok && !fields.Open:
			report(pair.Key, "key %q names no field of %s", key, payload)
		case ok && !shape.Fits(value, field.Type):
			report(pair.Value, "key %q: %s does not fit %s", key, describe(pass, value),
				types.TypeString(field.Type, types.RelativeTo(pass.Pkg)))
		}
	}
}

func describe(pass *analysis.Pass, value types.TypeAndValue) string {
	if value.IsNil() {
		return "nil"
	}
	name := types.TypeString(types.Default(value.Type), types.RelativeTo(pass.Pkg))
	if value.Value != nil {
		return fmt.Sprintf("%s of type %s", value.Value, name)
	}
	return name
}
