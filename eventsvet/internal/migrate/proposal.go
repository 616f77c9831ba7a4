package migrate

import (
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/typedbus/events/eventsvet/internal/rewrite"
)

// proposal is a topic that the program should declare, or declares already.
type proposal struct {
	event    *event
	topic    rewrite.Topic
	typeName string  // of the struct to declare, empty when the type exists
	fields   []field // of that
	declared bool    // in the program already
	home     *home   // that declares it
}

// field is a field of a proposed struct.
type field struct {
	key, name string
	payload   types.Type
}

// propose makes a topic of every event whose payload can be told.
func (p *program) propose(e *evidence, homes *homes) []*proposal {
	var proposals []*proposal
	for _, name := range slices.Sorted(maps.Keys(e.events)) {
		event := e.events[name]
		if existing, ok := e.topics[name]; ok {
			home := &home{path: existing.unit.PkgPath, below: imports(existing.unit.Types)}
			proposals = append(proposals, &proposal{event: event, declared: true, home: home, topic: rewrite.Topic{
				Event: name, Package: existing.unit.PkgPath, PackageName: existing.unit.Name, Var: existing.Var,
				Payload: existing.Payload, Map: existing.Map, Plain: existing.Plain,
			}})
			continue
		}
		if proposal := p.proposeOne(e, event, homes); proposal != nil {
			proposals = append(proposals, proposal)
		}
	}
	return proposals
}

func (p *program) proposeOne(e *evidence, event *event, homes *homes) *proposal {
	kinds := make(map[payloadKind]*publisher)
	for _, from := range event.publishers {
		kinds[from.kind] = from
	}
	place := p.firstPlace(event)
	result := &proposal{event: event, topic: rewrite.Topic{Event: event.name, Plain: true}}
	switch {
	case place == "": // tests alone know it
		return nil
	case kinds[mapping] != nil && kinds[other] != nil:
		e.note(disagreement, p.place(kinds[other].at), event.name, "%s is sent here and a map at %s: no topic is declared",
			p.typeText(kinds[other].payload), p.place(kinds[mapping].at))
		return nil
	case kinds[other] != nil:
		result.topic.Payload = p.agreedType(e, event)
	case kinds[mapping] != nil:
		result.fields = p.fieldsSent(e, event)
	case len(event.publishers) == 0:
		result.fields = p.fieldsRead(e, event)
	}
	if kinds[nothing] != nil && len(event.publishers) > 1 {
		e.note(disagreement, p.place(kinds[nothing].at), event.name, "no payload is sent here, which a typed handler cannot take")
	}
	if len(result.fields) == 0 && result.topic.Payload == nil {
		e.note(left, place, event.name, "nothing tells what the payload is: no topic is declared")
		return nil
	}
	home := homes.of(result.parts()...)
	switch {
	case result.topic.Payload != nil && !home.canName(result.topic.Payload):
		e.note(left, place, event.name, "declare the topic beside %s, which package %s cannot name", p.typeText(result.topic.Payload), home.name)
		return nil
	case result.topic.Payload == nil:
		result.fields = p.nameable(e, event, result.fields, home)
	}
	result.home, result.topic.Package, result.topic.PackageName = home, home.path, home.name
	result.topic.Var = home.variable(event.name)
	if result.topic.Payload == nil {
		result.typeName = home.unused(result.topic.Var + "Payload")
	}
	return result
}

// parts returns the types that the payload is made of.
func (p *proposal) parts() []types.Type {
	if p.topic.Payload != nil {
		return []types.Type{p.topic.Payload}
	}
	var parts []types.Type
	for _, f := range p.fields {
		parts = append(parts, f.payload)
	}
	return parts
}

// nameable declares the fields as any whose types the home cannot name.
func (p *program) nameable(e *evidence, event *event, fields []field, home *home) []field {
	for i, f := range fields {
		if !home.canName(f.payload) {
			e.note(left, p.firstPlace(event), event.name, "key %q is declared as any: package %s cannot name %s", f.key, home.name, p.typeText(f.payload))
			fields[i].payload = anything
		}
	}
	return fields
}

// firstPlace is where the program first mentions an event.
func (p *program) firstPlace(event *event) string {
	for _, from := range event.publishers {
		return p.place(from.at)
	}
	for _, s := range event.subscribers {
		return p.place(s.call.Expr.Pos())
	}
	return ""
}

