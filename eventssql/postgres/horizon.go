package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// horizon is the id up to which no message will come any more. Ids are taken before
// transactions commit, so that a lower one may come to be seen after a higher one: a
// cursor that went by ids alone would pass it, and it would be lost.
//
// Whoever takes an id has the table locked for writing until its transaction is over, and
// those locks can be seen. So, of the last id taken: when all are gone who had a lock
// after it was taken, everything up to it has been committed or never will be. The
// order of the two looks decides, and that a third, at the messages, comes later still.
type horizon struct {
	looking sync.Mutex // held while the server is asked

	mu     sync.Mutex // guards all below
	server int64      // when it was started: another one knows nothing of the rest
	last   int64      // id that was taken
	final  int64
	epochs []epoch // that wait, in the order of their ids
	resets int     // how often all of that was forgotten
	back   error   // the sequence was set back
	warned time.Time
}

// epoch is an id that waits for transactions.
type epoch struct {
	last    int64
	since   time.Time
	holders map[string]bool
}

// mostEpochs bounds what is kept. When there are as many, the next one has to wait.
const mostEpochs = 16

// sight is what one look at the server has shown.
type sight struct {
	server   int64
	last     int64
	holders  map[string]bool // by virtual transaction, of which none comes twice
	prepared int             // transactions that have left their session
}

// look asks the server by a connection, and returns an error if it cannot be told what is
// final. Whoever waits to look has a connection already: so no one waits for one while
// others wait for him.
func (h *horizon) look(ctx context.Context, s *Store, conn *pgx.Conn) error {
	h.looking.Lock()
	defer h.looking.Unlock()
	seen, err := s.observe(ctx, conn)
	if err != nil {
		return err
	}
	h.mu.Lock()
	anew := h.isAnew(seen, conn)
	h.mu.Unlock()
	most := int64(0)
	if anew {
		// What was known may be of another server, or from before a crash: ids can be
		// lower than they were. They must not be lower than what is stored.
		if err := conn.QueryRow(ctx, s.dialect.SQL("select greatest("+mostStored+")")).Scan(&most); err != nil {
			return err
		}
		if seen, err = s.observe(ctx, conn); err != nil { // once more: ids were taken meanwhile
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if anew {
		h.reset()
		h.server = seen.server
		conn.PgConn().CustomData()[lookedBy] = true
		if h.back = nil; seen.last < most {
			h.back, h.last = s.settings.setBack(seen.last, most), most
		}
	}
	h.conclude(seen, time.Now())
	if seen.last >= h.last {
		h.back = nil
	}
	return h.back
}

// lookedBy is the name by which a connection knows that it was looked by before.
const lookedBy = "events.looked"

func hasLooked(conn *pgx.Conn) bool {
	_, looked := conn.PgConn().CustomData()[lookedBy]
	return looked
}

// isAnew reports whether what is known must be forgotten: with the first look by a
// connection, since those of before may have ended in a crash, by another server, and when
// ids are lower than they were.
func (h *horizon) isAnew(seen sight, conn *pgx.Conn) bool {
	return !hasLooked(conn) || h.server != seen.server || h.back == nil && seen.last < h.last
}

// reset forgets what is known.
func (h *horizon) reset() { h.server, h.last, h.final, h.epochs, h.resets = 0, 0, 0, nil, h.resets+1 }

// observe takes the two parts of a look, in their order.
func (s *Store) observe(ctx context.Context, conn *pgx.Conn) (sight, error) {
	seen := sight{holders: make(map[string]bool)}
	var batch pgx.Batch
	batch.Queue(s.dialect.SQL("select case when is_called then last_value else 0 end, " + serverStart + " from @message_id")).
		QueryRow(func(row pgx.Row) error { return row.Scan(&seen.last, &seen.server) })
	batch.Queue(s.dialect.SQL("select virtualtransaction, pid is null from pg_locks where "+writesMessages), s.dialect.SQL("@message")).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var transaction string
				var prepared bool
				if err := rows.Scan(&transaction, &prepared); err != nil {
					return err
				}
				if seen.holders[transaction] = true; prepared {
					seen.prepared++
				}
			}
			return rows.Err()
		})
	return seen, conn.SendBatch(ctx, &batch).Close()
}

// look looks by a connection of the pool.
func (s *Store) look(ctx context.Context) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return s.horizon.look(ctx, s, conn.Conn())
}

// state is what the horizon is at, for who wants to know whether it has moved.
func (h *horizon) state() (final, last int64, resets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.final, h.last, h.resets
}

// serverStart is what tells one run of a server from another.
const serverStart = "(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint"

// writesMessages is a condition for a lock that is held by whoever has written messages.
const writesMessages = `locktype = 'relation' and mode = 'RowExclusiveLock' and granted
	and database = (select oid from pg_database where datname = current_database()) and relation = $1::text::regclass`

// conclude draws the conclusions from a look.
func (h *horizon) conclude(seen sight, now time.Time) {
	if h.server != seen.server {
		h.reset()
		h.server = seen.server
	}
	h.last = max(h.last, seen.last)
	// A transaction that is prepared gets another name, so that it looks as if it were
	// gone. While there are any, nothing becomes final.
	for len(h.epochs) > 0 && seen.prepared == 0 && h.epochs[0].isOver(seen.holders) {
		h.final = h.epochs[0].last
		h.epochs = h.epochs[1:]
	}
	switch {
	case seen.last <= h.final:
	case len(seen.holders) == 0:
		h.final, h.epochs = seen.last, nil
	case len(h.epochs) < mostEpochs && (len(h.epochs) == 0 || h.epochs[len(h.epochs)-1].last < seen.last):
		h.epochs = append(h.epochs, epoch{seen.last, now, seen.holders})
	}
}

// isOver reports whether none is left of those that an epoch waits for.
func (e *epoch) isOver(holders map[string]bool) bool {
	for holder := range e.holders {
		if holders[holder] {
			return false
		}
	}
	return true
}

// place returns up to where messages are final on a server.
func (h *horizon) place() (final, server int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.final, h.server, h.back
}

// guard returns the id that none must be taken below.
func (h *horizon) guard() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.back != nil {
		return h.last
	}
	return h.final
}
