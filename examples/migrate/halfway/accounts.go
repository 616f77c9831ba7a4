// Package halfway is the account service on the way to types: each event moves
// by itself, and so does each handler of it.
//
//eventsvet:ignore untyped half of it is still on maps
package halfway

import (
	"context"
	"errors"
	"log"

	"github.com/typedbus/events"
)

type User struct {
	ID    int    `json:"id"`
	Email string `json:"email"`
	Seats int    `json:"seats"`
}

type Deletion struct {
	ID int `json:"id"`
}

var (
	// UserCreated is published with its type. WithMapPayload keeps the
	// handlers going that still want a map.
	UserCreated = events.NewTopic[User](events.EventUserCreated, events.WithMapPayload())

	// UserDeleted is still published as a map, which its typed handlers get
	// as a Deletion.
	UserDeleted = events.NewTopic[Deletion](events.EventUserDeleted)
)

type accounts struct {
	dispatcher *events.EventDispatcher
	out        *log.Logger
}

// Run lets two users come and go.
func Run(ctx context.Context, out *log.Logger) error {
	a := &accounts{dispatcher: events.NewEventDispatcher(), out: out}
	if _, err := UserCreated.Subscribe(a.dispatcher, a.welcome); err != nil {
		return err
	}
	a.dispatcher.Register(events.EventUserCreated, a.countSeats)
	a.dispatcher.Register(events.EventUserDeleted, a.keepForCourt)
	if _, err := UserDeleted.Subscribe(a.dispatcher, a.erase); err != nil {
		return err
	}

	if err := a.signUp(ctx, User{ID: 1, Email: "ada@example.com", Seats: 3}); err != nil {
		return err
	}
	if err := a.signUp(ctx, User{ID: 2, Email: "grace@example.com"}); err != nil {
		out.Printf("sign-up refused: %v", err)
	}
	for id := 1; id <= 2; id++ {
		if err := a.leave(ctx, id); err != nil {
			out.Printf("leaving refused: %v", err)
		}
	}
	return nil
}

func (a *accounts) signUp(ctx context.Context, user User) error {
	return UserCreated.Publish(ctx, a.dispatcher, user)
}

func (a *accounts) leave(ctx context.Context, id int) error {
	return a.dispatcher.Dispatch(ctx, events.Event{Name: events.EventUserDeleted, Data: map[string]any{
		"id": id,
	}})
}

func (a *accounts) welcome(_ context.Context, user User) error {
	a.out.Printf("welcome, %s", user.Email)
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

func (a *accounts) erase(_ context.Context, deletion Deletion) error {
	a.out.Printf("erased account %d", deletion.ID)
	return nil
}