// agreedType returns the type that all publishers send, or nil.
func (p *program) agreedType(e *evidence, event *event) types.Type {
	var agreed types.Type
	var at token.Pos
	for _, from := range event.publishers {
		switch {
		case from.kind != other:
		case agreed == nil:
			agreed, at = from.payload, from.at
		case !same(agreed, from.payload):
			e.note(disagreement, p.place(from.at), event.name, "%s is sent here and %s at %s",
				p.typeText(from.payload), p.typeText(agreed), p.place(at))
			return nil
		}
	}
	for _, s := range event.subscribers {
		if len(s.reads) > 0 {
			e.note(disagreement, p.place(s.call.Expr.Pos()), event.name, "the handler reads a map, the publisher at %s sends %s", p.place(at), p.typeText(agreed))
		}
		for _, want := range s.asserts {
			if !same(want, agreed) {
				e.note(disagreement, p.place(s.call.Expr.Pos()), event.name, "the handler asserts %s, the publisher at %s sends %s",
					p.typeText(want), p.place(at), p.typeText(agreed))
			}
		}
	}
	return agreed
}

// fieldsSent makes fields of the keys that publishers send, and compares them
// with what handlers read.
func (p *program) fieldsSent(e *evidence, event *event) []field {
	sent := make(map[string][]entry)
	var keys []string
	for _, from := range event.publishers {
		for _, entry := range from.entries {
			if sent[entry.key] == nil {
				keys = append(keys, entry.key)
			}
			sent[entry.key] = append(sent[entry.key], entry)
		}
	}
	p.compareKeys(e, event, keys)
	var fields []field
	for _, key := range keys {
		payload := p.fieldType(e, event, key, sent[key])
		fields = append(fields, field{key: key, payload: payload})
	}
	p.compareReads(e, event, fields)
	return p.named(e, event, fields)
}

// compareKeys lists the keys that only some publishers send.
func (p *program) compareKeys(e *evidence, event *event, keys []string) {
	for _, from := range event.publishers {
		if from.kind != mapping {
			continue
		}
		var missing []string
		for _, key := range keys {
			if !slices.ContainsFunc(from.entries, func(entry entry) bool { return entry.key == key }) {
				missing = append(missing, key)
			}
		}
		if len(missing) > 0 {
			e.note(disagreement, p.place(from.at), event.name, "%s is not sent here, elsewhere it is", quoted(missing))
		}
	}
}

// compareReads lists what handlers expect and publishers do not send.
func (p *program) compareReads(e *evidence, event *event, fields []field) {
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	for _, s := range event.subscribers {
		for _, read := range s.reads {
			i := slices.Index(keys, read.key)
			switch {
			case i < 0 && s.writes:
			case i < 0:
				e.note(disagreement, p.place(read.at), event.name, "%q is read here and never sent; sent are %s", read.key, quoted(keys))
			case read.want != nil && !types.IsInterface(read.want) && !types.IsInterface(fields[i].payload) && !same(read.want, fields[i].payload):
				e.note(disagreement, p.place(read.at), event.name, "%q is asserted as %s here and sent as %s",
					read.key, p.typeText(read.want), p.typeText(fields[i].payload))
			}
		}
		for _, want := range s.asserts {
			e.note(disagreement, p.place(s.call.Expr.Pos()), event.name, "the handler asserts %s, publishers send maps", p.typeText(want))
		}
	}
}

// fieldsRead makes fields of the keys that handlers read, for an event that
// nothing in sight publishes.
func (p *program) fieldsRead(e *evidence, event *event) []field {
	var fields []field
	for _, s := range event.subscribers {
		for _, read := range s.reads {
			i := slices.IndexFunc(fields, func(f field) bool { return f.key == read.key })
			switch {
			case i < 0 && read.want != nil:
				fields = append(fields, field{key: read.key, payload: read.want})
			case i < 0:
				fields = append(fields, field{key: read.key, payload: anything})
			case read.want != nil && types.IsInterface(fields[i].payload):
				fields[i].payload = read.want
			case read.want != nil && !same(read.want, fields[i].payload):
				e.note(disagreement, p.place(read.at), event.name, "%q is asserted as %s here and as %s elsewhere",
					read.key, p.typeText(read.want), p.typeText(fields[i].payload))
				fields[i].payload = anything
			}
		}
	}
	if len(fields) > 0 {
		e.note(left, p.firstPlace(event), event.name, "no publisher is in sight: the fields are those that handlers read")
	}
	return p.named(e, event, fields)
}

// named gives the fields their Go names; a key that cannot have one is left out.
func (p *program) named(e *evidence, event *event, fields []field) []field {
	var result []field
	taken := make(map[string]string)
	for _, f := range fields {
		f.name = exportedName(f.key)
		if f.name == "" || strings.ContainsAny(f.key, "\",`\\ ") || f.key == "-" {
			e.note(left, p.firstPlace(event), event.name, "key %q makes no field", f.key)
			continue
		}
		if other, ok := taken[f.name]; ok {
			e.note(disagreement, p.firstPlace(event), event.name, "keys %q and %q look like one", other, f.key)
			for _, ok := taken[f.name]; ok; _, ok = taken[f.name] {
				f.name += "2"
			}
		}
		taken[f.name] = f.key
		result = append(result, f)
	}
	return result
}
