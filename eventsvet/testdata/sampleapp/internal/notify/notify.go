// Package notify writes to people.
package notify

import (
	"context"
	"errors"
	"fmt"

	"neonex/core/pkg/events"
	"neonex/internal/user"
)

// Done counts the mails sent in the background.
type Done interface{ Done() }

func Listen(dispatcher *events.EventDispatcher, background Done) {
	dispatcher.Register(events.EventUserCreated, func(ctx context.Context, event events.Event) error {
		data, ok := event.Data.(map[string]interface{})
		if !ok {
			return errors.New("invalid event data")
		}
		email, ok := data["email"].(string)
		if !ok {
			return errors.New("invalid email")
		}
		fmt.Println("notify: welcome to", email)
		return nil
	})
	dispatcher.Register(events.EventUserUpdated, func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		changes := data["changes"].(map[string]interface{})
		for field, values := range changes {
			fmt.Println("notify: changed", field, values)
		}
		return nil
	})
	dispatcher.Register(events.EventUserDeleted, func(ctx context.Context, event events.Event) error {
		data, _ := event.Data.(map[string]interface{})
		// The user module calls it user_id.
		if id, ok := data["id"].(int); ok {
			fmt.Println("notify: farewell to", id)
			return nil
		}
		fmt.Println("notify: farewell to somebody")
		return nil
	})
	dispatcher.Register(events.EventUserPasswordReset, func(ctx context.Context, event events.Event) error {
		reset, ok := event.Data.(user.PasswordReset)
		if !ok {
			return fmt.Errorf("unexpected payload %T", event.Data)
		}
		fmt.Println("notify: token", reset.Token)
		return nil
	})
	dispatcher.Register("digest.requested", func(ctx context.Context, event events.Event) error {
		defer background.Done()
		m := event.Data.(map[string]interface{})
		fmt.Println("notify: digest of", m["days"].(int), "days")
		return nil
	})
}

// RequestDigest does not wait for the mail.
func RequestDigest(ctx context.Context, dispatcher *events.EventDispatcher, days int) {
	dispatcher.DispatchAsync(ctx, events.Event{
		Name: "digest.requested",
		Data: map[string]interface{}{"days": days},
	})
}
