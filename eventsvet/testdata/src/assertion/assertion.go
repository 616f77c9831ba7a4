package assertion

import (
	"context"
	"errors"

	"github.com/typedbus/events"
)

type User struct{ Name string }

func bad(bus *events.Bus) {
	bus.Register("user.created", func(ctx context.Context, e events.Event) error {
		user := e.Data.(User) // want `unchecked assertion panics when the payload holds another type than User`
		println(user.Name)
		return nil
	})
	bus.Register("user.created", func(ctx context.Context, e events.Event) error {
		data := e.Data.(map[string]any)  // want `another type than map\[string\]any`
		name := data["name"].(string)    // want `another type than string`
		println(name, data["age"].(int)) // want `another type than int`
		if ok := true; ok {
			inner := data["inner"].(map[string]any)["city"].(string) // want `another type than map` `another type than string`
			println(inner)
		}
		return nil
	})
	bus.Register("user.created", func(ctx context.Context, e events.Event) error {
		payload := e.Data
		name, ok := payload.(string)
		println(payload.(User).Name) // want `another type than User`
		var user = payload.(*User)   // want `another type than \*User`
		println(name, ok, user)
		return nil
	})
}

func helper(e *events.Event) (string, error) {
	user := e.Data.(User) // want `another type than User`
	return user.Name, nil
}

func fixed(ctx context.Context, e events.Event) error {
	_, ok := ctx.Value("x").(string)
	user := e.Data.(*User) // want `another type than \*User`
	if !ok {
		return errors.New(user.Name)
	}
	return nil
}

func good(ctx context.Context, e events.Event) error {
	user, ok := e.Data.(User)
	if !ok {
		return errors.New("no user")
	}
	again := e.Data.(User)
	switch data := e.Data.(type) {
	case *User:
		other := e.Data.(*User)
		println(other, data)
	case map[string]any:
		if name, ok := data["name"].(string); ok {
			println(name)
		}
		var age, isInt = data["age"].(int)
		println(age, isInt)
	}
	type event struct{ Data any }
	mine := event{}
	println(user.Name, again.Name, mine.Data.(int), ctx.Value("x").(int))
	return nil
}
