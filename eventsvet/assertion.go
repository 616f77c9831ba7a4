package eventsvet

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ast/inspector"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/flow"
	"github.com/typedbus/events/eventsvet/internal/rewrite"
)

// Assertion reports type assertions on payloads that panic when they fail.
var Assertion = &analysis.Analyzer{
	Name: "assertion",
	Doc: `report unchecked type assertions on an event's Data

The first payload of another type makes such a handler panic. The fix checks
the assertion and returns an error, in functions that return just an error.`,
	Run:      checkAssertion,
	Requires: []*analysis.Analyzer{topics},
}

func checkAssertion(pass *analysis.Pass) (any, error) {
	d := pass.ResultOf[topics].(*declarations)
	topical := d.handlersOfTopics(pass)
	for _, file := range d.files {
		values := flow.Of(pass.TypesInfo, file.Node())
		for cursor := range file.Preorder((*ast.TypeAssertExpr)(nil)) {
			assertion := cursor.Node().(*ast.TypeAssertExpr)
			if !calls.Unchecked(assertion, cursor.Parent().Node()) ||
				!values.ReachesData(calls.Default, pass.TypesInfo, assertion.X) || isGuarded(pass, cursor) {
				continue
			}
			finding := analysis.Diagnostic{
				Pos: assertion.Pos(), End: assertion.End(),
				Message: fmt.Sprintf("unchecked assertion panics when the payload holds another type than %s",
					types.ExprString(assertion.Type)),
			}
			// The fix of untyped may rewrite the same lines, and two fixes in
			// one place do not merge.
			inside := func(body *ast.BlockStmt) bool { return body.Pos() <= assertion.Pos() && assertion.End() <= body.End() }
			if !slices.ContainsFunc(topical, inside) {
				finding.SuggestedFixes = checkedAssertion(pass, cursor)
			}
			d.report(pass, finding)
		}
	}
	return nil, nil
}

// handlersOfTopics returns the bodies of handlers that subscribe by the name of
// a declared topic.
func (d *declarations) handlersOfTopics(pass *analysis.Pass) []*ast.BlockStmt {
	var bodies []*ast.BlockStmt
	for _, file := range d.files {
		for cursor := range file.Preorder((*ast.CallExpr)(nil)) {
			call, ok := calls.Default.Of(pass.TypesInfo, cursor.Node().(*ast.CallExpr))
			if !ok || call.Kind != calls.Register && call.Kind != calls.Subscribe {
				continue
			}
			if text, ok := calls.Text(pass.TypesInfo, call.Name); !ok || d.topic(text) == nil {
				continue
			}
			if _, body := calls.Function(pass.TypesInfo, pass.Files, call.Handler); body != nil {
				bodies = append(bodies, body)
			}
		}
	}
	return bodies
}

// isGuarded reports whether the same assertion was checked further up in the
// function, by a second result or by a type switch.
func isGuarded(pass *analysis.Pass, cursor inspector.Cursor) bool {
	assertion := cursor.Node().(*ast.TypeAssertExpr)
	operand := types.ExprString(assertion.X)
	same := func(x, t ast.Expr) bool {
		return types.ExprString(x) == operand && types.Identical(pass.TypesInfo.TypeOf(t), pass.TypesInfo.TypeOf(assertion.Type))
	}
	for clause := range cursor.Enclosing((*ast.CaseClause)(nil)) {
		list := clause.Node().(*ast.CaseClause).List
		if decision, ok := clause.Parent().Parent().Node().(*ast.TypeSwitchStmt); ok && len(list) == 1 && same(switched(decision), list[0]) {
			return true
		}
	}
	function, ok := enclosingFunction(cursor)
	if !ok {
		return false
	}
	for earlier := range function.Preorder((*ast.TypeAssertExpr)(nil)) {
		check := earlier.Node().(*ast.TypeAssertExpr)
		if check.End() < assertion.Pos() && check.Type != nil &&
			!calls.Unchecked(check, earlier.Parent().Node()) && same(check.X, check.Type) {
			return true
		}
	}
	return false
}

