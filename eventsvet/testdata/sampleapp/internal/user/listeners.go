package user

import (
	"context"
	"errors"
	"fmt"

	"neonex/core/pkg/events"
)

// Listen registers what the user module does about its own events.
func (s *Service) Listen() {
	s.dispatcher.Register(events.EventUserDeleted, s.forget)
	s.dispatcher.Register(events.EventUserLoggedOut, func(ctx context.Context, event events.Event) error {
		fmt.Println("user: session ended, payload", event.Data)
		return nil
	})
	s.dispatcher.Register("user.password_reset", func(ctx context.Context, event events.Event) error {
		reset := event.Data.(PasswordReset)
		fmt.Println("user: tokens of", reset.UserID, "revoked")
		return nil
	})
}

func (s *Service) forget(ctx context.Context, event events.Event) error {
	data, ok := event.Data.(map[string]interface{})
	if !ok {
		return errors.New("invalid event data")
	}
	id, ok := data["user_id"].(int)
	if !ok {
		return errors.New("invalid user_id")
	}
	fmt.Println("user: forgot", id)
	return nil
}
