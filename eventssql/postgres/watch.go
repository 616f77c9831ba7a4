package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/typedbus/events/eventssql/internal/engine"
)

// How often the store looks for what was committed: often while something happens, and
// then ever more seldom. Two looks are never closer than leastLook, and two notices to
// other processes never closer than leastNotice: each costs the server a commit, and whoever
// had the last one goes on to look, after 10, 12, 15 and 20 ms.
const (
	leastLook   = 5 * time.Millisecond
	leastNotice = 50 * time.Millisecond
	busyLook    = 10 * time.Millisecond
	idleLook    = 250 * time.Millisecond
)

// watch is the goroutine that looks for what was committed, and wakes who waits for that;
// and the one that listens for other processes, which makes it look sooner.
type watch struct {
	store     *Store
	hurry     chan struct{} // has a token when there is reason to look at once
	published atomic.Bool   // through this store, of which others are to be told

	// Of the goroutine that looks alone.
	looked     time.Time
	told       time.Time
	complained time.Time
	woken      int64 // up to where who waits was woken
	resets     int   // of the horizon, when that was
}

func (w *watch) init(s *Store) { w.store, w.hurry = s, make(chan struct{}, 1) }

// announce has others be told that something was published.
func (w *watch) announce() {
	w.published.Store(true)
	w.lookSoon()
}

// lookSoon has the watch look as soon as it may.
func (w *watch) lookSoon() {
	select {
	case w.hurry <- struct{}{}:
	default:
	}
}

// run is the goroutine that looks.
func (w *watch) run(ctx context.Context) {
	pause, asked := busyLook, time.Time{}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		hurried := false
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.hurry:
			hurried = true
		}
		begun := time.Now()
		moved, err := w.once(ctx)
		if err == nil && time.Since(asked) >= idleLook {
			asked = time.Now()
			err = w.wakeDue(ctx)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			w.store.engine.Logger.Warn("postgres: cannot look for events", "error", err)
			pause = time.Second
		case moved || hurried || w.store.horizon.waiting() > 0:
			pause = busyLook
		default:
			pause = min(idleLook, pause+pause/4+1)
		}
		timer.Reset(leastLook - time.Since(begun))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(max(0, pause-time.Since(begun)))
	}
}

// mostAsked is of how many ids it is asked which topics they have. When there are
// more, all are woken.
const mostAsked = 10_000

// once tells others what was published, looks, and wakes who may claim what has become
// final. Where nobody waits for events it looks only now and then.
func (w *watch) once(ctx context.Context) (moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, longestTransaction)
	defer cancel()
	if w.store.listen && time.Since(w.told) >= leastNotice && w.published.Swap(false) {
		w.told = time.Now()
		// A notice is not worth a wait for the disk, and without it others look later.
		if _, err := w.store.pool.Exec(ctx, "select set_config('synchronous_commit', 'off', true), pg_notify($1, '')", w.store.channel()); err != nil && w.isToComplain() {
			w.store.engine.Logger.Warn("postgres: cannot tell other processes of events", "error", err)
		}
	}
	if len(w.store.engine.Waiting()) == 0 && time.Since(w.looked) < idleLook {
		return false, nil
	}
	w.looked = time.Now()
	if err := w.store.look(ctx); err != nil {
		w.store.engine.WakeAll() // they are to get the error, or to see for themselves
		return false, err
	}
	w.store.warnOfHoldup(ctx)
	// The horizon may have been moved by others than this goroutine, so that it is
	// compared with what was woken. Who begins to wait only now claims after that.
	final, _, resets := w.store.horizon.state()
	before, anew := w.woken, resets != w.resets
	w.woken, w.resets = final, resets
	switch {
	case anew, final < before, final-before > mostAsked:
		w.store.engine.WakeAll()
	case final == before:
		return false, nil
	case len(w.store.engine.Waiting()) > 0:
		if err := w.wakeTopics(ctx, "select distinct topic from @message where id > ? and id <= ?", before, final); err != nil {
			w.store.engine.WakeAll()
			return true, err
		}
	}
	return true, nil
}

// isToComplain reports whether it is time to say once more that notices cannot be sent.
func (w *watch) isToComplain() bool {
	if time.Since(w.complained) < time.Minute {
		return false
	}
	w.complained = time.Now()
	return true
}

// wakeDue wakes the topics in which a delivery is due: through a settlement of another
// process, or because its lease is over.
func (w *watch) wakeDue(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, longestTransaction)
	defer cancel()
	topics := w.store.engine.Waiting()
	if len(topics) == 0 {
		return nil
	}
	return w.wakeTopics(ctx, `select distinct g.topic from @group g where g.topic in ({texts}) and exists (
		select 1 from @delivery d where d.grp = g.id and d.due is not null and d.due <= 1000 * `+now+`)`, engine.List(topics))
}

func (w *watch) wakeTopics(ctx context.Context, query string, arguments ...any) error {
	rows, err := w.store.pool.Query(ctx, w.store.dialect.SQL(query), arguments...)
	if err != nil {
		return err
	}
	topics, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.store.engine.Wake(topics...)
	return err
}

// listen is the goroutine that listens for other processes. Looking finds the same, if
// later: so a failure is not worth more than a line, and another try.
func (w *watch) listen(ctx context.Context, config *pgxpool.Config) {
	pause := busyLook
	for ctx.Err() == nil {
		begun := time.Now()
		err := w.listenOnce(ctx, config)
		if ctx.Err() != nil {
			return
		}
		w.store.engine.Logger.Warn("postgres: cannot listen for other processes", "error", err)
		if pause = min(2*pause, 5*time.Second); time.Since(begun) > time.Minute {
			pause = busyLook
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (w *watch) listenOnce(ctx context.Context, config *pgxpool.Config) error {
	conn, err := connect(ctx, config)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	if _, err := conn.Exec(ctx, "listen "+w.store.channel()); err != nil {
		return err
	}
	for {
		w.lookSoon()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}
