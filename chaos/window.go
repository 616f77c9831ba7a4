package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/typedbus/events/durable"
)

// window has a relay send an event again when the stream has forgotten its id, so that it
// is handled twice: a note in the transaction of the handler makes its effect single.
func window(ctx context.Context, s *stage) (result, error) {
	var x expectation
	err := s.on(ctx, func(st store) error {
		opened, err := openSQLite(ctx, filepath.Join(s.folder, "effects.db"))
		if err != nil {
			return err
		}
		err = x.sendTwice(ctx, st.(*jetstreamStore), opened.(*sqliteStore))
		return errors.Join(err, opened.shut(context.WithoutCancel(ctx)))
	})
	return x.result, err
}

func (x *expectation) sendTwice(ctx context.Context, to *jetstreamStore, effects *sqliteStore) error {
	const forgets = 100 * time.Millisecond
	stream, err := to.js.Stream(ctx, "events")
	if err != nil {
		return err
	}
	config := stream.CachedInfo().Config
	config.Duplicates = forgets
	if _, err := to.js.UpdateStream(ctx, config); err != nil {
		return err
	}
	var runs, firsts record
	sub, err := durable.Subscribe(ctx, to, topic, "group", func(ctx context.Context, e Event) error {
		tx, err := effects.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		first, err := effects.Once(ctx, tx)
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		runs.note(ctx, e)
		if !first {
			return tx.Rollback()
		}
		firsts.note(ctx, e)
		return tx.Commit()
	})
	if err != nil {
		return err
	}
	sent := durable.WithID("the one that it had in the outbox")
	for n := range 3 { // the second is within the window
		if n == 2 {
			time.Sleep(5 * forgets)
		}
		if err := durable.Publish(ctx, to, topic, numbered(1)[0], sent); err != nil {
			return errors.Join(err, sub.Close(ctx))
		}
	}
	x.await(patience, func() bool { return runs.len() >= 2 }, "the event is handled again")
	err = sub.Close(ctx)
	x.expect(runs.len() == 2, "it was handled %d times, want twice: the second came within the window", runs.len())
	x.expect(firsts.len() == 1, "it had %d effects, want one", firsts.len())
	return err
}
