package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/typedbus/events/durable"
)

// onPostgres opens a Postgres store of the stage, and subscribes to what a scenario publishes.
func (s *stage) onPostgres(ctx context.Context, do func(*postgresStore, *record) error) error {
	return s.on(ctx, func(opened store) error {
		st := opened.(*postgresStore)
		var seen record
		sub, err := durable.Subscribe(ctx, st, topic, "group", func(ctx context.Context, e Event) error {
			seen.note(ctx, e)
			return nil
		}, durable.WithLease(lease))
		if err != nil {
			return err
		}
		err = do(st, &seen)
		closing, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return errors.Join(err, sub.Close(closing))
	})
}

// all reports whether the numbers up to n have been seen, each at least once.
func (r *record) all(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[int]bool)
	for _, number := range r.numbers {
		seen[number] = true
	}
	return len(seen) == n
}

// prepared leaves a transaction that has published prepared while the server is killed. What
// was published after it waits for it, or the cursors would pass it.
func prepared(ctx context.Context, s *stage) (result, error) {
	const each = 20
	var x expectation
	err := s.onPostgres(ctx, func(st *postgresStore, seen *record) error {
		events := numbered(3 * each)
		conn, err := pgx.Connect(ctx, s.address)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "begin"); err != nil {
			return err
		}
		err = durable.PublishBatch(ctx, st.PgxTx(conn), topic, events[:each])
		if _, prepared := conn.Exec(ctx, "prepare transaction 'rig'"); err == nil {
			err = prepared
		}
		if err = errors.Join(err, conn.Close(ctx)); err != nil {
			return err
		}
		if err := durable.PublishBatch(ctx, st, topic, events[each:2*each]); err != nil {
			return err
		}
		if err := errors.Join(s.server.kill(), s.server.restart(ctx)); err != nil {
			return err
		}
		x.await(patience, func() bool { return durable.PublishBatch(ctx, st, topic, events[2*each:]) == nil }, "something can be published after the restart")
		time.Sleep(lease) // for a cursor that does not wait
		if err := s.execute(ctx, "commit prepared 'rig'"); err != nil {
			return err
		}
		x.await(patience, func() bool { return seen.all(3 * each) }, "all events are handled")
		return nil
	})
	return x.result, err
}

func (s *stage) execute(ctx context.Context, statement string) error {
	return s.server.(*postgresServer).execute(ctx, statement)
}

// setBack sets the sequence of ids back, as a restored or replicated database has it: what is
// published then must be refused, or be handled in the end.
func setBack(ctx context.Context, s *stage) (result, error) {
	const sequence, each = "events_message_id", 20
	var x expectation
	err := s.onPostgres(ctx, func(st *postgresStore, seen *record) error {
		events := numbered(3 * each)
		if err := durable.PublishBatch(ctx, st, topic, events[:each]); err != nil {
			return err
		}
		x.await(patience, func() bool { return seen.all(each) }, "all events are handled")
		var swept int64
		x.await(patience, func() bool { // that they are handled may have to be stored yet
			n, err := st.Sweep(ctx)
			swept += n
			return err == nil && swept >= each
		}, "what was handled is swept")
		x.expect(swept == each, "%d messages were swept, want %d", swept, each)
		if err := s.execute(ctx, fmt.Sprintf("select setval('%s', 1)", sequence)); err != nil {
			return err
		}
		_, err := openPostgres(ctx, s.address)
		x.expect(err != nil, "a store was opened although the sequence is behind")
		time.Sleep(lease) // in which it can be noticed
		published := durable.PublishBatch(ctx, st, topic, events[each:2*each]) == nil
		if err := s.execute(ctx, fmt.Sprintf("select setval('%s', 1000)", sequence)); err != nil {
			return err
		}
		want := 2 * each
		if published {
			want += each
		} else {
			events = append(events[:each], events[2*each:]...)
		}
		if err := durable.PublishBatch(ctx, st, topic, events[len(events)-each:]); err != nil {
			return err
		}
		x.await(patience/2, func() bool { return seen.all(want) }, "all events are handled")
		x.expect(seen.all(want), "%d runs of handlers for %d events; those of the time in which the sequence was behind were stored: %t", seen.len(), want, published)
		return nil
	})
	return x.result, err
}

// poolBusy has handlers that have all connections of the user's pool for three leases. The
// store has some of its own, so leases are renewed and events published all the same.
func poolBusy(ctx context.Context, s *stage) (result, error) {
	const workers = 8
	var x expectation
	err := s.on(ctx, func(opened store) error {
		st := opened.(*postgresStore)
		most := int(st.pool.Config().MaxConns)
		lost := make(chan error, workers)
		sub, err := durable.Subscribe(ctx, st, topic, "busy", func(ctx context.Context, _ Event) error {
			conn, err := st.pool.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			select {
			case <-ctx.Done():
			case <-time.After(3 * lease / 2):
			}
			lost <- context.Cause(ctx)
			return nil
		}, durable.WithWorkers(workers), durable.WithLease(lease/2))
		if err != nil {
			return err
		}
		err = durable.PublishBatch(ctx, st, topic, numbered(workers))
		x.await(patience, func() bool { return int(st.pool.Stat().AcquiredConns()) == min(most, workers) }, "all connections of the pool are busy")
		begun := time.Now()
		published := durable.Publish(ctx, st, topic, Event{Key: "other"})
		x.expect(published == nil && time.Since(begun) < lease, "published after %v: %v", time.Since(begun), published)
		for range workers {
			cause := <-lost
			x.expect(cause == nil, "the context of a handler has ended: %v", cause)
		}
		closing, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return errors.Join(err, sub.Close(closing))
	})
	return x.result, err
}

// stalled has one of the workers connected by way of a proxy that stalls again and again,
// for longer than a lease.
func stalled(ctx context.Context, s *stage) (result, error) {
	through, err := newProxy(s.server.(*postgresServer).port)
	if err != nil {
		return result{}, err
	}
	w, p := s.worker(), s.publisher()
	p.Pause *= 2
	behind := w
	behind.Address = s.server.(*postgresServer).addressAt(through.port())
	c := campaign{
		lease: lease, every: 2 * lease, jobs: []job{w, behind, p, p},
		blows: []blow{{"stall", 1, func(d *director) error {
			through.stall(lease*5/4 + time.Duration(d.random.Int64N(int64(2*lease))))
			return nil
		}}},
	}
	r, err := c.conduct(ctx, s.short())
	return r, errors.Join(err, through.close())
}

// first makes a group while the transaction that is the first to publish is open: the group
// gets what that commits.
func first(ctx context.Context, s *stage) (result, error) {
	var x expectation
	err := s.on(ctx, func(st store) error {
		tx, err := st.(transactor).begin(ctx)
		if err != nil {
			return err
		}
		err = durable.PublishBatch(ctx, tx, topic, numbered(1))
		declared := durable.Declare(ctx, st, topic.Name(), "group")
		if err := errors.Join(err, declared, tx.commit(ctx)); err != nil {
			return err
		}
		var seen record
		sub, err := durable.Subscribe(ctx, st, topic, "group", func(ctx context.Context, e Event) error {
			seen.note(ctx, e)
			return nil
		})
		if err != nil {
			return err
		}
		x.await(patience/4, func() bool { return seen.len() > 0 }, "what was committed after the group was made is handled")
		closing, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return errors.Join(err, sub.Close(closing))
	})
	return x.result, err
}
