// Package migrate moves a program from the map-based dispatcher to the events
// package: its imports, and then the topics that its events could have.
package migrate

import (
	"errors"
	"fmt"
	"go/parser"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/typedbus/events/eventsvet/internal/calls"
	"github.com/typedbus/events/eventsvet/internal/rewrite"
)

// Options say what to migrate and how.
type Options struct {
	Directory string   // where the patterns start
	Patterns  []string // of packages
	From      string   // import path of the package to replace
	Topics    string   // directory for the topics, empty to choose one
	Write     bool     // files, instead of a diff
	Rewrite   bool     // calls and handlers too, where that means the same
}

// Run migrates a program. It writes the diff to out and what people should
// know to report.
func Run(options Options, out, report io.Writer) error {
	p, err := load(options.Directory, options.From, options.Patterns)
	if err != nil {
		return err
	}
	e := p.collect()
	proposals := p.propose(e, p.settle(e, options.Topics))
	declarations := declare(proposals)

	m := &migration{
		program: p, evidence: e,
		edits: &edits{fset: p.fset, files: make(map[string][]analysis.TextEdit), moved: make(map[string]bool)},
	}
	for _, proposal := range proposals {
		m.move(proposal, options.Rewrite)
	}
	m.replaceImports(options.From)
	changes, err := m.changes(declarations, options.From)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		fmt.Fprintf(report, "nothing to change: no package imports %s, and no event lacks a topic\n", options.From)
	}
	for _, c := range changes {
		if err := c.emit(options.Write, out); err != nil {
			return err
		}
	}
	writeReport(report, e.notes)
	return nil
}

// migration is the work on a program.
type migration struct {
	*program
	*evidence
	*edits
}

// move decides how the topic's untyped handlers see it, and rewrites what may
// be rewritten.
func (m *migration) move(p *proposal, rewriting bool) {
	settled := !m.anywhere && !p.event.tested
	for _, s := range p.event.subscribers {
		if err := m.moveSubscriber(p, s, rewriting); err != nil {
			settled = false
			if rewriting {
				m.note(left, m.place(s.call.Expr.Pos()), p.event.name, "handler: %v", err)
			}
		}
	}
	if !p.declared {
		p.topic.Map = p.typeName != "" && !settled
		carries := p.typeName
		if carries == "" {
			carries = m.typeText(p.topic.Payload)
		}
		m.note(declaredNote, "", p.event.name, "%s carries %s; publishers: %d, handlers: %d",
			p.topic.PackageName+"."+p.topic.Var, carries, len(p.event.publishers), len(p.event.subscribers))
	}
	p.topic.Settled = settled
	if !rewriting {
		return
	}
	for _, from := range p.event.publishers {
		if err := m.movePublisher(p, from); err != nil {
			m.note(left, m.place(from.at), p.event.name, "publisher: %v", err)
		}
	}
}

func (m *migration) moveSubscriber(p *proposal, s *subscriber, rewriting bool) error {
	file, err := m.open(p, s.unit, rewriting, s.call)
	if err != nil {
		return err
	}
	edits, err := file.Subscribe(s.call, s.parent, p.topic)
	if err != nil {
		return err
	}
	s.moved = true
	return m.edits.add(edits)
}

func (m *migration) movePublisher(p *proposal, from *publisher) error {
	if from.call == nil {
		return errors.New("the event is not made in the call that dispatches it")
	}
	for _, s := range slices.Concat(p.event.subscribers, m.everywhere) {
		if s.writes && !s.moved {
			return fmt.Errorf("the handler of %s may write to the map, which others then see", m.place(s.call.Expr.Pos()))
		}
	}
	file, err := m.open(p, from.unit, true, *from.call)
	if err != nil {
		return err
	}
	edits, err := file.Publish(*from.call, from.parent, p.topic)
	if err != nil {
		return err
	}
	return m.edits.add(edits)
}

// open opens the file of a call that is to use a topic.
func (m *migration) open(p *proposal, u *unit, rewriting bool, call calls.Call) (*rewrite.File, error) {
	if !rewriting {
		return nil, errors.New("rewriting was not asked for")
	}
	if p.home.below[u.PkgPath] {
		return nil, fmt.Errorf("package %s imports this one", p.topic.PackageName)
	}
	return u.code.Open(call.Expr.Pos())
}

// replaceImports changes the import in all files, and lists what the new
// package lacks.
func (m *migration) replaceImports(from string) {
	for _, u := range m.packages {
		for _, file := range u.files {
			for _, spec := range file.Imports {
				name := "events"
				if imported := u.TypesInfo.PkgNameOf(spec); imported != nil {
					name = imported.Imported().Name()
				}
				if edit, ok := replaceImport(spec, from, name); ok {
					path := m.file(file.FileStart)
					m.files[path] = append(m.files[path], edit)
				}
			}
		}
		for name, object := range u.TypesInfo.Uses {
			if object.Pkg() == nil || object.Pkg().Path() != from || object.Parent() != object.Pkg().Scope() || slices.Contains(kept, object.Name()) {
				continue
			}
			if u.tests == strings.HasSuffix(m.file(name.Pos()), "_test.go") {
				m.note(left, m.place(name.Pos()), "", "%s is not part of the new package", object.Name())
			}
		}
	}
}

// kept are the names that the new package has as the old one had them.
var kept = append(slices.Sorted(maps.Values(names)),
	"Event", "Handler", "EventDispatcher", "NewEventDispatcher", "Register", "Dispatch", "DispatchAsync", "HasHandlers")

// changes applies the edits and adds the file with the topics.
func (m *migration) changes(declarations []*declaration, from string) ([]change, error) {
	var changes []change
	for _, file := range slices.Sorted(maps.Keys(m.files)) {
		before, after, err := m.apply(file)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{m.name(file), file, before, after})
	}
	for _, file := range m.excluded {
		c, err := m.changeExcluded(file, from)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
		m.note(left, m.name(file), "", "only the import is changed: build constraints leave the file out")
	}
	for _, d := range declarations {
		source, err := d.source()
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{m.name(d.home.file), d.home.file, nil, source})
	}
	return changes, nil
}

// changeExcluded changes the import of a file that was not type-checked.
func (m *migration) changeExcluded(file, from string) (change, error) {
	parsed, err := parser.ParseFile(m.program.fset, file, nil, parser.ImportsOnly)
	if err != nil {
		return change{}, err
	}
	for _, spec := range parsed.Imports {
		if edit, ok := replaceImport(spec, from, m.oldName(from)); ok {
			m.files[file] = append(m.files[file], edit)
		}
	}
	before, after, err := m.apply(file)
	return change{m.name(file), file, before, after}, err
}

// oldName is the package name of the package to replace.
func (m *migration) oldName(from string) string {
	for _, u := range m.packages {
		for _, imported := range u.Types.Imports() {
			if imported.Path() == from {
				return imported.Name()
			}
		}
	}
	return "events"
}

// emit writes the file, or the diff.
func (c change) emit(write bool, out io.Writer) error {
	if !write {
		_, err := io.WriteString(out, diff(c.name, c.before, c.after))
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.file, c.after, 0o644)
}
