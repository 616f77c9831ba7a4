package durable

import (
	"context"
	"fmt"
)

// DeadLetter is an event that a group has given up.
type DeadLetter struct {
	Message
	Group    string
	Ref      string // what it is addressed by, in its group
	Attempts int
	Reason   string // the text of the last error
}

// DeadLetters are the events that groups have given up. They stay until they are
// redriven or discarded.
//
// A reference of a dead letter that is gone, or of an event that is none, counts as not
// there, as does what is no reference at all: Redrive and Discard leave those out of
// their number, and return no error for them. For a group that does not exist it is
// [ErrUnknownGroup].
type DeadLetters interface {
	// List returns up to max dead letters of a group in the order in which they
	// were stored, from behind the one with the reference after on, which may be gone
	// by now, or from the first if that is empty. It returns an error for an after that
	// is no reference: there is no place behind it.
	List(ctx context.Context, topic, group, after string, max int) ([]DeadLetter, error)

	// Redrive has the group, and no other, handle dead letters once more, from
	// the first attempt on. They run out of the order of their keys. It returns
	// how many there were of those named.
	Redrive(ctx context.Context, topic, group string, refs ...string) (redriven int, err error)

	// Discard forgets dead letters, and returns how many there were of those
	// named.
	Discard(ctx context.Context, topic, group string, refs ...string) (discarded int, err error)
}

// DeadLettersOf returns the dead letters of an engine, or of one that it
// decorates: a decorator has a method Unwrap that returns an [Engine]. It returns
// [ErrUnsupported] if that keeps none that can be listed.
func DeadLettersOf(engine Engine) (DeadLetters, error) {
	if keeper, ok := engineAs[interface{ DeadLetters() DeadLetters }](engine); ok {
		return keeper.DeadLetters(), nil
	}
	return nil, fmt.Errorf("%w: dead letters of %T", ErrUnsupported, engine)
}
