package migrate

import (
	"fmt"
	"go/types"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// home is the package that gets the new topics.
type home struct {
	path, name string
	file       string          // that is written
	scope      *types.Scope    // of the package, nil when it is new
	taken      map[string]bool // names given to topics and types
	below      map[string]bool // packages that it imports: they cannot import it
}

// homes are the packages that get topics: one for most of them, and the
// packages of the program whose types a payload is made of.
type homes struct {
	*program
	common string         // directory of the one for most
	users  map[*unit]bool // that publish or handle events
	byPath map[string]*home
}

// settle picks the common home: the package that has all events, or a new one
// that every other can import.
func (p *program) settle(e *evidence, directory string) *homes {
	users := make(map[*unit]bool)
	for _, event := range e.events {
		for _, from := range event.publishers {
			users[from.unit] = true
		}
		for _, s := range event.subscribers {
			users[s.unit] = true
		}
	}
	if directory == "" && len(users) == 1 {
		for only := range users {
			directory, _ = filepath.Rel(p.root, filepath.Dir(only.GoFiles[0]))
		}
	}
	if directory == "" {
		directory = "topics"
	}
	return &homes{program: p, common: directory, users: users, byPath: make(map[string]*home)}
}

// of returns the home for a payload made of some types. It is the package that
// declares them when that one has events of its own, as it could not import
// the common home, and when no other can name them.
func (h *homes) of(payload ...types.Type) *home {
	common := h.in(h.common)
	var owner *unit
	nameable := true
	for _, t := range payload {
		nameable = nameable && common.canName(t)
		for object := range named(t) {
			switch u := h.unit(object.Pkg().Path()); {
			case u == nil || u == owner:
			case owner != nil:
				return common
			default:
				owner = u
			}
		}
	}
	if owner == nil || nameable && !h.users[owner] {
		return common
	}
	directory, err := filepath.Rel(h.root, filepath.Dir(owner.GoFiles[0]))
	if err != nil {
		return common
	}
	return h.in(directory)
}

// in returns the home in a directory.
func (h *homes) in(directory string) *home {
	importPath := path.Join(h.module, filepath.ToSlash(directory))
	if h.byPath[importPath] == nil {
		h.byPath[importPath] = h.open(directory, importPath)
	}
	return h.byPath[importPath]
}

// open prepares a package for topics.
func (h *homes) open(directory, importPath string) *home {
	result := &home{
		path: importPath, name: packageName(directory),
		taken: make(map[string]bool), below: make(map[string]bool),
	}
	if u := h.unit(importPath); u != nil {
		result.name, result.scope, result.below = u.Name, u.Types.Scope(), imports(u.Types)
	}
	full := filepath.Join(h.root, directory)
	result.file = filepath.Join(full, "topics.go")
	for n := 2; exists(result.file); n++ {
		result.file = filepath.Join(full, fmt.Sprintf("topics%d.go", n))
	}
	return result
}

// unit returns a package of the program, or nil.
func (p *program) unit(importPath string) *unit {
	for _, u := range p.packages {
		if !u.tests && u.PkgPath == importPath {
			return u
		}
	}
	return nil
}

// named yields the names of the declared types that a type is made of.
func named(t types.Type) iter.Seq[*types.TypeName] {
	return func(yield func(*types.TypeName) bool) {
		var visit func(types.Type) bool
		visit = func(t types.Type) bool {
			switch t := types.Unalias(t).(type) {
			case interface{ Elem() types.Type }:
				if m, ok := t.(*types.Map); ok && !visit(m.Key()) {
					return false
				}
				return visit(t.Elem())
			case *types.Named:
				for argument := range t.TypeArgs().Types() {
					if !visit(argument) {
						return false
					}
				}
				return t.Obj().Pkg() == nil || yield(t.Obj())
			}
			return true
		}
		visit(t)
	}
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// packageName makes a package name of the last element of a directory.
func packageName(directory string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(directory)))
}

// variable names the topic of an event: Created in package user, elsewhere
// UserCreated.
func (h *home) variable(event string) string {
	if rest, ok := strings.CutPrefix(event, h.name+"."); ok {
		if name := exportedName(rest); h.isFree(name) {
			return h.unused(name)
		}
	}
	return h.unused(exportedName(event))
}

func (h *home) isFree(name string) bool {
	return name != "" && !h.taken[name] && (h.scope == nil || h.scope.Lookup(name) == nil)
}

// unused makes a name that nothing else in the package has.
func (h *home) unused(name string) string {
	if name == "" {
		name = "Event"
	}
	for suffix := "Topic"; !h.isFree(name); suffix = "2" {
		name += suffix
	}
	h.taken[name] = true
	return name
}

// canName reports whether the package can write a type.
func (h *home) canName(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return true
	case *types.Pointer:
		return h.canName(t.Elem())
	case *types.Slice:
		return h.canName(t.Elem())
	case *types.Array:
		return h.canName(t.Elem())
	case *types.Map:
		return h.canName(t.Key()) && h.canName(t.Elem())
	case *types.Interface:
		return t.Empty()
	case *types.Named:
		for argument := range t.TypeArgs().Types() {
			if !h.canName(argument) {
				return false
			}
		}
		object := t.Obj()
		switch {
		case object.Parent() != nil && object.Pkg() != nil && object.Parent() != object.Pkg().Scope():
			return false // declared in a function
		case object.Pkg() == nil || object.Pkg().Path() == h.path:
			return true
		}
		return object.Exported() && h.canImport(object.Pkg())
	}
	return false
}

func (h *home) canImport(pkg *types.Package) bool {
	if pkg.Name() == "main" || imports(pkg)[h.path] {
		return false
	}
	i := strings.LastIndex("/"+pkg.Path()+"/", "/internal/")
	if i < 0 {
		return true
	}
	parent := strings.TrimSuffix(pkg.Path()[:i], "/")
	return h.path == parent || strings.HasPrefix(h.path, parent+"/")
}
