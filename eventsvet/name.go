package eventsvet

import (
	"fmt"
	"go/ast"
	"regexp"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// Name reports event names outside the convention.
var Name = &analysis.Analyzer{
	Name: "name",
	Doc: `report event names that are not dotted, lower-case segments

The convention is domain.action, as in user.created or billing.invoice.paid.
Patterns select by segment, so a name without segments cannot be selected, and
two spellings of one name are two events.`,
	Run:      checkName,
	Requires: []*analysis.Analyzer{topics},
}

const segment = `[a-z][a-z0-9]*([_-][a-z0-9]+)*`

var (
	conventionalName    = regexp.MustCompile(`^` + segment + `(\.` + segment + `)+$`)
	conventionalPattern = regexp.MustCompile(`^((` + segment + `|\*)(\.(` + segment + `|\*))*\.(` + segment + `|\*|>|\*\*)|\*|>|\*\*)$`)
)

func checkName(pass *analysis.Pass) (any, error) {
	d := pass.ResultOf[topics].(*declarations)
	reported := make(map[string]bool) // a name is reported once in a package
	check := func(expr ast.Expr, what string, convention *regexp.Regexp) {
		name, ok := calls.Text(pass.TypesInfo, expr)
		if !ok || reported[what+name] || convention.MatchString(name) {
			return
		}
		reported[what+name] = true
		d.report(pass, analysis.Diagnostic{
			Pos: expr.Pos(), End: expr.End(),
			Message: fmt.Sprintf("%s %q is not of the form domain.action, in dotted lower-case segments", what, name),
		})
	}
	for _, file := range d.files {
		for cursor := range file.Preorder((*ast.CallExpr)(nil), (*ast.CompositeLit)(nil)) {
			switch node := cursor.Node().(type) {
			case *ast.CallExpr:
				call, _ := calls.Default.Of(pass.TypesInfo, node)
				switch call.Kind {
				case calls.NewTopic, calls.Register:
					check(call.Name, "event name", conventionalName)
				case calls.Subscribe:
					check(call.Name, "pattern", conventionalPattern)
				}
			case *ast.CompositeLit:
				if event, ok := calls.Default.EventOf(pass.TypesInfo, node); ok {
					check(event.Name, "event name", conventionalName)
				}
			}
		}
	}
	return nil, nil
}
