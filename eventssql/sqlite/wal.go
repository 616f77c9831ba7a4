package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"
)

// wal keeps an eye on the write-ahead log. SQLite moves it into the database by itself, but
// for what somebody reads: while a read stays open the log grows, and all get slower.
type wal struct {
	store  *Store
	path   string
	limit  int64 // in bytes
	warned time.Time
}

const (
	walLook    = 10 * time.Second
	walLimit   = 64 << 20
	walSilence = 10 * time.Minute
)

// check has a long log moved into the database, and warns if that does not help.
func (w *wal) check(ctx context.Context) error {
	file, err := os.Stat(w.path)
	if err != nil || file.Size() <= w.limit {
		return nil //nolint:nilerr // there is none while nobody has the database open
	}
	var busy, pages, moved, size int64
	if err := w.store.db.QueryRowContext(ctx, "pragma wal_checkpoint(passive)").Scan(&busy, &pages, &moved); err != nil {
		return err
	}
	if err := w.store.db.QueryRowContext(ctx, "pragma page_size").Scan(&size); err != nil {
		return err
	}
	if left := (pages - moved) * size; left > w.limit && time.Since(w.warned) > walSilence {
		w.warned = time.Now()
		w.store.engine.Logger.Warn("sqlite: the write-ahead log is long, since a read transaction stays open: end it", "file", w.path, "size", fmt.Sprint(left>>20, " MiB"))
	}
	return nil
}
