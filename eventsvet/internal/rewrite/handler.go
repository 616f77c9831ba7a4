package rewrite

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/shape"
)

// body is the rewriting of one handler.
type body struct {
	*File
	topic   Topic
	event   types.Object          // the handler's event parameter
	payload types.Object          // the variable that the payload is asserted into, or nil
	isMap   bool                  // payload is a map
	name    string                // of the new parameter
	checks  map[types.Object]bool // results of assertions whose failure is returned
	cut     []ast.Node            // statements that go
	edits   []analysis.TextEdit
	used    bool // the payload is
}

// function rewrites the last parameter of a handler from an event to the
// topic's type, and the accesses to its payload.
func (f *File) function(declared *ast.FuncType, block *ast.BlockStmt, t Topic) ([]analysis.TextEdit, error) {
	parameters := declared.Params.List
	last := parameters[len(parameters)-1]
	if len(last.Names) > 1 {
		return nil, errors.New("the handler's parameters share a type")
	}
	text, edits, err := f.typeText(t.Payload, declared.Pos())
	if err != nil {
		return nil, err
	}
	b := &body{File: f, topic: t, checks: make(map[types.Object]bool), name: "_", edits: edits}
	if len(last.Names) == 1 {
		b.name, b.event = last.Names[0].Name, f.Info.Defs[last.Names[0]]
	}
	if b.event != nil {
		if err := b.rewrite(block); err != nil {
			return nil, err
		}
	}
	if !b.used {
		b.name = "_"
	}
	for _, other := range parameters[:len(parameters)-1] {
		for _, name := range other.Names {
			if b.name != "_" && name.Name == b.name {
				return nil, fmt.Errorf("%s names two things", b.name)
			}
		}
	}
	if len(last.Names) == 1 || len(parameters) == 2 && len(parameters[0].Names) == 1 {
		text = b.name + " " + text
	}
	return append(b.edits, replace(last.Pos(), last.End(), text)), nil
}

func (b *body) rewrite(block *ast.BlockStmt) error {
	b.readPrologue(block)
	b.readChecks(block)
	var failed error
	var stack []ast.Node
	ast.Inspect(block, func(node ast.Node) bool {
		if node == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		if slices.Contains(b.cut, node) {
			return false
		}
		stack = append(stack, node)
		if name, ok := node.(*ast.Ident); ok && failed == nil {
			failed = b.use(name, stack)
		}
		return failed == nil
	})
	for _, gone := range b.cut {
		if b.commented(gone.Pos(), gone.End()) {
			return errors.New("a comment would be lost")
		}
		b.edits = append(b.edits, replace(gone.Pos(), b.behind(block, gone), ""))
	}
	return failed
}

// behind returns where the statement behind one that goes begins, if only
// space is between them.
func (b *body) behind(block *ast.BlockStmt, gone ast.Node) token.Pos {
	for node := range ast.Preorder(block) {
		list, ok := node.(*ast.BlockStmt)
		if !ok {
			continue
		}
		for i, statement := range list.List[:max(0, len(list.List)-1)] {
			next := list.List[i+1]
			if statement == gone && !b.commented(gone.End(), next.Pos()) {
				return next.Pos()
			}
		}
	}
	return gone.End()
}

// readPrologue finds the statement that takes the payload out of the event:
// x := event.Data.(T), checked or not.
func (b *body) readPrologue(block *ast.BlockStmt) {
	for i, statement := range block.List {
		assign, ok := statement.(*ast.AssignStmt)
		if !ok || assign.Tok != token.DEFINE || len(assign.Rhs) != 1 || len(assign.Lhs) > 2 {
			continue
		}
		assertion, ok := ast.Unparen(assign.Rhs[0]).(*ast.TypeAssertExpr)
		if !ok || !b.isPayload(assertion) {
			continue
		}
		variable := assign.Lhs[0].(*ast.Ident)
		object := b.Info.Defs[variable]
		if object == nil || variable.Name == "_" || usesNameIn(block.List[:i], variable.Name) {
			return // the name means something else further up
		}
		if len(assign.Lhs) == 2 {
			if i+1 == len(block.List) || !b.returnsFailure(assign.Lhs[1], block.List[i+1]) {
				return
			}
			b.cut = append(b.cut, block.List[i+1])
			b.checks[b.Info.ObjectOf(assign.Lhs[1].(*ast.Ident))] = true
		}
		b.cut = append(b.cut, assign)
		b.payload, b.name = object, variable.Name
		b.isMap = isAnyMap(b.Info.TypeOf(assertion.Type)) && !isAnyMap(b.topic.Payload)
		return
	}
}

