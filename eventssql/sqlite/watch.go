package sqlite

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

// How often the store looks for what others have committed: often while something
// happens, and then ever more seldom.
const (
	busyLook = 10 * time.Millisecond
	idleLook = 250 * time.Millisecond
)

// watch wakes receivers when there may be something to claim.
type watch struct {
	store *Store
	conn  *sql.Conn // of the goroutine alone

	mu     sync.Mutex
	topics map[string]chan struct{} // closed and replaced at each wake; guarded by mu
}

func (w *watch) init(s *Store, conn *sql.Conn) {
	w.store, w.conn, w.topics = s, conn, make(map[string]chan struct{})
}

// changed returns a channel that is closed at the next wake of a topic.
func (w *watch) changed(topic string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.topics[topic]
	if c == nil {
		c = make(chan struct{})
		w.topics[topic] = c
	}
	return c
}

func (w *watch) wake(topics map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic := range topics {
		w.wakeLocked(topic)
	}
}

func (w *watch) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic := range w.topics {
		w.wakeLocked(topic)
	}
}

func (w *watch) wakeLocked(topic string) {
	if c := w.topics[topic]; c != nil {
		close(c)
		delete(w.topics, topic)
	}
}

// run is the goroutine that looks for what others have committed. Messages wake
// their topics at once. What else has changed, as a settlement by another process,
// wakes everybody, but not more often than an idle look.
func (w *watch) run(ctx context.Context) {
	version, err := w.version(ctx)
	var last int64
	if err == nil {
		err = w.conn.QueryRowContext(ctx, w.store.sql("select coalesce(max(id), 0) from @message")).Scan(&last)
	}
	if err != nil && ctx.Err() == nil {
		w.store.logger.Warn("sqlite: cannot look for changes", "error", err)
	}
	look, due := busyLook, time.Time{}
	timer := time.NewTimer(look)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now, err := w.version(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			w.store.logger.Warn("sqlite: cannot look for changes", "error", err)
			look = idleLook
		case now == version:
			look = min(idleLook, look+look/4+1)
		default:
			version, look = now, busyLook
			if err := w.wakeMessages(ctx, &last); err != nil && ctx.Err() == nil {
				w.store.logger.Warn("sqlite: cannot look for messages", "error", err)
			}
			if due.IsZero() {
				due = time.Now().Add(idleLook)
			}
		}
		if !due.IsZero() && time.Now().After(due) {
			due = time.Time{}
			w.wakeAll()
		}
		timer.Reset(look)
	}
}

func (w *watch) version(ctx context.Context) (version int64, err error) {
	err = w.conn.QueryRowContext(ctx, "pragma data_version").Scan(&version)
	return version, err
}

// wakeMessages wakes the topics of the messages behind the last one seen.
func (w *watch) wakeMessages(ctx context.Context, last *int64) error {
	rows, err := w.conn.QueryContext(ctx, w.store.sql("select topic, max(id) from @message not indexed where id > ? group by topic"), *last)
	if err != nil {
		return err
	}
	topics := make(map[string]bool)
	err = each(rows, func(rows *sql.Rows) error {
		var topic string
		var id int64
		err := rows.Scan(&topic, &id)
		topics[topic] = true
		*last = max(*last, id)
		return err
	})
	w.wake(topics)
	return err
}
