package eventsvet

import (
	"go/ast"
	"go/types"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// topics finds the topics that a package declares or imports. The checks build
// on it.
var topics = &analysis.Analyzer{
	Name:       "eventtopics",
	Doc:        "find the topics that a program declares",
	Run:        findTopics,
	Requires:   []*analysis.Analyzer{inspect.Analyzer},
	FactTypes:  []analysis.Fact{new(topicsFact)},
	ResultType: reflect.TypeFor[*declarations](),
}

// topicsFact holds the topics that a package declares or imports.
type topicsFact struct {
	Topics []declared
	Writes bool // an untyped handler writes to its payload, in the package or below
}

// AFact marks topicsFact as a fact.
func (*topicsFact) AFact() {}

func (f *topicsFact) String() string {
	var names []string
	for _, topic := range f.Topics {
		names = append(names, topic.Event+" "+topic.Payload)
	}
	text := "topics: " + strings.Join(names, ", ")
	if f.Writes {
		text += "; handlers write"
	}
	return text
}

// declared is a topic as other packages know it.
type declared struct {
	Event   string
	Payload string // the type, qualified by import paths
	Type    string // its name in the declaring package, empty when it has none there
	Package string // the import path of the declaring package
	Var     string // empty when the topic is not a variable of its own
	Map     bool   // declared WithMapPayload
	Plain   bool   // declared with no other option
}

// topic is a declared one as this package sees it.
type topic struct {
	declared
	payload     types.Type // nil when out of sight
	packageName string
	call        *ast.CallExpr // nil when imported
}

// declarations is what the checks know of a package.
type declarations struct {
	files   []inspector.Cursor // without those of tests
	own     []*topic
	all     []*topic              // own ones first
	direct  map[string][]declared // what each imported package knows
	ignored ignored
	writes  bool // an untyped handler writes to its payload, here or in an imported package
}

// topics returns those of one name, this package's first.
func (d *declarations) topics(event string) []*topic {
	var found []*topic
	for _, t := range d.all {
		if t.Event == event {
			found = append(found, t)
		}
	}
	return found
}

// topic returns the one topic of a name, or nil when there is none or when
// there are several types.
func (d *declarations) topic(event string) *topic {
	found := d.topics(event)
	if len(found) == 0 {
		return nil
	}
	for _, other := range found[1:] {
		if other.differs(found[0]) {
			return nil
		}
	}
	return found[0]
}

// differs reports whether two topics have different payload types.
func (t *topic) differs(other *topic) bool {
	if t.Payload == other.Payload {
		return false
	}
	return t.payload == nil || other.payload == nil || !types.Identical(t.payload, other.payload)
}

func findTopics(pass *analysis.Pass) (any, error) {
	d := &declarations{direct: make(map[string][]declared), ignored: make(ignored)}
	root := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector).Root()
	for file := range root.Children() {
		syntax := file.Node().(*ast.File)
		if strings.HasSuffix(pass.Fset.File(syntax.FileStart).Name(), "_test.go") {
			continue
		}
		d.files = append(d.files, file)
		d.ignored.read(pass.Fset, syntax)
		d.declare(pass, syntax)
		d.findWrites(pass, syntax)
	}
	d.all = slices.Clone(d.own)
	d.importTopics(pass)
	if len(d.all) > 0 || d.writes {
		fact := &topicsFact{Writes: d.writes}
		for _, t := range d.all {
			fact.Topics = append(fact.Topics, t.declared)
		}
		pass.ExportPackageFact(fact)
	}
	return d, nil
}

// declare collects the topics of the package-level variables of a file.
func (d *declarations) declare(pass *analysis.Pass, file *ast.File) {
	for _, found := range calls.Default.Topics(pass.TypesInfo, file) {
		d.own = append(d.own, &topic{
			payload: found.Payload, packageName: pass.Pkg.Name(), call: found.Call,
			declared: declared{
				Type:  localName(found.Payload, pass.Pkg),
				Event: found.Event, Payload: types.TypeString(types.Unalias(found.Payload), nil),
				Package: pass.Pkg.Path(), Var: found.Var, Map: found.Map, Plain: found.Plain,
			},
		})
	}
}

// findWrites looks for untyped handlers that write to their payload.
func (d *declarations) findWrites(pass *analysis.Pass, file *ast.File) {
	for node := range ast.Preorder(file) {
		var function *ast.FuncType
		var body *ast.BlockStmt
		switch node := node.(type) {
		case *ast.FuncDecl:
			function, body = node.Type, node.Body
		case *ast.FuncLit:
			function, body = node.Type, node.Body
		}
		if body == nil {
			continue
		}
		if s := sharedByUntyped(pass.TypesInfo, function); s != nil {
			s.eachWrite(body, func(ast.Node) { d.writes = true })
		}
	}
}

// importTopics adds what the imported packages know.
func (d *declarations) importTopics(pass *analysis.Pass) {
	visible := visiblePackages(pass.Pkg)
	seen := make(map[declared]bool)
	imports := slices.SortedFunc(slices.Values(pass.Pkg.Imports()), func(a, b *types.Package) int {
		return strings.Compare(a.Path(), b.Path())
	})
	for _, imported := range imports {
		fact := new(topicsFact)
		if !pass.ImportPackageFact(imported, fact) {
			continue
		}
		d.direct[imported.Path()] = fact.Topics
		d.writes = d.writes || fact.Writes
		for _, known := range fact.Topics {
			if seen[known] || known.Package == pass.Pkg.Path() {
				continue
			}
			seen[known] = true
			t := &topic{declared: known}
			if owner := visible[known.Package]; owner != nil && known.Var != "" {
				t.packageName = owner.Name()
				t.payload = known.payloadIn(owner)
			}
			d.all = append(d.all, t)
		}
	}
}

// localName returns the name of a type that pkg declares.
func localName(t types.Type, pkg *types.Package) string {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() != pkg || named.TypeArgs().Len() > 0 {
		return ""
	}
	return named.Obj().Name()
}

// payloadIn finds the type of a topic in the package that declares it. Of a
// package that is imported by another one only, go vet knows just what that
// one mentions: perhaps the type, and not the topic.
func (d declared) payloadIn(owner *types.Package) types.Type {
	if variable := owner.Scope().Lookup(d.Var); variable != nil {
		payload, _ := calls.Default.Payload(variable.Type())
		return payload
	}
	if name := owner.Scope().Lookup(d.Type); d.Type != "" && name != nil {
		return name.Type()
	}
	return nil
}

// visiblePackages returns pkg and all that it imports, directly or not.
func visiblePackages(pkg *types.Package) map[string]*types.Package {
	found := make(map[string]*types.Package)
	var visit func(*types.Package)
	visit = func(p *types.Package) {
		if found[p.Path()] != nil {
			return
		}
		found[p.Path()] = p
		for _, imported := range p.Imports() {
			visit(imported)
		}
	}
	visit(pkg)
	return found
}