// switched returns what a type switch looks at.
func switched(decision *ast.TypeSwitchStmt) ast.Expr {
	var expr ast.Expr
	switch assign := decision.Assign.(type) {
	case *ast.AssignStmt:
		expr = assign.Rhs[0]
	case *ast.ExprStmt:
		expr = assign.X
	}
	return ast.Unparen(expr).(*ast.TypeAssertExpr).X
}

func enclosingFunction(cursor inspector.Cursor) (inspector.Cursor, bool) {
	for function := range cursor.Enclosing((*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)) {
		return function, true
	}
	return inspector.Cursor{}, false
}

// checkedAssertion rewrites x := data.(T) so that a payload of another type is
// an error of the function.
func checkedAssertion(pass *analysis.Pass, cursor inspector.Cursor) []analysis.SuggestedFix {
	assertion := cursor.Node().(*ast.TypeAssertExpr)
	assign, ok := cursor.Parent().Node().(*ast.AssignStmt)
	if !ok || assign.Tok != token.DEFINE || len(assign.Lhs) != 1 || calls.IsBlank(assign.Lhs[0]) {
		return nil
	}
	// The new variable must not hide what the error is to be about.
	if name, ok := assign.Lhs[0].(*ast.Ident); !ok || rewrite.FreeName(assertion.X, name.Name) == "" {
		return nil
	}
	switch cursor.Parent().Parent().Node().(type) {
	case *ast.BlockStmt, *ast.CaseClause:
	default:
		return nil
	}
	function, ok := enclosingFunction(cursor)
	if !ok || !returnsError(pass.TypesInfo, function.Node()) || !isSimple(assertion.X) {
		return nil
	}
	file, err := packageOf(pass).Open(cursor.Node().Pos())
	if err != nil {
		return nil
	}
	check := rewrite.FreeName(function.Node(), "ok", "fits", "matches")
	format, edits, found := file.Import("fmt", "fmt")
	if check == "" || !found {
		return nil
	}
	operand, want := file.Text(assertion.X), file.Text(assertion.Type)
	want = strings.ReplaceAll(want, "%", "%%")
	message := "payload is %T, want " + want
	if index, ok := ast.Unparen(assertion.X).(*ast.IndexExpr); ok {
		if key, ok := calls.Text(pass.TypesInfo, index.Index); ok {
			message = strings.ReplaceAll(key, "%", "%%") + " is %T, want " + want
		}
	}
	return []analysis.SuggestedFix{{
		Message: "Check the assertion",
		TextEdits: append(edits,
			analysis.TextEdit{Pos: assign.Lhs[0].End(), End: assign.Lhs[0].End(), NewText: []byte(", " + check)},
			analysis.TextEdit{Pos: assign.End(), End: assign.End(), NewText: fmt.Appendf(nil,
				"\nif !%s {\nreturn %s.Errorf(%s, %s)\n}", check, format, strconv.Quote(message), operand)},
		),
	}}
}

// isSimple reports whether an expression can be evaluated twice, and does not
// itself panic on odd payloads.
func isSimple(expr ast.Expr) bool {
	for node := range ast.Preorder(expr) {
		if _, ok := node.(*ast.TypeAssertExpr); ok {
			return false
		}
	}
	return !calls.HasCall(expr)
}

// returnsError reports whether a function's only result is an error.
func returnsError(info *types.Info, function ast.Node) bool {
	var declared *ast.FuncType
	switch function := function.(type) {
	case *ast.FuncDecl:
		declared = function.Type
	case *ast.FuncLit:
		declared = function.Type
	}
	if declared.Results.NumFields() != 1 {
		return false
	}
	return types.Identical(info.TypeOf(declared.Results.List[0].Type), types.Universe.Lookup("error").Type())
}

// packageOf is the package of a pass, for rewriting.
func packageOf(pass *analysis.Pass) *rewrite.Package {
	return &rewrite.Package{
		API: calls.Default, Fset: pass.Fset, Info: pass.TypesInfo, Types: pass.Pkg,
		Files: pass.Files, Read: pass.ReadFile,
	}
}
