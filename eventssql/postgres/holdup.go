package postgres

import (
	"context"
	"fmt"
	"time"
)

// HeldUp says for how long events have been waiting for a transaction that had published
// before them and is open still, and in words whose that is. Nothing is held up if held
// is 0. What waits is in the lag of its groups. After five seconds it is logged, too.
func (s *Store) HeldUp(ctx context.Context) (held time.Duration, holder string, err error) {
	if held = s.horizon.waiting(); held == 0 {
		return 0, "", nil
	}
	if err := s.enter(); err != nil {
		return 0, "", err
	}
	defer s.working.Done()
	holder, err = s.holder(ctx)
	return held, holder, err
}

// waiting returns for how long the oldest epoch has been waiting, and 0 if none is.
func (h *horizon) waiting() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.epochs) == 0 {
		return 0
	}
	return time.Since(h.epochs[0].since)
}

// holdup is how long a transaction may hold events up before that is logged.
const holdup = 5 * time.Second

// isToWarn reports whether to log that events are held up: every ten seconds.
func (h *horizon) isToWarn() (held time.Duration, warn bool) {
	held = h.waiting()
	h.mu.Lock()
	defer h.mu.Unlock()
	if held < holdup || time.Since(h.warned) < 2*holdup {
		return held, false
	}
	h.warned = time.Now()
	return held, true
}

// holder says in words who has had messages locked for the longest time.
func (s *Store) holder(ctx context.Context) (string, error) {
	var text *string
	err := s.pool.QueryRow(ctx, s.dialect.SQL(`select coalesce(
			(select format('prepared transaction %s of %s, since %s', p.gid, p.owner, p.prepared) from pg_prepared_xacts p
				where p.transaction in (select x.transactionid from pg_locks x where x.locktype = 'transactionid' and x.virtualtransaction in (
					select l.virtualtransaction from pg_locks l where l.pid is null and `+writesMessages+`)) order by p.prepared limit 1),
			(select format('process %s of %s (application %s), in a transaction since %s', a.pid, a.usename, a.application_name, a.xact_start) from pg_stat_activity a
				where a.pid in (select l.pid from pg_locks l where `+writesMessages+`) order by a.xact_start limit 1))`),
		s.dialect.SQL("@message")).Scan(&text)
	if err != nil || text == nil {
		return "", err
	}
	return *text, nil
}

func (s *Store) warnOfHoldup(ctx context.Context) {
	held, warn := s.horizon.isToWarn()
	if !warn {
		return
	}
	holder, err := s.holder(ctx)
	if err != nil || holder == "" {
		holder = fmt.Sprintf("unknown (%v)", err)
	}
	s.engine.Logger.Warn("postgres: a transaction that has published and is still open holds up the events behind it", "for", held.Round(time.Millisecond), "holder", holder)
}
