// Package before is the account service on the map-based API: the names are
// strings, the payloads maps, and every handler asserts what it needs.
package before

import (
	"context"
	"errors"
	"log"

	"github.com/typedbus/events"
)

type accounts struct {
	dispatcher *events.EventDispatcher
	out        *log.Logger
}

// Run lets two users come and go.
func Run(ctx context.Context, out *log.Logger) error {
	a := &accounts{dispatcher: events.NewEventDispatcher(), out: out}
	a.dispatcher.Register(events.EventUserCreated, a.welcome)
	a.dispatcher.Register(events.EventUserCreated, a.countSeats)
	a.dispatcher.Register(events.EventUserDeleted, a.keepForCourt)
	a.dispatcher.Register(events.EventUserDeleted, a.erase)

	if err := a.signUp(ctx, 1, "ada@example.com", 3); err != nil {
		return err
	}
	if err := a.signUp(ctx, 2, "grace@example.com", 0); err != nil {
		out.Printf("sign-up refused: %v", err)
	}
	for id := 1; id <= 2; id++ {
		if err := a.leave(ctx, id); err != nil {
			out.Printf("leaving refused: %v", err)
		}
	}
	return nil
}

func (a *accounts) signUp(ctx context.Context, id int, email string, seats int) error {
	return a.dispatcher.Dispatch(ctx, events.Event{Name: events.EventUserCreated, Data: map[string]any{
		"id": id, "email": email, "seats": seats,
	}})
}

func (a *accounts) leave(ctx context.Context, id int) error {
	return a.dispatcher.Dispatch(ctx, events.Event{Name: events.EventUserDeleted, Data: map[string]any{
		"id": id,
	}})
}

func (a *accounts) welcome(_ context.Context, event events.Event) error {
	data, ok := event.Data.(map[string]any)
	if !ok {
		return errors.New("payload is no map")
	}
	email, ok := data["email"].(string)
	if !ok {
		return errors.New("email is no string")
	}
	a.out.Printf("welcome, %s", email)
	return nil
}

func (a *accounts) countSeats(_ context.Context, event events.Event) error {
	data, ok := event.Data.(map[string]any)
	if !ok {
		return errors.New("payload is no map")
	}
	seats, ok := data["seats"].(int)
	if !ok {
		return errors.New("seats are no int")
	}
	if seats == 0 {
		return errors.New("no seats bought")
	}
	a.out.Printf("%d seats sold", seats)
	return nil
}

func (a *accounts) keepForCourt(_ context.Context, event events.Event) error {
	data, ok := event.Data.(map[string]any)
	if !ok {
		return errors.New("payload is no map")
	}
	if data["id"] == 2 {
		return errors.New("account is evidence")
	}
	return nil
}

func (a *accounts) erase(_ context.Context, event events.Event) error {
	data, ok := event.Data.(map[string]any)
	if !ok {
		return errors.New("payload is no map")
	}
	a.out.Printf("erased account %v", data["id"])
	return nil
}
