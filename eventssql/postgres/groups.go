package postgres

import (
	"context"
	"time"

	"github.com/typedbus/events/durable"
)

// Group is how far a group has come.
type Group struct {
	Topic, Name string
	OrderByKey  bool
	Lag         int64         // how many events are stored and not handled, dead letters aside
	Age         time.Duration // of the oldest of these, 0 without one
	Waiting     int64         // of these, how many were tried, or wait behind one of their key, or for their time
	Dead        int64         // dead letters
}

// Groups returns all groups, by topic and name.
func (s *Store) Groups(ctx context.Context) (groups []Group, err error) {
	all, err := s.engine.Groups(ctx)
	for _, g := range all {
		groups = append(groups, Group(g))
	}
	return groups, err
}

// RemoveGroup forgets a group with all that it has not handled, its dead letters and the
// notes of [Store.Once], so that it holds no messages any more. A subscription of it
// gets [durable.ErrUnknownGroup] from then on.
func (s *Store) RemoveGroup(ctx context.Context, topic, name string) error {
	return s.engine.RemoveGroup(ctx, topic, name)
}

// DeadLetters returns the dead letters of all groups.
func (s *Store) DeadLetters() durable.DeadLetters { return s.engine.DeadLetters() }

// Sweep deletes the messages that every group of their topic has handled, and of topics
// without groups those that were stored longer ago than [WithRetention] says. It
// returns how many these were. The store does so by itself, every minute.
func (s *Store) Sweep(ctx context.Context) (swept int64, err error) { return s.engine.Sweep(ctx) }