func usesNameIn(statements []ast.Stmt, name string) bool {
	for _, statement := range statements {
		if usesName(statement, name) {
			return true
		}
	}
	return false
}

// isPayload reports whether an assertion takes the payload out of the event,
// as the topic's type or as a map.
func (b *body) isPayload(assertion *ast.TypeAssertExpr) bool {
	event, ok := b.API.IsData(b.Info, assertion.X)
	if !ok || assertion.Type == nil {
		return false
	}
	name, ok := ast.Unparen(event).(*ast.Ident)
	if !ok || b.Info.Uses[name] != b.event {
		return false
	}
	t := b.Info.TypeOf(assertion.Type)
	return types.Identical(t, b.topic.Payload) || isAnyMap(t)
}

// returnsFailure reports whether a statement is if !ok { return an error }.
func (b *body) returnsFailure(check ast.Expr, statement ast.Stmt) bool {
	branch, isIf := statement.(*ast.IfStmt)
	name, isName := check.(*ast.Ident)
	if !isIf || !isName || branch.Init != nil || branch.Else != nil || len(branch.Body.List) != 1 {
		return false
	}
	not, ok := branch.Cond.(*ast.UnaryExpr)
	if !ok || not.Op != token.NOT {
		return false
	}
	condition, ok := not.X.(*ast.Ident)
	if !ok || b.Info.Uses[condition] == nil || b.Info.Uses[condition] != b.Info.ObjectOf(name) {
		return false
	}
	result, ok := branch.Body.List[0].(*ast.ReturnStmt)
	return ok && len(result.Results) == 1 && b.isFailure(result.Results[0])
}

