// Package contender puts every bus of the comparison, ours and others', behind one small interface.
//
// A contender is one file: it registers a [Contender] and adapts the library the way that the library's own documentation
// uses it. A mode that a library does not have is left out of its Modes, with the reason in Lacks.
package contender

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"
	"slices"
)

// Mode says how a publish and its handlers relate.
type Mode string

// The modes in which buses are compared.
const (
	// Inline runs the handlers in the publisher's goroutine and returns when they are done.
	Inline Mode = "inline"
	// Async returns to the publisher before the handlers are done.
	Async Mode = "async"
	// Concurrent runs the handlers of one publish at the same time.
	Concurrent Mode = "concurrent"
)

// Kind says what a contender is in the comparison.
type Kind int

// The kinds of contender, in the order in which tables list them.
const (
	Ours Kind = iota
	Peer
	Reference
	Floor
)

// ErrNoClose is returned by [Bus.Close] when the library has nothing to close a bus with.
var ErrNoClose = errors.New("the library has no close")

// Contender is a bus that takes part in the comparison.
type Contender struct {
	// ID names the contender in commands and results.
	ID string
	// Name is what tables call it.
	Name string
	// Module is the path of the library's Go module, empty for what the comparison brings itself.
	Module string
	Kind   Kind
	// Usage says in a few words which part of the library's API is used.
	Usage string
	// Modes has an opener for each mode that the library offers.
	Modes map[Mode]Opener
	// Lacks says why a mode is missing from Modes. A mode that is in neither is not what the contender is there for.
	Lacks map[Mode]string
	// Partial means that the contender is there to be published to only: as a bus among buses it would have nothing to say.
	Partial bool
	// Parallel means that one asynchronous subscriber may handle several events at the same time.
	Parallel bool
	// Values means that topics are values which publishers hold, so that no event is found by its name.
	Values bool
	// OneTopic means that the library binds events to Go types, so that topics cannot be made while the program runs.
	OneTopic bool
}

// Opener makes an empty bus whose queues, where they are bounded, hold the given number of events.
type Opener func(queue int) (Bus, error)

// Bus is an open bus of a contender.
type Bus interface {
	// Topic returns the topic of a name. A name is asked for once only, unless the contender finds topics by their name.
	Topic(name string) Topic
	// Close shuts the bus down the way the library means it, and returns [ErrNoClose] when it knows no such thing.
	Close(ctx context.Context) error
}

// Topic is one topic on a bus.
type Topic interface {
	// Subscribe adds rec as a handler, and returns what removes it again: nil when the library cannot.
	Subscribe(rec *Recorder) (remove func(), err error)
	// Publish publishes the messages one after the other. It takes a slice so that no call of the harness stands between
	// two publishes.
	Publish(ctx context.Context, messages []Message) error
}

var registry []Contender

func register(c Contender) { registry = append(registry, c) }

// All returns the contenders, in the order of their kind and then of their name.
func All() []Contender {
	all := slices.Clone(registry)
	slices.SortStableFunc(all, func(a, b Contender) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// ByID returns the contender with the given ID.
func ByID(id string) (Contender, bool) {
	i := slices.IndexFunc(registry, func(c Contender) bool { return c.ID == id })
	if i < 0 {
		return Contender{}, false
	}
	return registry[i], true
}

// Version returns the version of the contender's module that this program was built with, and "" when it has none.
func (c Contender) Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || c.Module == "" {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == c.Module {
			if module.Replace != nil {
				return "this repository"
			}
			return module.Version
		}
	}
	return ""
}
