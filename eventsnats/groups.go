package eventsnats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
)

// The metadata of a consumer that is a group.
const (
	topicOf = "events.topic"
	groupOf = "events.group"
	leaseOf = "events.lease" // the longest that was asked for
)

// firstLease is that of a group that was declared, until somebody subscribes to it.
const firstLease = 30 * time.Second

// Open opens a group, which is a consumer of the stream, and makes it if there is none. A
// group keeps the longest lease that it was ever subscribed with: what a process has that
// ended comes back after that. It returns an error for a consumer that is there and is no
// group.
func (e *Engine) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	if e.isClosed() {
		return nil, durable.ErrClosed
	}
	names, err := e.subjects(c.Topic, c.Group)
	if err != nil {
		return nil, err
	}
	want := jetstream.ConsumerConfig{
		Durable:        names.consumer,
		Description:    fmt.Sprintf("group %s of topic %s", c.Group, c.Topic),
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        cmp.Or(c.Lease, firstLease),
		MaxDeliver:     -1,
		MaxAckPending:  -1, // what waits for its retry is among that
		DeliverPolicy:  jetstream.DeliverNewPolicy,
		FilterSubjects: []string{names.topic, names.again},
		Metadata:       map[string]string{topicOf: c.Topic, groupOf: c.Group},
	}
	if c.Lease > 0 {
		want.Metadata[leaseOf] = c.Lease.String()
	}
	if c.FromStart {
		want.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	made, err := e.makeConsumer(ctx, want)
	if err != nil {
		return nil, err
	}
	return e.newReceiver(c, names, want, made)
}

// keepLeases has the consumers of receivers be as they were made, in case that two processes
// have set different leases at the same moment, or that somebody has changed them by hand.
func (e *Engine) keepLeases(ctx context.Context) (err error) {
	e.mu.Lock()
	open := slices.Collect(maps.Keys(e.receivers))
	e.mu.Unlock()
	for _, r := range open {
		if there, failed := e.js.Consumer(ctx, e.stream, r.names.consumer); failed == nil {
			err = errors.Join(err, e.keepConsumer(ctx, there, r.config))
		} // without one its Receive has an error to say so
	}
	return err
}

// makeConsumer makes a consumer, or has one that is there wait long enough for an
// acknowledgement. It returns when it was made.
func (e *Engine) makeConsumer(ctx context.Context, want jetstream.ConsumerConfig) (made time.Time, err error) {
	there, err := e.js.Consumer(ctx, e.stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		there, err = e.js.CreateConsumer(ctx, e.stream, want)
		if errors.Is(err, jetstream.ErrConsumerExists) { // another was quicker
			there, err = e.js.Consumer(ctx, e.stream, want.Durable)
		}
	}
	if err != nil {
		return made, e.explain(ctx, e.stream, nil, err)
	}
	return there.CachedInfo().Created, e.keepConsumer(ctx, there, want)
}

// keepConsumer has a consumer wait long enough, and returns an error if it is no group.
func (e *Engine) keepConsumer(ctx context.Context, there jetstream.Consumer, want jetstream.ConsumerConfig) error {
	found := there.CachedInfo().Config
	if difference := differs(&found, &want); difference != "" {
		return fmt.Errorf("consumer %q of stream %q has %s", want.Durable, e.stream, difference)
	}
	asked := want.Metadata[leaseOf]
	if asked == "" || found.Metadata[leaseOf] != "" && found.AckWait >= want.AckWait {
		return nil
	}
	found.AckWait = want.AckWait
	metadata := maps.Clone(want.Metadata)
	for name, value := range found.Metadata {
		if name != leaseOf {
			metadata[name] = value
		}
	}
	found.Metadata = metadata
	_, err := e.js.UpdateConsumer(ctx, e.stream, found)
	return e.explain(ctx, e.stream, nil, err)
}

