package migrate

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ast/inspector"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/flow"
)

// event is all that the program shows of the events of one name.
type event struct {
	name        string
	publishers  []*publisher
	subscribers []*subscriber
	tested      bool // tests handle it
}

// publisher is a place that makes an event.
type publisher struct {
	unit    *unit
	at      token.Pos
	call    *calls.Call // when it is dispatched there
	parent  ast.Node
	kind    payloadKind
	entries []entry    // of a map
	payload types.Type // of anything else
}

type payloadKind int

const (
	unseen  payloadKind = iota // a variable, or what a call returns
	nothing                    // left out, or nil
	mapping                    // a map whose keys are written out
	other                      // a value of a type that tells what it is
)

// entry is a key of a map and its value.
type entry struct {
	key   string
	value types.TypeAndValue
	at    token.Pos
}

// subscriber is a registration.
type subscriber struct {
	unit    *unit
	call    calls.Call
	parent  ast.Node
	reads   []read
	asserts []types.Type // of the payload, maps left out
	writes  bool         // the handler may write to the map
	moved   bool         // to the topic
}

// read is a look-up in the payload's map.
type read struct {
	key  string
	want types.Type // nil when it is taken as it comes
	at   token.Pos
}

// evidence is what a program does with events.
type evidence struct {
	events   map[string]*event
	topics   map[string]declaredTopic // that exist already
	notes    []note
	anywhere bool // something is registered under a name that is not constant

	everywhere []*subscriber // registered so in the program, tests left out
}

type declaredTopic struct {
	calls.Topic
	unit *unit
}

func (e *evidence) event(name string) *event {
	if e.events[name] == nil {
		e.events[name] = &event{name: name}
	}
	return e.events[name]
}

// collect reads the whole program.
func (p *program) collect() *evidence {
	e := &evidence{events: make(map[string]*event), topics: make(map[string]declaredTopic)}
	handlers := p.functions()
	for _, u := range p.packages {
		for _, file := range u.files {
			for _, topic := range p.api.Topics(u.TypesInfo, file) {
				if !u.tests {
					e.topics[topic.Event] = declaredTopic{topic, u}
				}
			}
		}
		u.each(func(cursor inspector.Cursor) {
			switch node := cursor.Node().(type) {
			case *ast.CallExpr:
				p.collectCall(e, u, node, cursor, handlers)
			case *ast.CompositeLit:
				if literal, ok := p.api.EventOf(u.TypesInfo, node); ok && !u.tests {
					p.collectEvent(e, u, literal, cursor)
				}
			}
		}, (*ast.CallExpr)(nil), (*ast.CompositeLit)(nil))
	}
	return e
}

// functions finds the declared functions of the program by their full names.
func (p *program) functions() map[string]function {
	found := make(map[string]function)
	for _, u := range p.packages {
		for _, file := range u.files {
			for _, declaration := range file.Decls {
				if f, ok := declaration.(*ast.FuncDecl); ok && f.Body != nil && !u.tests {
					found[u.TypesInfo.Defs[f.Name].(*types.Func).FullName()] = function{u, f.Type, f.Body}
				}
			}
		}
	}
	return found
}

type function struct {
	unit     *unit
	declared *ast.FuncType
	body     *ast.BlockStmt
}

func (p *program) collectCall(e *evidence, u *unit, node *ast.CallExpr, cursor inspector.Cursor, handlers map[string]function) {
	call, _ := p.api.Of(u.TypesInfo, node)
	if call.Kind != calls.Register && call.Kind != calls.Subscribe {
		return
	}
	name, ok := calls.Text(u.TypesInfo, call.Name)
	switch {
	case u.tests && ok:
		e.event(name).tested = true
		return
	case u.tests:
		e.anywhere = true
		return
	}
	s := &subscriber{unit: u, call: call, parent: cursor.Parent().Node(), writes: true}
	if f, ok := handlerOf(u, call.Handler, handlers); ok {
		p.readHandler(s, f)
	}
	if !ok {
		e.anywhere = true
		e.everywhere = append(e.everywhere, s)
		e.note(left, p.place(node.Pos()), "", "the name of the events handled here is not constant")
		return
	}
	e.event(name).subscribers = append(e.event(name).subscribers, s)
}

