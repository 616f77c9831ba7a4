package events

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"reflect"
	"strings"
)

var (
	// ErrClosed is returned by everything that would add work to a bus after
	// its Close.
	ErrClosed = errors.New("events: bus is closed")

	// ErrFull is returned by a publish that met a full queue whose
	// subscription rejects, and by an asynchronous one above WithAsyncLimit; no
	// handler has got the event.
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

	named bool
}

// Error names the event and the cause and, on a bus of [New], the handler. On
// one of [NewEventDispatcher] the text is that of the map-based dispatcher,
// which users have matched on.
func (e *HandlerError) Error() string {
	if e.named {
		return "handler " + e.Handler + " failed for event " + e.Event + ": " + e.Err.Error()
	}
	return "handler failed for event " + e.Event + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *HandlerError) Unwrap() error { return e.Err }

// Failures returns an iterator over the failures of handlers in an error of a
// publish, be that one or several joined. A failure within a failure, of a
// handler that has published in turn, is not among them: it is its cause.
func Failures(err error) iter.Seq[*HandlerError] {
	return func(yield func(*HandlerError) bool) { eachFailure(err, yield) }
}

func eachFailure(err error, yield func(*HandlerError) bool) (goOn bool) {
	if failure, ok := err.(*HandlerError); ok { //nolint:errorlint // one step of the tree at a time
		return yield(failure)
	}
	switch wrapper := err.(type) { //nolint:errorlint // likewise
	case interface{ Unwrap() error }:
		return eachFailure(wrapper.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, each := range wrapper.Unwrap() {
			if !eachFailure(each, yield) {
				return false
			}
		}
	}
	return true
}

// QueueError says which queue has kept an event from being published, or why a
// Drain would never end.
type QueueError struct {
	Operation string // "publish" or "drain"
	Event     string // name of the event, or what was subscribed to
	Handler   string // name of the subscription whose queue it is, or "asynchronous handlers" for WithAsyncLimit
	Err       error  // ErrFull, ErrDeadlock, or the cause of a context
}

// Error names the operation, the event, the handler and the cause.
func (e *QueueError) Error() string {
	if e.Operation == "publish" && !errors.Is(e.Err, ErrFull) {
		return fmt.Sprintf("events: publish %q to %s, whose queue is full: %v", e.Event, e.Handler, e.Err)
	}
	return fmt.Sprintf("events: %s %q to %s: %v", e.Operation, e.Event, e.Handler, e.Err)
}

// Unwrap returns the cause.
func (e *QueueError) Unwrap() error { return e.Err }

// PanicError is a panic of a handler, turned into an error.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the panicking goroutine, as debug.Stack formats it
}

// Error returns the panic's value as text, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// LogValue has loggers show where the panic was, beside its value.
func (e *PanicError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("panic", fmt.Sprint(e.Value)), slog.String("stack", string(e.Stack)))
}

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
	want := fmt.Sprint(e.Want)
	if e.Got != nil && got == want && e.Got != e.Want {
		got, want = tellApart(e.Got, e.Want)
	}
	text := fmt.Sprintf("payload of event %s is %s, want %s", e.Event, got, want)
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

func errorAtBus(operation string, err error) error {
	return fmt.Errorf("events: %s the bus: %w", operation, err)
}

func errConflict(event string, have, want reflect.Type) error {
	one, other := tellApart(have, want)
	return fmt.Errorf("events: topic %q carries %s on this bus, not %s: %w", event, one, other, ErrTopicConflict)
}

// tellApart names two types, by their packages if they look alike otherwise.
func tellApart(one, other reflect.Type) (string, string) {
	a, b := one.String(), other.String()
	if a != b {
		return a, b
	}
	if x, y := withPath(one), withPath(other); x != y {
		return x, y
	}
	return a, "a different type of that name, such as one declared in another function"
}

// withPath names a type, or what it is a pointer to or a list of, with the whole
// path of its package.
func withPath(t reflect.Type) string {
	named := t
	for named.Name() == "" && (named.Kind() == reflect.Pointer || named.Kind() == reflect.Slice) {
		named = named.Elem()
	}
	return strings.Replace(t.String(), named.String(), named.PkgPath()+"."+named.Name(), 1)
}
