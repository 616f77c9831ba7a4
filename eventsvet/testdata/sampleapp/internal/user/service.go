// Package user keeps the users and says what becomes of them.
package user

import (
	"context"
	"errors"
	"time"

	"neonex/core/pkg/events"
)

type User struct {
	ID    int
	Name  string
	Email string
}

// PasswordReset is the one payload that always was a struct.
type PasswordReset struct {
	UserID int
	Token  string
}

type Service struct {
	dispatcher *events.EventDispatcher
	users      map[int]User
	next       int
}

func NewService(dispatcher *events.EventDispatcher) *Service {
	return &Service{dispatcher: dispatcher, users: make(map[int]User), next: 1}
}

func (s *Service) Create(ctx context.Context, name, email string) (User, error) {
	user := User{ID: s.next, Name: name, Email: email}
	s.next++
	s.users[user.ID] = user
	return user, s.dispatcher.Dispatch(ctx, events.Event{
		Name: events.EventUserCreated,
		Data: map[string]interface{}{
			"id":    user.ID,
			"name":  user.Name,
			"email": user.Email,
		},
	})
}

// Import takes over a user of another system, whose numbers are wider.
func (s *Service) Import(ctx context.Context, id int64, email string) error {
	return s.dispatcher.Dispatch(ctx, events.Event{
		Name: events.EventUserCreated,
		Data: map[string]interface{}{
			"user_id": id,
			"email":   email,
		},
	})
}

func (s *Service) Rename(ctx context.Context, id int, name string) error {
	user, ok := s.users[id]
	if !ok {
		return errors.New("no such user")
	}
	old := user.Name
	user.Name = name
	s.users[id] = user
	return s.dispatcher.Dispatch(ctx, events.Event{
		Name: events.EventUserUpdated,
		Data: map[string]interface{}{
			"id":      id,
			"changes": map[string]interface{}{"name": []string{old, name}},
		},
	})
}

func (s *Service) Delete(ctx context.Context, id int) error {
	delete(s.users, id)
	return s.dispatcher.Dispatch(ctx, events.Event{
		Name: events.EventUserDeleted,
		Data: map[string]interface{}{"user_id": id, "soft": false},
	})
}

func (s *Service) LogIn(ctx context.Context, id int, ip string, at time.Time) error {
	data := map[string]interface{}{
		"id": id,
		"ip": ip,
		"at": at,
	}
	if ip == "127.0.0.1" {
		data["local"] = true
	}
	return s.dispatcher.Dispatch(ctx, events.Event{Name: events.EventUserLoggedIn, Data: data})
}

func (s *Service) LogOut(ctx context.Context, id int) error {
	return s.dispatcher.Dispatch(ctx, events.Event{Name: events.EventUserLoggedOut})
}

func (s *Service) ResetPassword(ctx context.Context, id int) error {
	return s.dispatcher.Dispatch(ctx, events.Event{
		Name: events.EventUserPasswordReset,
		Data: PasswordReset{UserID: id, Token: "t-1"},
	})
}