// handlerOf finds the function that a registration names.
func handlerOf(u *unit, expr ast.Expr, handlers map[string]function) (function, bool) {
	switch expr := ast.Unparen(expr).(type) {
	case *ast.FuncLit:
		return function{u, expr.Type, expr.Body}, true
	case *ast.Ident:
		if f, ok := u.TypesInfo.Uses[expr].(*types.Func); ok {
			found, ok := handlers[f.FullName()]
			return found, ok
		}
	case *ast.SelectorExpr:
		return handlerOf(u, expr.Sel, handlers)
	case *ast.CallExpr:
		// A wrapper, most likely, around the first argument that is a handler.
		for _, argument := range expr.Args {
			if found, ok := handlerOf(u, argument, handlers); ok {
				return found, ok
			}
		}
	}
	return function{}, false
}

// readHandler reads what a handler wants of the payload.
func (p *program) readHandler(s *subscriber, f function) {
	info := f.unit.TypesInfo
	s.writes = false
	values := flow.Of(info, f.body)
	isMapAt := func(expr ast.Expr) bool {
		depth, ok := values.Depth(p.api, info, expr)
		return ok && depth == 0
	}
	for cursor := range inspector.New(fileWith(f)).Root().Preorder((*ast.IndexExpr)(nil), (*ast.TypeAssertExpr)(nil), (*ast.CallExpr)(nil)) {
		node := cursor.Node()
		if node.Pos() < f.body.Pos() || node.End() > f.body.End() {
			continue
		}
		switch node := node.(type) {
		case *ast.IndexExpr:
			key, ok := calls.Text(info, node.Index)
			if !ok || !isMapAt(node.X) {
				continue
			}
			found := read{key: key, at: node.Pos()}
			switch parent := cursor.Parent().Node().(type) {
			case *ast.TypeAssertExpr:
				if parent.Type != nil {
					found.want = info.TypeOf(parent.Type)
				}
			case *ast.AssignStmt:
				s.writes = s.writes || slices.Contains(parent.Lhs, ast.Expr(node))
			}
			s.reads = append(s.reads, found)
		case *ast.TypeAssertExpr:
			if node.Type != nil && isMapAt(node.X) {
				if t := info.TypeOf(node.Type); !types.IsInterface(t) && !isMap(t) {
					s.asserts = append(s.asserts, t)
				}
			}
		case *ast.CallExpr:
			for _, argument := range node.Args {
				if isMapAt(argument) || p.api.IsEvent(info.TypeOf(argument)) && !isLiteral(argument) {
					s.writes = s.writes || !isPrint(info, node)
				}
			}
		}
	}
}

func isLiteral(expr ast.Expr) bool {
	_, ok := ast.Unparen(expr).(*ast.CompositeLit)
	return ok
}

// isPrint reports whether a call only writes its arguments down, or counts.
func isPrint(info *types.Info, call *ast.CallExpr) bool {
	if name, ok := call.Fun.(*ast.Ident); ok {
		return info.Uses[name] == types.Universe.Lookup("len")
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	object := info.Uses[selector.Sel]
	return object != nil && object.Pkg() != nil && slices.Contains([]string{"fmt", "log", "log/slog"}, object.Pkg().Path())
}

func fileWith(f function) []*ast.File {
	for _, file := range f.unit.files {
		if file.FileStart <= f.body.Pos() && f.body.End() <= file.FileEnd {
			return []*ast.File{file}
		}
	}
	return nil
}

func isMap(t types.Type) bool {
	_, ok := t.Underlying().(*types.Map)
	return ok
}
