package eventsnats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
)

// sweepEvery is how often an engine sweeps, and looks after its consumers.
const sweepEvery = time.Minute

// sweepNowAndThen is the goroutine that does so.
func (e *Engine) sweepNowAndThen(ctx context.Context) {
	for {
		timer := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		_, err := e.Sweep(ctx)
		if err = errors.Join(err, e.keepLeases(ctx)); err != nil && !errors.Is(err, durable.ErrClosed) && ctx.Err() == nil {
			e.logger.Warn("eventsnats: cannot look after the stream", "stream", e.stream, "error", err)
		}
	}
}

// Sweep deletes the messages that every consumer of their subject has acknowledged, and of
// topics without any those that were stored longer ago than [WithRetention] says. It returns
// how many these were. The engine does so by itself, every minute or so. From a stream that
// deletes by itself what was acknowledged it takes nothing.
func (e *Engine) Sweep(ctx context.Context) (swept int64, err error) {
	if e.isClosed() {
		return 0, durable.ErrClosed
	}
	if e.events.CachedInfo().Config.Retention != jetstream.LimitsPolicy {
		return 0, nil
	}
	// In this order: a group that is made later gets nothing that is older than the limit, and
	// what is stored later is above what consumers have acknowledged.
	limit := time.Now().Add(-e.retention)
	info, err := e.events.Info(ctx, jetstream.WithSubjectFilter(e.prefix+".>"))
	if err != nil {
		return 0, err
	}
	var consumers []*jetstream.ConsumerInfo
	all := e.events.ListConsumers(ctx)
	for consumer := range all.Info() {
		consumers = append(consumers, consumer)
	}
	if err := all.Err(); err != nil {
		return 0, err
	}
	for subject := range info.State.Subjects {
		floor, heard := handled(consumers, subject)
		if !heard {
			var failed error
			if floor, failed = e.expired(ctx, subject, limit, info.State.LastSeq); failed != nil {
				err = errors.Join(err, fmt.Errorf("subject %s: %w", subject, failed)) // the others go on
			}
		}
		if floor == 0 {
			continue
		}
		n, failed := e.purge(ctx, subject, floor+1)
		swept += n
		err = errors.Join(err, failed)
	}
	return swept, err
}

// handled returns up to where all consumers of a subject have acknowledged all, and whether
// there is any.
func handled(consumers []*jetstream.ConsumerInfo, subject string) (floor uint64, heard bool) {
	for _, c := range consumers {
		filters := c.Config.FilterSubjects
		if len(filters) == 0 {
			filters = []string{c.Config.FilterSubject}
		}
		for _, filter := range filters {
			if covers(filter, subject) && (!heard || c.AckFloor.Stream < floor) {
				floor, heard = c.AckFloor.Stream, true
			}
		}
	}
	return floor, heard
}

// expired returns the place of the last message of a subject, up to a last one, that is older
// than a limit, or 0. Places are in the order of time.
func (e *Engine) expired(ctx context.Context, subject string, limit time.Time, last uint64) (uint64, error) {
	old, young := uint64(0), last+1 // all up to old are, and all from young on are not
	for old+1 < young {
		middle := old + (young-old)/2
		next, err := e.events.GetMsg(ctx, middle, jetstream.WithGetMsgSubject(subject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			young = middle
		case err != nil:
			return 0, err
		case next.Sequence <= last && next.Time.Before(limit):
			old = next.Sequence
		default:
			young = middle
		}
	}
	return old, nil
}

// purge deletes the messages of a subject below a place, and returns how many. The client's
// Purge does not say that.
func (e *Engine) purge(ctx context.Context, subject string, below uint64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	request, err := json.Marshal(map[string]any{"filter": subject, "seq": below})
	if err != nil {
		return 0, err
	}
	reply, err := e.nc.RequestWithContext(ctx, e.api+"STREAM.PURGE."+e.stream, request)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Purged int64
		Error  *struct{ Description string }
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return 0, err
	}
	if answer.Error != nil {
		return 0, fmt.Errorf("purge %s: %s", subject, answer.Error.Description)
	}
	return answer.Purged, nil
}
