package eventsnats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

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
	message *nats.Msg
	place   place
}

// Settle tells the server what has become of deliveries, and waits until it has heard that.
// What is to be kept is stored before its message is given up: a dead letter, and for what
// is given back a copy with the attempts that were over, since the server would count one
// more.
func (r *receiver) Settle(ctx context.Context, settlements []durable.Settlement) (lost []int, err error) {
	if r.engine.isClosed() {
		return nil, durable.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r.settle(ctx, settlements)
}

func (r *receiver) settle(ctx context.Context, settlements []durable.Settlement) (lost []int, err error) {
	var letters, copies []kept
	for _, s := range settlements {
		l := s.Lease.(lease)
		switch s.Outcome {
		case durable.OutcomeDeadLetter:
			letters = append(letters, kept{l, r.letter(s), term})
		case durable.OutcomeRelease:
			copies = append(copies, kept{l, r.copyFor(r.names.again, "released", s, s.Attempt-1), ack})
		default:
			if err := r.engine.nc.Publish(l.message.Reply, answer(s)); err != nil {
				return nil, err
			}
		}
	}
	err = errors.Join(r.keep(ctx, r.engine.deadStream(), letters), r.keep(ctx, r.engine.stream, copies))
	return nil, errors.Join(err, r.engine.nc.FlushWithContext(ctx))
}

// answer says what has become of a delivery that stays where it is.
func answer(s durable.Settlement) []byte {
	switch {
	case s.Outcome == durable.OutcomeAck:
		return ack
	case s.Outcome == durable.OutcomeRenew:
		return progress
	}
	return later(s.After)
}

// later has a message come again after a while.
func later(after time.Duration) []byte {
	if after <= 0 {
		return nak
	}
	return fmt.Appendf(nil, `-NAK {"delay": %d}`, after.Nanoseconds())
}

// kept is a message that is stored before another one is given up.
type kept struct {
	lease
	message *nats.Msg
	over    []byte // what to say of that
}

// setback is how long a message waits that could not be given up.
const setback = 30 * time.Second

// keep stores messages in a stream and gives up those that they are for. One that cannot
// be stored keeps no others from being: it comes again after a while.
func (r *receiver) keep(ctx context.Context, stream string, all []kept) error {
	if len(all) == 0 {
		return nil
	}
	messages := make([]*nats.Msg, len(all))
	for i, one := range all {
		messages[i] = one.message
	}
	errs := r.engine.publishMany(ctx, stream, messages)
	for i, one := range all {
		over := one.over
		if errs != nil && errs[i] != nil {
			r.engine.logger.Warn("eventsnats: cannot store an event that a group gives up or back", "topic", r.Topic, "group", r.Group,
				"place", one.place.sequence, "error", errs[i])
			over = later(setback)
		}
		if err := r.engine.nc.Publish(one.lease.message.Reply, over); err != nil {
			return err
		}
	}
	return nil
}

// letter returns what is kept of a message that a group has given up: the message as it
// was, why, and after how many attempts. Of the reason it has what there is room for.
func (r *receiver) letter(s durable.Settlement) *nats.Msg {
	l := s.Lease.(lease)
	letter := r.copyFor(r.names.dead+strconv.FormatUint(l.place.sequence, 10), "dead", s, s.Attempt)
	letter.Header[deadReason] = []string{""}
	reason := strconv.QuoteToASCII(s.Reason)
	if room := int(r.engine.nc.MaxPayload()) - letter.Size(); r.engine.nc.MaxPayload() > 0 && len(reason) > room {
		reason = strings.Trim(reason, `"`)[:max(0, min(room, len(reason)-2))] // without quotes: it is no whole text
	}
	letter.Header[deadReason] = []string{reason}
	return letter
}

// copyFor returns a copy of a message for another subject. Its id is that of this delivery,
// in this life of the group, so that what dies once more is not taken for the same.
func (r *receiver) copyFor(subject, why string, s durable.Settlement, over int) *nats.Msg {
	l := s.Lease.(lease)
	id := fmt.Sprintf("%s/%s/%d/%d/%d/%d", why, r.names.consumer, r.made.UnixNano(), l.place.sequence, l.place.stored.UnixNano(), l.place.attempt)
	m := copyOf(subject, id, s.ID, l.message.Header, l.message.Data)
	m.Header[attempts] = []string{strconv.Itoa(over)}
	return m
}
