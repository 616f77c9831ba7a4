package eventsnats

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// place is where a message is in its stream, as the address for its acknowledgement says.
type place struct {
	attempt  int
	sequence uint64
	stored   time.Time
}

var errNoPlace = errors.New("eventsnats: no message of a stream")

// placeOf reads an address as
//
//	$JS.ACK.stream.consumer.attempt.sequence.delivery.time.pending
//
// in which servers may have a domain and an account before the stream, and something
// behind the end.
func placeOf(m *nats.Msg) (p place, err error) {
	var tokens [12]string
	n := 0
	for token := range strings.SplitSeq(m.Reply, ".") {
		if n < len(tokens) {
			tokens[n] = token
			n++
		}
	}
	own := tokens[4:] // what is behind the consumer
	switch {
	case n < 9 || tokens[0] != "$JS" || tokens[1] != "ACK":
		return p, errNoPlace
	case n >= 11:
		own = tokens[6:]
	}
	attempt, err1 := strconv.Atoi(own[0])
	sequence, err2 := strconv.ParseUint(own[1], 10, 64)
	stored, err3 := strconv.ParseInt(own[3], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return p, fmt.Errorf("%w: %w", errNoPlace, err)
	}
	return place{attempt, sequence, time.Unix(0, stored)}, nil
}
