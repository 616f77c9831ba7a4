// Package after is the account service with types throughout: nothing is left
// to assert, and a payload of another type does not compile.
package after

import (
	"context"
	"errors"
	"log"

	"github.com/typedbus/events"
)

type User struct {
	ID    int
	Email string
	Seats int
}

type Deletion struct{ ID int }

var (
	UserCreated = events.NewTopic[User](events.EventUserCreated)
	UserDeleted = events.NewTopic[Deletion](events.EventUserDeleted)
)

type accounts struct {
	bus *events.Bus
	out *log.Logger
}

// Run lets two users come and go.
func Run(ctx context.Context, out *log.Logger) error {
	// The first error stops the handlers behind it, and has the text that it had
	// before. Where handlers do not depend on one another, and nobody has matched
	// on the text, take events.New: all of them run, and the error names them.
	a := &accounts{bus: events.NewEventDispatcher(), out: out}
	_, welcome := UserCreated.Subscribe(a.bus, a.welcome)
	_, countSeats := UserCreated.Subscribe(a.bus, a.countSeats)
	_, keepForCourt := UserDeleted.Subscribe(a.bus, a.keepForCourt)
	_, erase := UserDeleted.Subscribe(a.bus, a.erase)
	if err := errors.Join(welcome, countSeats, keepForCourt, erase); err != nil {
		return err
	}

	if err := UserCreated.Publish(ctx, a.bus, User{ID: 1, Email: "ada@example.com", Seats: 3}); err != nil {
		return err
	}
	if err := UserCreated.Publish(ctx, a.bus, User{ID: 2, Email: "grace@example.com"}); err != nil {
		out.Printf("sign-up refused: %v", err)
	}
	for id := 1; id <= 2; id++ {
		if err := UserDeleted.Publish(ctx, a.bus, Deletion{ID: id}); err != nil {
			out.Printf("leaving refused: %v", err)
		}
	}
	return a.bus.Close(ctx)
}

func (a *accounts) welcome(_ context.Context, user User) error {
	a.out.Printf("welcome, %s", user.Email)
	return nil
}

func (a *accounts) countSeats(_ context.Context, user User) error {
	if user.Seats == 0 {
		return errors.New("no seats bought")
	}
	a.out.Printf("%d seats sold", user.Seats)
	return nil
}

func (a *accounts) keepForCourt(_ context.Context, deletion Deletion) error {
	if deletion.ID == 2 {
		return errors.New("account is evidence")
	}
	return nil
}

func (a *accounts) erase(_ context.Context, deletion Deletion) error {
	a.out.Printf("erased account %d", deletion.ID)
	return nil
}
