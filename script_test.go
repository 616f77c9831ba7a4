package events_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/typedbus/events"
)

// operation is one thing that a test, or a handler, does with a bus.
type operation struct {
	kind     int
	name     string // or pattern
	typed    string // of a typed publish or subscription
	payload  any
	priority int
	once     bool
	target   int // which subscription to end

	// What the handler of a subscription does: one more operation, and how it
	// ends.
	then *operation
	ends int
}

const (
	publishes = iota // twice as likely as the others
	publishesToo
	subscribes
	registers
	unsubscribes
	kinds
)

const (
	returnsNil = iota
	returnsNilToo
	fails
	panics
	returnsNested
	endings
)

var (
	modelNames    = []string{"a", "a.b", "a.b.c", "b", "a.*"}
	modelPatterns = []string{"*", "a.*", "*.b", "a.>", "**", "a.b", "a"}
	modelTypes    = []string{"int", "account"}
	seven         = 7
	modelPayloads = []any{
		1, &seven, (*int)(nil),
		account{ID: 2},
		&account{ID: 3}, (*account)(nil), nil, "text",
		map[string]any{"id": 4},
		map[string]any{"id": "no"},
		map[string]any{"unknown": 5},
		map[string]any{},
	}
)

// tape decodes bytes to operations; behind its end all is zero.
type tape []byte

func (t *tape) below(n int) int {
	if len(*t) == 0 {
		return 0
	}
	b := (*t)[0]
	*t = (*t)[1:]
	return int(b) % n
}

func (t *tape) operation(depth int) *operation {
	op := &operation{kind: t.below(kinds)}
	switch op.kind {
	case publishes, publishesToo:
		op.name = modelNames[t.below(len(modelNames))]
		if t.below(2) == 0 {
			op.typed = modelTypes[t.below(2)]
			op.payload = map[string]any{"int": 6, "account": account{ID: 6}}[op.typed]
		} else {
			op.payload = modelPayloads[t.below(len(modelPayloads))]
		}
	case subscribes, registers:
		op.ends = t.below(endings)
		if depth < 3 && t.below(2) == 1 {
			op.then = t.operation(depth + 1)
		}
		if op.kind == registers {
			op.name = modelNames[t.below(len(modelNames))]
			break
		}
		op.priority = t.below(3) - 1
		op.once = t.below(4) == 1
		if t.below(2) == 0 {
			op.name = modelNames[t.below(len(modelNames))]
			op.typed = modelTypes[t.below(2)]
		} else {
			op.name = modelPatterns[t.below(len(modelPatterns))]
		}
	case unsubscribes:
		op.target = t.below(256)
	}
	return op
}

// system is a bus under test, or the model of one.
type system interface {
	publish(op *operation) error
	subscribe(id int, op *operation, handler func(event, payload string) error) bool
	unsubscribe(id int)
	hasHandlers(name string) bool
}

type modelSystem struct{ model }

func (m *modelSystem) publish(op *operation) error {
	if errs := m.model.publish(op.name, op.typed, op.payload); errs != nil {
		return errs
	}
	return nil
}

func (m *modelSystem) subscribe(id int, op *operation, handler func(event, payload string) error) bool {
	wild := op.kind == subscribes && op.typed == "" && strings.ContainsAny(op.name, "*>")
	return m.model.subscribe(&modelSub{id, op.name, wild, op.typed, op.priority, op.once, handler})
}

func (m *modelSystem) hasHandlers(name string) bool {
	return slices.ContainsFunc(m.subs, func(s *modelSub) bool { return m.hears(s, name) })
}

type busSystem struct {
	bus  *events.Bus
	subs map[int]*events.Subscription
}

