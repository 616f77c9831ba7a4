package main

import (
	"encoding/json"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// Event is what publishers publish: the number of an event of a key, which one
// goroutine counts.
type Event struct {
	Key    string `json:"key"`
	Number int    `json:"number"`
	Fate   fate   `json:"fate"`
}

var topic = events.NewTopic[Event]("chaos")

// eventOf returns the event in a message.
func eventOf(m *durable.Message) (e Event, err error) {
	err = json.Unmarshal(m.Data, &e)
	return e, err
}

// fate is what handlers make of an event, in the groups that look at it.
type fate string

const (
	isPlain    fate = "plain"
	isDelayed  fate = "delayed"  // published with a delay, and so without a place among its key
	failsTwice fate = "twice"    // fails at the first two attempts
	asksLater  fate = "later"    // asks for a time of its own to be tried again
	panics     fate = "panics"   // at the first attempt
	isRefused  fate = "refused"  // fails for good
	isHopeless fate = "hopeless" // fails at every attempt
	isKiller   fate = "killer"   // kills its process, at every attempt
)

// isDoomed reports whether an event must end as a dead letter, where handlers look at
// its fate.
func (f fate) isDoomed() bool { return f == isRefused || f == isHopeless || f == isKiller }

// group is one of those that all workers subscribe to.
type group struct {
	name    string
	ordered bool
	fateful bool // handlers look at the fate of events
}

var groups = []group{
	{name: "ordered", ordered: true, fateful: true},
	{name: "free"},
	{name: "failing", fateful: true},
}