// differs says what keeps a consumer from being a group, or nothing.
func differs(found, want *jetstream.ConsumerConfig) string {
	filters := found.FilterSubjects
	if found.FilterSubject != "" {
		filters = []string{found.FilterSubject}
	}
	slices.Sort(filters)
	wanted := slices.Sorted(slices.Values(want.FilterSubjects))
	switch {
	case !slices.Equal(filters, wanted):
		return fmt.Sprintf("the subjects %q, want %q", filters, wanted)
	case found.DeliverSubject != "":
		return fmt.Sprintf("messages pushed to %q, want them to be pulled", found.DeliverSubject)
	case found.AckPolicy != want.AckPolicy:
		return fmt.Sprintf("the acknowledgement policy %v, want %v", found.AckPolicy, want.AckPolicy)
	case found.MaxDeliver > 0:
		return fmt.Sprintf("%d deliveries of a message at most, want no limit", found.MaxDeliver)
	case found.MaxAckPending > 0:
		return fmt.Sprintf("%d messages without acknowledgement at most, want no limit", found.MaxAckPending)
	case len(found.BackOff) > 0:
		return "waits of its own between deliveries (backoff), want none"
	case found.HeadersOnly:
		return "messages without data (headers_only), want them whole"
	case found.InactiveThreshold > 0:
		return fmt.Sprintf("an end when nobody asks for %v (inactive_threshold), want none", found.InactiveThreshold)
	}
	return ""
}

// Group is how far a group has come.
type Group struct {
	Topic, Name string
	Lag         int64         // how many events are stored and not handled, dead letters aside
	Age         time.Duration // of the oldest of these, 0 without one
	Waiting     int64         // of these, how many are at work or wait for their retry
	Dead        int64         // dead letters
}

// Groups returns all groups, by topic and name.
func (e *Engine) Groups(ctx context.Context) (groups []Group, err error) {
	if e.isClosed() {
		return nil, durable.ErrClosed
	}
	dead, err := e.countDead(ctx)
	if err != nil {
		return nil, err
	}
	all := e.events.ListConsumers(ctx)
	for info := range all.Info() {
		g := Group{
			Topic: info.Config.Metadata[topicOf], Name: info.Config.Metadata[groupOf],
			Lag: int64(info.NumPending) + int64(info.NumAckPending), Waiting: int64(info.NumAckPending),
			Dead: dead[info.Name],
		}
		if g.Topic == "" {
			continue // not ours
		}
		if g.Lag > 0 {
			g.Age = e.age(ctx, info)
		}
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Name, b.Name))
	})
	return groups, all.Err()
}

// age returns the age of the first message behind what a consumer has acknowledged all of, or
// 0 for one that cannot be read.
func (e *Engine) age(ctx context.Context, info *jetstream.ConsumerInfo) (oldest time.Duration) {
	for _, subject := range info.Config.FilterSubjects {
		if first, err := e.events.GetMsg(ctx, info.AckFloor.Stream+1, jetstream.WithGetMsgSubject(subject)); err == nil {
			oldest = max(oldest, time.Since(first.Time))
		}
	}
	return oldest
}

// RemoveGroup forgets a group with all that it has not handled, and its dead letters. A
// subscription of it gets [durable.ErrUnknownGroup] from then on.
func (e *Engine) RemoveGroup(ctx context.Context, topic, name string) error {
	if e.isClosed() {
		return durable.ErrClosed
	}
	names, err := e.subjects(topic, name)
	if err != nil {
		return err
	}
	err = e.js.DeleteConsumer(ctx, e.stream, names.consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = unknownGroup(topic, name)
	}
	// In any case: a call that was cut short may have left something.
	return errors.Join(err,
		e.events.Purge(ctx, jetstream.WithPurgeSubject(names.again)),
		e.dead.Purge(ctx, jetstream.WithPurgeSubject(names.dead+"*")))
}

func unknownGroup(topic, name string) error {
	return fmt.Errorf("%w: %q of topic %q", durable.ErrUnknownGroup, name, topic)
}
