package durable

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnsupported is returned when something is asked for that the engine
	// cannot do.
	ErrUnsupported = errors.New("durable: the engine cannot do this")

	// ErrGroupConflict is returned when a group is opened with another order
	// than it has.
	ErrGroupConflict = errors.New("durable: the group was made with another order")

	// ErrUnknownGroup is returned for a group that was not subscribed or
	// declared.
	ErrUnknownGroup = errors.New("durable: no such group")

	// ErrLeaseLost is the cause with which a handler's context ends when its
	// event no longer belongs to this process: it was held up for longer than
	// the lease, and another may handle it by now.
	ErrLeaseLost = errors.New("durable: lease lost")

	// ErrClosed is returned by an engine that is closed.
	ErrClosed = errors.New("durable: closed")

	// ErrTooLarge is returned for a message above an engine's limit.
	ErrTooLarge = errors.New("durable: message is too large")

	// ErrUnreadable is in the reason of a dead letter whose payload is none of
	// its topic.
	ErrUnreadable = errors.New("durable: payload cannot be read")
)

// Error says what could not be done, with which topic and which group.
type Error struct {
	Operation string // as "publish" or "subscribe"
	Topic     string
	Group     string // or empty
	Err       error
}

// Error names the operation, the topic, the group and the cause.
func (e *Error) Error() string {
	if e.Group == "" {
		return fmt.Sprintf("durable: %s %q: %v", e.Operation, e.Topic, e.Err)
	}
	return fmt.Sprintf("durable: %s %q, group %q: %v", e.Operation, e.Topic, e.Group, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// BatchError is what went wrong with some messages of a Publish to an engine
// that does not store all or none.
type BatchError struct {
	Errs []error // by the index of the message, nil for those that are stored
}

// Error returns how many messages were not stored, and why the first was not.
func (e *BatchError) Error() string {
	failed, first := 0, error(nil)
	for _, err := range e.Errs {
		if err == nil {
			continue
		}
		if failed++; first == nil {
			first = err
		}
	}
	return fmt.Sprintf("%d of %d messages were not stored: %v", failed, len(e.Errs), first)
}

// Unwrap returns the errors of those that were not stored.
func (e *BatchError) Unwrap() []error {
	var errs []error
	for _, err := range e.Errs {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// retryAfterError asks for the next attempt at a time of its own.
type retryAfterError struct {
	error
	after time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// RetryAfter marks an error of a handler with the time to wait until the next
// attempt, in place of the subscription's backoff. The attempt counts all the
// same. It returns nil if err is nil; a wait below 0 counts as 0.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, min(max(wait, 0), longest)}
}
