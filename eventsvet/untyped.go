package eventsvet

import (
	"fmt"
	"go/ast"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/rewrite"
)

// Untyped reports calls that use a declared topic by its name.
var Untyped = &analysis.Analyzer{
	Name: "untyped",
	Doc: `report Register, Subscribe and Dispatch by the name of a declared topic

The compiler does not check such a call against the topic's payload type. The
fix moves it to the topic, where that is certain to mean the same.`,
	Run:      checkUntyped,
	Requires: []*analysis.Analyzer{topics},
}

func checkUntyped(pass *analysis.Pass) (any, error) {
	d := pass.ResultOf[topics].(*declarations)
	for _, file := range d.files {
		for cursor := range file.Preorder((*ast.CallExpr)(nil)) {
			call, ok := calls.Default.Of(pass.TypesInfo, cursor.Node().(*ast.CallExpr))
			if !ok {
				continue
			}
			name := call.Name
			switch call.Kind {
			case calls.Register, calls.Subscribe:
			case calls.Dispatch, calls.DispatchAsync:
				event, _ := calls.Default.EventOf(pass.TypesInfo, call.Event)
				name = event.Name
			default:
				continue
			}
			text, ok := calls.Text(pass.TypesInfo, name)
			if !ok {
				continue
			}
			if t := d.topic(text); t != nil {
				d.reportUntyped(pass, call, cursor.Parent().Node(), t)
			}
		}
	}
	return nil, nil
}

func (d *declarations) reportUntyped(pass *analysis.Pass, call calls.Call, parent ast.Node, t *topic) {
	verb := "dispatched"
	if call.Event == nil {
		verb = "handled"
	}
	finding := analysis.Diagnostic{
		Pos: call.Expr.Pos(), End: call.Expr.End(),
		Message: fmt.Sprintf("event %q is %s by name, past its topic %s", t.Event, verb, t.title()),
	}
	if edits, err := d.useTopic(pass, call, parent, t); err != nil {
		finding.Message += fmt.Sprintf(" (no fix: %v)", err)
	} else {
		finding.SuggestedFixes = []analysis.SuggestedFix{{Message: "Use the topic", TextEdits: edits}}
	}
	d.report(pass, finding)
}

// useTopic rewrites a call, or says why not.
func (d *declarations) useTopic(pass *analysis.Pass, call calls.Call, parent ast.Node, t *topic) ([]analysis.TextEdit, error) {
	if t.payload == nil {
		return nil, fmt.Errorf("package %s is not imported here", t.Package)
	}
	file, err := packageOf(pass).Open(call.Expr.Pos())
	if err != nil {
		return nil, err
	}
	target := rewrite.Topic{
		Event: t.Event, Package: t.Package, PackageName: t.packageName, Var: t.Var,
		Payload: t.payload, Map: t.Map, Plain: t.Plain, Written: d.writes,
	}
	if call.Event != nil {
		return file.Publish(call, parent, target)
	}
	return file.Subscribe(call, parent, target)
}

// title is how a finding calls the topic.
func (t *topic) title() string {
	if t.Var == "" {
		return "of " + t.Payload
	}
	return t.Var
}