// isFailure reports whether an expression is an error for certain.
func (b *body) isFailure(expr ast.Expr) bool {
	call, ok := ast.Unparen(expr).(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	function, ok := b.Info.Uses[selector.Sel].(*types.Func)
	return ok && (function.FullName() == "fmt.Errorf" || function.FullName() == "errors.New")
}

// readChecks finds the checked look-ups whose failure is returned at once:
// v, ok := payload["key"].(T), and then if !ok { return an error }.
func (b *body) readChecks(block *ast.BlockStmt) {
	for node := range ast.Preorder(block) {
		list, ok := node.(*ast.BlockStmt)
		if !ok {
			continue
		}
		for i, statement := range list.List[:max(0, len(list.List)-1)] {
			assign, ok := statement.(*ast.AssignStmt)
			if !ok || assign.Tok != token.DEFINE || len(assign.Lhs) != 2 || len(assign.Rhs) != 1 || !b.returnsFailure(assign.Lhs[1], list.List[i+1]) {
				continue
			}
			assertion, ok := assign.Rhs[0].(*ast.TypeAssertExpr)
			variable, isNew := assign.Lhs[0].(*ast.Ident)
			if !ok || !isNew || variable.Name == "_" || b.Info.Defs[variable] == nil {
				continue
			}
			if field, err := b.field(assertion); err != nil || field.Name == "" {
				continue
			}
			b.checks[b.Info.ObjectOf(assign.Lhs[1].(*ast.Ident))] = true
			b.cut = append(b.cut, list.List[i+1])
			b.edits = append(b.edits, replace(variable.End(), assign.Lhs[1].End(), ""))
		}
	}
}

// field finds the field that an assertion on an element of the map reads. The
// field has no name when the assertion reads something else.
func (b *body) field(assertion *ast.TypeAssertExpr) (shape.Field, error) {
	index, ok := ast.Unparen(assertion.X).(*ast.IndexExpr)
	if !ok || assertion.Type == nil {
		return shape.Field{}, nil
	}
	switch base := ast.Unparen(index.X).(type) {
	case *ast.Ident:
		if !b.isMap || b.payload == nil || b.Info.Uses[base] != b.payload {
			return shape.Field{}, nil
		}
	case *ast.TypeAssertExpr:
		if !b.isPayload(base) || !isAnyMap(b.Info.TypeOf(base.Type)) {
			return shape.Field{}, nil
		}
	default:
		return shape.Field{}, nil
	}
	key, ok := calls.Text(b.Info, index.Index)
	if !ok {
		return shape.Field{}, errors.New("a key is not constant")
	}
	fields, ok := shape.Of(b.topic.Payload)
	if !ok {
		return shape.Field{}, errors.New("the topic's type is no struct")
	}
	field, ok := fields.Exact(key)
	if !ok {
		return shape.Field{}, fmt.Errorf("key %q names no field", key)
	}
	if want := b.Info.TypeOf(assertion.Type); !types.Identical(want, field.Type) {
		return shape.Field{}, fmt.Errorf("key %q is asserted as %s, the field is %s", key, want, field.Type)
	}
	return field, nil
}

// use rewrites one mention of the event, of the payload or of a check. The
// stack leads to it from the body.
func (b *body) use(name *ast.Ident, stack []ast.Node) error {
	object := b.Info.ObjectOf(name)
	switch {
	case b.checks[object]:
		if assign, ok := stack[len(stack)-2].(*ast.AssignStmt); ok && len(assign.Lhs) == 2 && assign.Lhs[1] == name && b.isCut(assign, stack) {
			return nil
		}
		return errors.New("the result of a check is used twice")
	case object == b.event:
		return b.useEvent(stack)
	case b.payload != nil && object == b.payload:
		b.used = true
		if b.isMap {
			return b.useElement(stack, 2)
		}
	}
	return nil
}

// isCut reports whether the check behind an assignment goes.
func (b *body) isCut(assign *ast.AssignStmt, stack []ast.Node) bool {
	list, ok := stack[len(stack)-3].(*ast.BlockStmt)
	if !ok {
		return false
	}
	for i, statement := range list.List {
		if statement != assign || i+1 == len(list.List) {
			continue
		}
		for _, gone := range b.cut {
			if gone == list.List[i+1] {
				return true
			}
		}
	}
	return false
}

func (b *body) useEvent(stack []ast.Node) error {
	selector, ok := stack[len(stack)-2].(*ast.SelectorExpr)
	if !ok || len(stack) < 3 {
		return errors.New("the handler uses the event as a whole")
	}
	parent := stack[len(stack)-3]
	if selector.Sel.Name == "Name" {
		if isTarget(selector, parent) {
			return errors.New("the handler changes the event")
		}
		b.edits = append(b.edits, replace(selector.Pos(), selector.End(), strconv.Quote(b.topic.Event)))
		return nil
	}
	assertion, ok := parent.(*ast.TypeAssertExpr)
	if !ok || !b.isPayload(assertion) {
		return errors.New("the handler takes the payload as it comes")
	}
	if !calls.Unchecked(assertion, stack[len(stack)-4]) {
		return errors.New("the handler goes on when the payload is of another type")
	}
	b.used = true
	if isAnyMap(b.Info.TypeOf(assertion.Type)) && !isAnyMap(b.topic.Payload) {
		if b.payload != nil {
			return errors.New("the handler asserts the payload twice")
		}
		return b.useElement(stack, 4)
	}
	if b.payload != nil {
		return errors.New("the handler asserts the payload twice")
	}
	b.edits = append(b.edits, replace(assertion.Pos(), assertion.End(), b.name))
	return nil
}

// useElement rewrites payload["key"].(T) to payload.Field. The assertion is
// depth nodes up in the stack.
func (b *body) useElement(stack []ast.Node, depth int) error {
	const whole = "the handler uses the map as a whole"
	if len(stack) < depth+2 {
		return errors.New(whole)
	}
	assertion, ok := stack[len(stack)-1-depth].(*ast.TypeAssertExpr)
	if !ok {
		if index, ok := stack[len(stack)-depth].(*ast.IndexExpr); ok {
			return fmt.Errorf("%s is used without a type", types.ExprString(index))
		}
		return errors.New(whole)
	}
	field, err := b.field(assertion)
	switch {
	case err != nil:
		return err
	case field.Name == "":
		return errors.New(whole)
	case !calls.Unchecked(assertion, stack[len(stack)-2-depth]):
		assign, ok := stack[len(stack)-2-depth].(*ast.AssignStmt)
		if !ok || !b.isCut(assign, stack[:len(stack)-depth]) {
			return fmt.Errorf("the handler goes on when %q has another type", field.Key)
		}
	}
	b.edits = append(b.edits, replace(assertion.Pos(), assertion.End(), b.name+"."+field.Name))
	return nil
}

// isTarget reports whether an expression is set or has its address taken.
func isTarget(expr ast.Expr, parent ast.Node) bool {
	switch parent := parent.(type) {
	case *ast.AssignStmt:
		return slices.Contains(parent.Lhs, expr)
	case *ast.UnaryExpr:
		return parent.Op == token.AND
	case *ast.IncDecStmt:
		return true
	}
	return false
}
