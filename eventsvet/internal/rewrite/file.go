// Package rewrite moves calls with untyped events to topics, where that is
// certain to mean the same.
//
// The same means: for every payload that reads as the topic's type and that
// the code handled before, the new code does what the old one did. Payloads on
// which the old code panicked or returned an error may be handled, or fail
// with another error.
package rewrite

import (
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// Package is a type-checked package whose files are to be edited.
type Package struct {
	API   calls.API
	Fset  *token.FileSet
	Info  *types.Info
	Types *types.Package
	Files []*ast.File
	Read  func(filename string) ([]byte, error)
}

// File is a file of a package, with its source.
type File struct {
	*Package
	Syntax *ast.File
	source []byte
}

// Open reads the file that holds pos.
func (p *Package) Open(pos token.Pos) (*File, error) {
	for _, syntax := range p.Files {
		if syntax.FileStart <= pos && pos < syntax.FileEnd {
			source, err := p.Read(p.Fset.File(pos).Name())
			return &File{Package: p, Syntax: syntax, source: source}, err
		}
	}
	return nil, os.ErrNotExist
}

// Text returns the source of a node.
func (f *File) Text(node ast.Node) string {
	file := f.Fset.File(f.Syntax.FileStart)
	return string(f.source[file.Offset(node.Pos()):file.Offset(node.End())])
}

// commented reports whether a comment lies between two positions.
func (f *File) commented(from, to token.Pos) bool {
	for _, group := range f.Syntax.Comments {
		if from < group.End() && group.Pos() < to {
			return true
		}
	}
	return false
}

// inTests reports whether a test file beside this one mentions name. Tests are
// not part of the package, but an edit must not break them.
func (f *File) inTests(name string) bool {
	word := regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
	directory := filepath.Dir(f.Fset.File(f.Syntax.FileStart).Name())
	entries, err := os.ReadDir(directory)
	if err != nil {
		return true
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		if err != nil || word.Match(source) {
			return true
		}
	}
	return false
}
