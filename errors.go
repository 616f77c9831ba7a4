package events

import (
	"errors"
	"fmt"
	"reflect"
)

var (
	// ErrClosed is returned by everything that would add work to a bus after
	// its Close.
	ErrClosed = errors.New("events: bus is closed")

	// ErrFull is returned by a publish that met a full queue whose
	// subscription rejects; no handler has got the event.
	ErrFull = errors.New("events: queue is full")

	// ErrDeadlock is returned by what would wait for a handler that itself
	// waits for the caller.
	ErrDeadlock = errors.New("events: waiting would deadlock")

	// ErrTopicConflict is returned when one name is used with two payload
	// types on the same bus.
	ErrTopicConflict = errors.New("events: topic has another payload type")
)

// HandlerError says which handler failed for which event, and why. Every
// error of a handler is wrapped in one.
type HandlerError struct {
	Event   string // name of the event
	Handler string // name of the subscription, by default that of its function
	Err     error  // what the handler returned, or a *PanicError
}

// Error leaves the handler's name out: the text is that of the map-based
// dispatcher, which users have matched on.
func (e *HandlerError) Error() string {
	return "handler failed for event " + e.Event + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *HandlerError) Unwrap() error { return e.Err }

// PanicError is a panic of a handler, turned into an error.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the panicking goroutine, as debug.Stack formats it
}

// Error returns the panic's value as text, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the panic's value when that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// PayloadError says that the payload of an event is not what a handler takes.
type PayloadError struct {
	Event string       // name of the event
	Want  reflect.Type // the topic's payload type
	Got   reflect.Type // the event's payload type, nil for no payload

	reason string
}

// Error names the event and both types and, for a map, what kept it from
// being read.
func (e *PayloadError) Error() string {
	got := "nothing"
	if e.Got != nil {
		got = e.Got.String()
	}
	text := fmt.Sprintf("payload of event %s is %s, want %v", e.Event, got, e.Want)
	if e.reason != "" {
		text += ": " + e.reason
	}
	return text
}

// OverflowError says how many events in a row a queue has dropped. It goes to
// the error handler when the handler gets the event behind the gap.
type OverflowError struct {
	Event   string // name of the event behind the gap
	Handler string // name of the subscription
	Dropped uint64
}

// Error names the event, the handler and how many events were dropped.
func (e *OverflowError) Error() string {
	return fmt.Sprintf("%d events dropped from the full queue of %s before event %s", e.Dropped, e.Handler, e.Event)
}

// isUnread reports whether err says that the handler could not take its event,
// and not that of an event which it has published in turn.
func isUnread(err error) bool {
	for err != nil {
		switch err.(type) { //nolint:errorlint // one step of the chain at a time
		case *PayloadError:
			return true
		case *HandlerError:
			return false
		}
		err = errors.Unwrap(err)
	}
	return false
}

// errorAt says which event or pattern err is about.
func errorAt(operation, event string, err error) error {
	return fmt.Errorf("events: %s %q: %w", operation, event, err)
}

var errNoBus = errors.New("the bus is nil")

func errConflict(event string, have, want reflect.Type) error {
	return fmt.Errorf("events: topic %q carries %v on this bus, not %v: %w", event, have, want, ErrTopicConflict)
}
