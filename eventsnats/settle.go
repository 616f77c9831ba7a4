package eventsnats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
)

// What JetStream understands as an answer to a message.
var (
	ack      = []byte("+ACK")
	nak      = []byte("-NAK")
	term     = []byte("+TERM")
	progress = []byte("+WPI")
)

// lease is that of a delivery: where to say what has become of it.
type lease struct {
	message  *nats.Msg
	sequence uint64
}

// Settle tells the server what has become of deliveries, and waits until it has heard that.
// A dead letter is stored before its message is given up.
func (r *receiver) Settle(ctx context.Context, settlements []durable.Settlement) (lost []int, err error) {
	e := r.engine
	if e.isClosed() {
		return nil, durable.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var letters []durable.Settlement
	for _, s := range settlements {
		if s.Outcome == durable.OutcomeDeadLetter {
			letters = append(letters, s)
			continue
		}
		if err := e.nc.Publish(s.Lease.(lease).message.Reply, answer(s)); err != nil {
			return nil, err
		}
	}
	failed := r.bury(ctx, letters)
	return nil, errors.Join(failed, e.nc.FlushWithContext(ctx))
}

// answer says what has become of a delivery that is no dead letter.
func answer(s durable.Settlement) []byte {
	switch {
	case s.Outcome == durable.OutcomeAck:
		return ack
	case s.Outcome == durable.OutcomeRenew:
		return progress
	case s.Outcome == durable.OutcomeRetry && s.After > 0:
		return fmt.Appendf(nil, `-NAK {"delay": %d}`, s.After.Nanoseconds())
	}
	return nak
}

// bury stores dead letters and gives up their messages.
func (r *receiver) bury(ctx context.Context, letters []durable.Settlement) error {
	if len(letters) == 0 {
		return nil
	}
	messages := make([]*nats.Msg, len(letters))
	for i, s := range letters {
		messages[i] = r.letter(s)
	}
	errs := r.engine.publishMany(ctx, r.engine.deadStream(), messages)
	for i, s := range letters {
		if errs != nil && errs[i] != nil {
			errs[i] = fmt.Errorf("store a dead letter: %w", errs[i])
			continue
		}
		if err := r.engine.nc.Publish(s.Lease.(lease).message.Reply, term); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// longestReason is how much of the text of an error is kept.
const longestReason = 8 << 10

// letter returns what is kept of a message that a group has given up: the message as it
// was, why, and after how many attempts. Its id has the place of the message in the stream,
// so that one that is handled once more can die once more.
func (r *receiver) letter(s durable.Settlement) *nats.Msg {
	l := s.Lease.(lease)
	letter := &nats.Msg{
		Subject: r.names.dead + strconv.FormatUint(l.sequence, 10),
		Data:    l.message.Data,
		Header:  maps.Clone(l.message.Header),
	}
	if letter.Header == nil {
		letter.Header = make(nats.Header)
	}
	maps.DeleteFunc(letter.Header, func(name string, _ []string) bool { return isServers(name) })
	reason := s.Reason[:min(len(s.Reason), longestReason)]
	letter.Header[deadReason] = []string{strconv.QuoteToASCII(reason)}
	letter.Header[deadAttempts] = []string{strconv.Itoa(s.Attempt)}
	letter.Header[jetstream.MsgIDHeader] = []string{fmt.Sprintf("dead/%s/%d", r.names.consumer, l.sequence)}
	return letter
}

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
