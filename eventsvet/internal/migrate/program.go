package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/packages"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/rewrite"
)

// program is what is to be migrated.
type program struct {
	api      calls.API
	fset     *token.FileSet
	root     string // directory of the module, for the names of files
	module   string // its path
	packages []*unit
	excluded []string // files left out of the build that use the old path
}

// unit is a package of the program. Its files are those of the build, or those
// of its tests.
type unit struct {
	*packages.Package
	tests bool
	files []*ast.File
	code  *rewrite.Package
}

// load reads and type-checks the packages that the patterns name.
func load(directory, from string, patterns []string) (*program, error) {
	p := &program{api: calls.API{from, calls.Path}, fset: token.NewFileSet()}
	found, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule,
		Dir: directory, Fset: p.fset, Tests: true,
	}, patterns...)
	if err != nil {
		return nil, err
	}
	var failures []error
	seen := make(map[string]bool)
	slices.SortStableFunc(found, func(a, b *packages.Package) int { return cmp.Compare(a.ID, b.ID) })
	for _, pkg := range found {
		for _, failure := range pkg.Errors {
			// The go command's own account of it comes without a position.
			if failure.Kind != packages.ListError || failure.Pos != "" && failure.Pos != "-" {
				failures = append(failures, failure)
			}
		}
		if path := strings.TrimSuffix(pkg.PkgPath, "_test"); p.api.Has(types.NewPackage(path, "")) {
			continue
		}
		if pkg.Module != nil && pkg.Module.Main && p.module == "" {
			p.root, p.module = pkg.Module.Dir, pkg.Module.Path
		}
		p.add(pkg, seen)
		p.exclude(pkg, from, seen)
	}
	if len(failures) > 0 {
		return nil, fmt.Errorf("the program has to compile first: %w", errors.Join(failures...))
	}
	if p.module == "" {
		return nil, fmt.Errorf("%s names no package of a module", strings.Join(patterns, " "))
	}
	return p, nil
}

// add splits a package into what is built and what is tested. A package comes
// once by itself, and once more with its tests.
func (p *program) add(pkg *packages.Package, seen map[string]bool) {
	var built, tests []*ast.File
	for _, file := range pkg.Syntax {
		name := p.fset.File(file.FileStart).Name()
		if seen[name] || !slices.Contains(pkg.GoFiles, name) {
			continue
		}
		seen[name] = true
		if strings.HasSuffix(name, "_test.go") {
			tests = append(tests, file)
		} else {
			built = append(built, file)
		}
	}
	for _, part := range []struct {
		files []*ast.File
		tests bool
	}{{built, false}, {tests, true}} {
		if len(part.files) > 0 {
			p.packages = append(p.packages, &unit{
				Package: pkg, tests: part.tests, files: part.files,
				code: &rewrite.Package{
					API: p.api, Fset: p.fset, Info: pkg.TypesInfo, Types: pkg.Types,
					Files: part.files, Read: os.ReadFile,
				},
			})
		}
	}
}

// exclude notes the files that build constraints leave out.
func (p *program) exclude(pkg *packages.Package, from string, seen map[string]bool) {
	for _, name := range pkg.IgnoredFiles {
		if seen[name] || !strings.HasSuffix(name, ".go") {
			continue
		}
		seen[name] = true
		if source, err := os.ReadFile(name); err == nil && strings.Contains(string(source), `"`+from+`"`) {
			p.excluded = append(p.excluded, name)
		}
	}
}

// place says where something stands, relative to the module.
func (p *program) place(at token.Pos) string {
	position := p.fset.Position(at)
	return fmt.Sprintf("%s:%d", p.name(position.Filename), position.Line)
}

func (p *program) name(filename string) string {
	if relative, err := filepath.Rel(p.root, filename); err == nil {
		return filepath.ToSlash(relative)
	}
	return filename
}

// each calls f with the nodes of some types in the files of a unit.
func (u *unit) each(f func(inspector.Cursor), kinds ...ast.Node) {
	for cursor := range inspector.New(u.files).Root().Preorder(kinds...) {
		f(cursor)
	}
}

// imports returns the paths of all packages that pkg imports, directly or not.
func imports(pkg *types.Package) map[string]bool {
	found := make(map[string]bool)
	var visit func(*types.Package)
	visit = func(pkg *types.Package) {
		for _, imported := range pkg.Imports() {
			if !found[imported.Path()] {
				found[imported.Path()] = true
				visit(imported)
			}
		}
	}
	visit(pkg)
	return found
}
