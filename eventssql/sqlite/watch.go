package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/typedbus/events/eventssql/internal/engine"
)

// How often the store looks for what others have committed: often while something
// happens, and then ever more seldom.
const (
	busyLook = 10 * time.Millisecond
	idleLook = 250 * time.Millisecond
)

// watch is the goroutine that looks for what others have committed.
type watch struct {
	store *Store
	conn  *sql.Conn // of the goroutine alone
}

// run is the goroutine. Messages wake their topics at once. What else has changed, as a settlement by another process,
// wakes everybody, but not more often than an idle look.
func (w *watch) run(ctx context.Context) {
	version, err := w.version(ctx)
	var last int64
	if err == nil {
		err = w.conn.QueryRowContext(ctx, w.store.dialect.SQL("select coalesce(max(id), 0) from @message")).Scan(&last)
	}
	if err != nil && ctx.Err() == nil {
		w.store.engine.Logger.Warn("sqlite: cannot look for changes", "error", err)
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
			w.store.engine.Logger.Warn("sqlite: cannot look for changes", "error", err)
			look = idleLook
		case now == version:
			look = min(idleLook, look+look/4+1)
		default:
			version, look = now, busyLook
			if err := w.wakeMessages(ctx, &last); err != nil && ctx.Err() == nil {
				w.store.engine.Logger.Warn("sqlite: cannot look for messages", "error", err)
			}
			if due.IsZero() {
				due = time.Now().Add(idleLook)
			}
		}
		if !due.IsZero() && time.Now().After(due) {
			due = time.Time{}
			w.store.engine.WakeAll()
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
	rows, err := w.conn.QueryContext(ctx, w.store.dialect.SQL("select topic, max(id) from @message not indexed where id > ? group by topic"), *last)
	if err != nil {
		return err
	}
	var topics []string
	err = each(rows, func(row engine.Row) error {
		var topic string
		var id int64
		err := row.Scan(&topic, &id)
		topics = append(topics, topic)
		*last = max(*last, id)
		return err
	})
	w.store.engine.Wake(topics...)
	return err
}
