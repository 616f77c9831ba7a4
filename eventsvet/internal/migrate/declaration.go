package migrate

import (
	"fmt"
	"go/format"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/typedbus/events/eventsvet/internal/calls"
)

// names maps the names that the events package has constants for.
var names = map[string]string{
	"user.created":        "EventUserCreated",
	"user.updated":        "EventUserUpdated",
	"user.deleted":        "EventUserDeleted",
	"user.logged_in":      "EventUserLoggedIn",
	"user.logged_out":     "EventUserLoggedOut",
	"user.password_reset": "EventUserPasswordReset",
	"module.installed":    "EventModuleInstalled",
	"module.uninstalled":  "EventModuleUninstalled",
	"module.activated":    "EventModuleActivated",
	"module.deactivated":  "EventModuleDeactivated",
	"module.updated":      "EventModuleUpdated",
	"system.started":      "EventSystemStarted",
	"system.shutdown":     "EventSystemShutdown",
}

// declaration is the file that declares the proposed topics.
type declaration struct {
	home      *home
	proposals []*proposal
	imported  map[string]string // import paths to names
}

// declare groups the proposals by the packages that declare them.
func declare(proposals []*proposal) []*declaration {
	var found []*declaration
	for _, p := range proposals {
		if p.declared {
			continue
		}
		i := slices.IndexFunc(found, func(d *declaration) bool { return d.home == p.home })
		if i < 0 {
			i = len(found)
			found = append(found, &declaration{home: p.home, imported: make(map[string]string)})
		}
		found[i].proposals = append(found[i].proposals, p)
	}
	for _, d := range found {
		d.define()
	}
	return found
}

// qualify names a package in the file.
func (d *declaration) qualify(pkg *types.Package) string {
	if pkg.Path() == d.home.path {
		return ""
	}
	if name, ok := d.imported[pkg.Path()]; ok {
		return name
	}
	name := pkg.Name()
	for name == "events" || slices.Contains(slices.Collect(maps.Values(d.imported)), name) {
		name += "x"
	}
	d.imported[pkg.Path()] = name
	d.home.below[pkg.Path()] = true
	maps.Copy(d.home.below, imports(pkg))
	return name
}

func (d *declaration) typeText(t types.Type) string {
	return strings.ReplaceAll(types.TypeString(t, d.qualify), "interface{}", "any")
}

// structs writes the payload types.
func (d *declaration) structs() string {
	var text strings.Builder
	for _, p := range d.proposals {
		if p.typeName == "" {
			continue
		}
		fmt.Fprintf(&text, "\n// %s is what %s carries.\ntype %s struct {\n", p.typeName, p.event.name, p.typeName)
		for _, f := range p.fields {
			fmt.Fprintf(&text, "\t%s %s `json:%q`\n", f.name, d.typeText(f.payload), f.key)
		}
		fmt.Fprintln(&text, "}")
	}
	return text.String()
}

// define gives the payload types to the proposals, and to the home what it
// will import.
func (d *declaration) define() {
	pkg := types.NewPackage(d.home.path, d.home.name)
	for _, p := range d.proposals {
		if p.typeName == "" {
			d.typeText(p.topic.Payload)
			continue
		}
		var fields []*types.Var
		var tags []string
		for _, f := range p.fields {
			d.typeText(f.payload)
			fields = append(fields, types.NewField(token.NoPos, pkg, f.name, f.payload, false))
			tags = append(tags, fmt.Sprintf("json:%q", f.key))
		}
		name := types.NewTypeName(token.NoPos, pkg, p.typeName, nil)
		p.topic.Payload = types.NewNamed(name, types.NewStruct(fields, tags), nil)
	}
}

// imports writes the import declaration of the file.
func (d *declaration) imports() string {
	d.imported[calls.Path] = "events"
	var standard, others []string
	for _, path := range slices.Sorted(maps.Keys(d.imported)) {
		spec := strconv.Quote(path)
		if name := d.imported[path]; name != path[strings.LastIndex(path, "/")+1:] {
			spec = name + " " + spec
		}
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || strings.HasPrefix(d.home.path, first+"/") {
			others = append(others, spec)
		} else {
			standard = append(standard, spec)
		}
	}
	if len(d.imported) == 1 {
		return "\nimport " + others[0] + "\n"
	}
	if len(standard) > 0 {
		standard = append(standard, "")
	}
	return "\nimport (\n" + strings.Join(append(standard, others...), "\n") + "\n)\n"
}

// source writes the file.
func (d *declaration) source() ([]byte, error) {
	var text strings.Builder
	for _, p := range d.proposals {
		payload := p.typeName
		if payload == "" {
			payload = d.typeText(p.topic.Payload)
		}
		name := strconv.Quote(p.event.name)
		if constant, ok := names[p.event.name]; ok {
			name = "events." + constant
		}
		option := ""
		if p.topic.Map {
			option = ", events.WithMapPayload()"
		}
		fmt.Fprintf(&text, "\n// %s is the topic of %s.\nvar %s = events.NewTopic[%s](%s%s)\n",
			p.topic.Var, p.event.name, p.topic.Var, payload, name, option)
	}
	body := text.String() + d.structs()
	head := "package " + d.home.name + "\n"
	if d.home.scope == nil {
		head = fmt.Sprintf("// Package %s declares the events of the program, and what they carry.\n", d.home.name) + head
	}
	return format.Source([]byte(head + d.imports() + body))
}