func (b *busSystem) publish(op *operation) error {
	ctx := context.Background()
	switch payload := op.payload.(type) {
	case int:
		if op.typed != "" {
			return events.NewTopic[int](op.name).Publish(ctx, b.bus, payload)
		}
	case account:
		if op.typed != "" {
			// The same declaration for every bus that ever was.
			return accountTopics[op.name].Publish(ctx, b.bus, payload)
		}
	}
	return b.bus.Dispatch(ctx, events.Event{Name: op.name, Data: op.payload})
}

var accountTopics = func() map[string]*events.Topic[account] {
	topics := make(map[string]*events.Topic[account])
	for _, name := range modelNames {
		topics[name] = events.NewTopic[account](name)
	}
	return topics
}()

func (b *busSystem) subscribe(id int, op *operation, handler func(event, payload string) error) bool {
	untyped := func(_ context.Context, e events.Event) error { return handler(e.Name, describe(e.Data)) }
	if op.kind == registers {
		b.bus.Register(op.name, untyped)
		return true
	}
	options := []events.SubscribeOption{events.WithPriority(op.priority)}
	if op.once {
		options = append(options, events.WithOnce())
	}
	var err error
	switch op.typed {
	case "int":
		b.subs[id], err = events.NewTopic[int](op.name).Subscribe(b.bus, func(_ context.Context, n int) error {
			return handler(op.name, describe(n))
		}, options...)
	case "account":
		b.subs[id], err = accountTopics[op.name].Subscribe(b.bus, func(_ context.Context, a account) error {
			return handler(op.name, describe(a))
		}, options...)
	default:
		b.subs[id], err = b.bus.Subscribe(op.name, untyped, options...)
	}
	return err == nil
}

func (b *busSystem) unsubscribe(id int) {
	if s := b.subs[id]; s != nil {
		s.Unsubscribe()
	}
}

func (b *busSystem) hasHandlers(name string) bool { return b.bus.HasHandlers(name) }

// play runs operations on a system and returns what could be observed.
func play(script tape, s system) []string {
	p := &player{system: s, fuel: 300}
	for len(script) > 0 && p.fuel > 0 {
		_ = p.do(script.operation(0))
		heard := slices.DeleteFunc(slices.Clone(modelNames), func(name string) bool { return !s.hasHandlers(name) })
		p.note("heard: %s", strings.Join(heard, " "))
	}
	return p.trace
}

type player struct {
	system
	trace []string
	made  []bool // subscriptions, those that can be ended
	depth int
	fuel  int // of handlers that do something, for all to come to an end
}

func (p *player) note(format string, arguments ...any) {
	p.trace = append(p.trace, strings.Repeat("  ", p.depth)+fmt.Sprintf(format, arguments...))
}

func (p *player) do(op *operation) error {
	switch op.kind {
	case publishes, publishesToo:
		p.note("publish %s %s %s", op.name, op.typed, describe(op.payload))
		err := p.publish(op)
		p.note("gives %q", flatten(err))
		return err
	case subscribes, registers:
		id := len(p.made)
		p.made = append(p.made, op.kind == subscribes)
		ok := p.subscribe(id, op, func(event, payload string) error { return p.handle(id, op, event, payload) })
		p.note("subscribe %d to %s %s, priority %d, once %t: %t", id, op.name, op.typed, op.priority, op.once, ok)
	case unsubscribes:
		if len(p.made) > 0 && p.made[op.target%len(p.made)] {
			p.note("unsubscribe %d", op.target%len(p.made))
			p.unsubscribe(op.target % len(p.made))
		}
	}
	return nil
}

func (p *player) handle(id int, op *operation, event, payload string) error {
	p.note("%d gets %s %s", id, event, payload)
	if p.fuel == 0 || p.depth == 4 {
		return nil
	}
	p.fuel--
	var nested error
	if op.then != nil {
		p.depth++
		nested = p.do(op.then)
		p.depth--
	}
	switch op.ends {
	case fails:
		return fmt.Errorf("failure of %d", id)
	case panics:
		panic(fmt.Sprint("in ", id))
	case returnsNested:
		return nested
	}
	return nil
}
