package eventsnats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
)

// deadLetters are those of an engine. The subject of each ends with its reference, which is
// the place of its message in the stream of events.
type deadLetters struct{ *Engine }

// DeadLetters returns the dead letters of all groups.
func (e *Engine) DeadLetters() durable.DeadLetters { return deadLetters{e} }

func (d deadLetters) List(ctx context.Context, topic, group, after string, most int) (list []durable.DeadLetter, err error) {
	names, err := d.find(ctx, topic, group)
	if err != nil {
		return nil, err
	}
	behind := uint64(0)
	if after != "" {
		if behind, err = strconv.ParseUint(after, 10, 64); err != nil {
			return nil, fmt.Errorf("no reference of a dead letter: %q", after)
		}
	}
	info, err := d.dead.Info(ctx, jetstream.WithSubjectFilter(names.dead+"*"))
	if err != nil {
		return nil, err
	}
	var places []uint64
	for subject := range info.State.Subjects {
		if place, err := strconv.ParseUint(strings.TrimPrefix(subject, names.dead), 10, 64); err == nil && place > behind {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	for _, place := range places {
		if len(list) >= most {
			break
		}
		ref := strconv.FormatUint(place, 10)
		raw, err := d.dead.GetLastMsgForSubject(ctx, names.dead+ref)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound): // gone by now
			continue
		case err != nil:
			return nil, err
		}
		letter := durable.DeadLetter{Message: d.decode(topic, place, raw.Time, raw.Header, raw.Data), Group: group, Ref: ref}
		letter.Attempts, _ = strconv.Atoi(raw.Header.Get(attempts))
		if letter.Reason, err = strconv.Unquote(raw.Header.Get(deadReason)); err != nil {
			letter.Reason = raw.Header.Get(deadReason) // as somebody else has written it
		}
		list = append(list, letter)
	}
	return list, nil
}

// find returns the names of a group that is there.
func (d deadLetters) find(ctx context.Context, topic, group string) (subjects, error) {
	if d.isClosed() {
		return subjects{}, durable.ErrClosed
	}
	names, err := d.subjects(topic, group)
	if err != nil {
		return names, err
	}
	_, err = d.js.Consumer(ctx, d.stream, names.consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return names, unknownGroup(topic, group)
	}
	return names, err
}

func (d deadLetters) Redrive(ctx context.Context, topic, group string, refs ...string) (int, error) {
	return d.each(ctx, topic, group, refs, func(names subjects, place uint64, raw *jetstream.RawStreamMsg) error {
		// Whoever is cut off behind this and redrives it once more does not double it.
		id := fmt.Sprintf("redriven/%s/%d/%d", names.consumer, raw.Sequence, raw.Time.UnixNano())
		again := copyOf(names.again, id, d.decode(topic, place, raw.Time, raw.Header, raw.Data).ID, raw.Header, raw.Data)
		stored, err := d.js.PublishMsg(ctx, again)
		return d.explain(ctx, d.stream, stored, err)
	})
}

func (d deadLetters) Discard(ctx context.Context, topic, group string, refs ...string) (int, error) {
	return d.each(ctx, topic, group, refs, func(subjects, uint64, *jetstream.RawStreamMsg) error { return nil })
}

// each has something done with dead letters before they are deleted.
func (d deadLetters) each(ctx context.Context, topic, group string, refs []string, do func(subjects, uint64, *jetstream.RawStreamMsg) error) (n int, err error) {
	names, err := d.find(ctx, topic, group)
	if err != nil {
		return 0, err
	}
	for _, ref := range refs {
		place, err := strconv.ParseUint(ref, 10, 64)
		if err != nil {
			continue // no reference: it is not there
		}
		raw, err := d.dead.GetLastMsgForSubject(ctx, names.dead+strconv.FormatUint(place, 10))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue
		case err != nil:
			return n, err
		}
		if err := do(names, place, raw); err != nil {
			return n, err
		}
		switch err := d.dead.DeleteMsg(ctx, raw.Sequence); {
		case err == nil:
			n++
		case !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) && !errors.Is(err, jetstream.ErrMsgNotFound):
			return n, err
		}
	}
	return n, nil
}

// countDead returns how many dead letters each group has, by the names of their consumers.
func (e *Engine) countDead(ctx context.Context) (map[string]int64, error) {
	info, err := e.dead.Info(ctx, jetstream.WithSubjectFilter(e.deadPrefix()+".>"))
	if err != nil {
		return nil, err
	}
	count := make(map[string]int64)
	for subject, n := range info.State.Subjects {
		consumer, _, _ := strings.Cut(strings.TrimPrefix(subject, e.deadPrefix()+"."), ".")
		count[consumer] += int64(n)
	}
	return count, nil
}
