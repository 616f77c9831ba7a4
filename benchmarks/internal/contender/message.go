package contender

import (
	"context"
	"encoding/binary"
)

// Ring is how many messages [Messages] makes. Publishers go round in it, so that making payloads costs nothing while the
// clock runs, and sequence numbers repeat only after Ring events.
const Ring = 1024

// MaxPublishers is how many publishers a [Recorder] can tell apart.
const MaxPublishers = 8

// Order is the payload of every comparison.
type Order struct {
	Seq       uint32
	Publisher uint32
	Customer  string
	Cents     int64
}

// Message is one event in each of the forms that buses take.
type Message struct {
	Order Order
	// Boxed is the Order in an interface, for buses that take any.
	Boxed any
	// Fields is the Order in a map, for buses that take one.
	Fields map[string]any
	// Encoded is the Order's identity in bytes, for buses that carry only those.
	Encoded []byte
}

// Messages returns the Ring messages of one publisher, in order.
func Messages(publisher int) []Message {
	messages := make([]Message, Ring)
	for i := range messages {
		o := Order{Seq: uint32(i), Publisher: uint32(publisher), Customer: "C-1001", Cents: 4200}
		messages[i] = Message{
			Order:   o,
			Boxed:   o,
			Fields:  map[string]any{"order": o},
			Encoded: encode(o),
		}
	}
	return messages
}

func encode(o Order) []byte {
	b := binary.BigEndian.AppendUint32(nil, o.Seq)
	return binary.BigEndian.AppendUint32(b, o.Publisher)
}

func decode(b []byte) Order {
	return Order{Seq: binary.BigEndian.Uint32(b), Publisher: binary.BigEndian.Uint32(b[4:])}
}

type contextKey struct{}

// NoContext is what a handler gets from a library that passes it no context.
var NoContext = context.WithValue(context.Background(), contextKey{}, "none")
