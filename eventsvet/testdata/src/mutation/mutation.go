package mutation

import (
	"context"
	"maps"
	"slices"
	"sort"

	"github.com/typedbus/events"
)

type User struct {
	Name    string
	Tags    []string
	Seen    map[string]int
	Grid    [2]int
	Sponsor *User
}

var (
	byValue   = events.NewTopic[User]("user.created")
	byPointer = events.NewTopic[*User]("user.updated")
	asMap     = events.NewTopic[map[string]any]("user.deleted")
)

func typed(ctx context.Context, bus *events.Bus) {
	byPointer.Subscribe(bus, func(ctx context.Context, u *User) error {
		u.Name = "x" // want `handler writes to its payload, which other handlers see`
		u.Grid[0]++  // want `handler writes`
		*u = User{}  // want `handler writes`
		mine := *u
		mine.Name = "x"
		mine.Seen["x"] = 1 // want `handler writes`
		return nil
	})
	byValue.Subscribe(bus, func(ctx context.Context, u User) error {
		u.Name = "x"
		u.Grid[1] = 2
		u.Tags[0] = "x"       // want `handler writes`
		u.Sponsor.Name += "x" // want `handler writes`
		sort.Strings(u.Tags)  // want `handler writes`
		for i := range u.Tags {
			u.Tags[i] = "" // want `handler writes`
		}
		sponsor := u.Sponsor
		sponsor.Name = "" // want `handler writes`
		u.Tags = append([]string(nil), u.Tags...)
		return nil
	})
	byValue.Subscribe(bus, func(ctx context.Context, u User) error {
		u.Tags = slices.Clone(u.Tags)
		u.Tags[0] = "mine"
		slices.Sort(u.Tags)
		sorted := slices.Clone(u.Seen2())
		sort.Strings(sorted)
		return nil
	})
	asMap.Subscribe(bus, named)
	byPointer.SubscribeBatch(bus, func(ctx context.Context, users []*User) error {
		users[0] = nil // the batch is the handler's own
		slices.Reverse(users)
		for _, u := range users {
			u.Name = "x" // want `handler writes`
		}
		users[1].Name = "x" // want `handler writes`
		return nil
	})
	for _, u := range byPointer.All(ctx, bus) {
		u.Name = "x" // want `handler writes`
	}
	for _, u := range byValue.All(ctx, bus) {
		u.Name = "x"
	}
}

func (u User) Seen2() []string { return nil }

func named(_ context.Context, m map[string]any) error {
	m["seen"] = true  // want `handler writes`
	delete(m, "name") // want `handler writes`
	clear(m)          // want `handler writes`
	return nil
}

func untyped(bus *events.Bus) {
	bus.Register("user.deleted", func(ctx context.Context, e events.Event) error {
		e.Data.(map[string]any)["seen"] = true // want `handler writes`
		data, ok := e.Data.(map[string]any)
		if ok {
			data["seen"] = true // want `handler writes`
			inner := data["address"].(map[string]any)
			inner["city"] = "x"    // want `handler writes`
			maps.Copy(data, inner) // want `handler writes`
		}
		if u, ok := e.Data.(User); ok {
			u.Name = "mine"
		}
		return nil
	})
	bus.Register("user.deleted", func(ctx context.Context, e events.Event) error {
		data := e.Data.(map[string]any)
		data = maps.Clone(data)
		data["seen"] = true
		own := map[string]any{"x": e.Data}
		own["y"] = 1
		return nil
	})
}

func enrich(next events.Handler) events.Handler {
	return func(ctx context.Context, e events.Event) error {
		e.Data = map[string]any{"wrapped": e.Data}
		e.Data.(map[string]any)["seen"] = true
		e.Name = "x"
		return next(ctx, e)
	}
}

// fill is no handler.
func fill(u *User, e *events.Event) {
	u.Name = "x"
	e.Data.(map[string]any)["seen"] = true
}
