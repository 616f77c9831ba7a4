package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/typedbus/events/durable"
)

// scenario is something that a system with durable events has to survive.
type scenario struct {
	name  string
	about string
	run   func(context.Context, *stage) (result, error)
	only  func(*engine) bool // what it is for, or nil

	directed bool // it plays in one process
}

// scenarios are all of them, the short ones first.
var scenarios = []*scenario{
	{"killer", "an event kills each process that handles it, and 100 others are in its hands", killer, ordered, false},
	{"close-over", "Close is called with a context that is over", closeOver, nil, true},
	{"conflict", "two processes disagree on the order of a group", conflict, ordered, true},
	{"forward-away", "the destination of Forward is away for long", forwardAway, nil, true},
	{"rolling", "workers and publishers are restarted by SIGTERM, and nothing is handled twice", rolling, nil, false},
	{"careless", "the same, and Close gets the context of the signal", careless, nil, false},
	{"open", "transactions that publish stay open for three leases", open, ordered, false},
	{"held-up", "workers are stopped for longer than their lease, and find others at work on what they had", heldUp, nil, false},
	{"first", "groups are made while the first transactions of all are open", first, postgresAlone, true},
	{"prepared", "a transaction is prepared, and the server is killed before it is committed", prepared, postgresAlone, true},
	{"set-back", "the sequence of ids is set back, and mended", setBack, postgresAlone, true},
	{"pool-busy", "handlers have all connections of the pool for longer than their lease", poolBusy, postgresAlone, true},
	{"stalled", "a connection stalls without being closed", stalled, postgresAlone, false},
	{"window", "an event is sent again when the broker has forgotten its id, and its effect is single", window, func(e *engine) bool { return e == onJetStream }, true},
	{"outbox", "relays from a database to the broker are killed, and nothing is handled twice", outbox, func(e *engine) bool { return e.broker }, false},
	{"mixed", "publishers and workers are killed, held up and restarted", mixed, nil, false},
}

// ordered is what keeps the order of keys: a database.
func ordered(e *engine) bool { return !e.broker }

func postgresAlone(e *engine) bool { return e == onPostgres }

// For how long blows fall in a short scenario.
const (
	shortTime      = 10 * time.Second
	shortQuickTime = 3 * time.Second
)

func (s *stage) short() *stage {
	switch {
	case s.hasty: // until something is found
	case s.quick:
		s.duration = shortQuickTime
	default:
		s.duration = shortTime
	}
	return s
}

// lease is short, so that there is much to see in a minute.
const lease = time.Second

func (s *stage) publisher() job {
	return job{Role: "publisher", Lease: lease, Pause: 80 * time.Millisecond, Hold: s.engine.longest}
}

func (s *stage) worker() job {
	j := job{Role: "worker", Lease: lease, Prefetch: 16, Attempts: 10, Length: 10 * time.Millisecond, Long: lease * 3 / 2}
	if s.engine.broker {
		j.Attempts *= 4 // whatever ends a process counts for all that it had
	}
	return j
}

func mixed(ctx context.Context, s *stage) (result, error) {
	c := campaign{
		lease: lease, every: 400 * time.Millisecond,
		jobs:  []job{s.worker(), s.worker(), s.worker(), s.publisher(), s.publisher(), s.publisher()},
		blows: []blow{killWorker, killPublisher, holdUpWorker, holdUpPublisher, rollWorker, rollPublisher},
	}
	if s.server != nil {
		c.blows = append(c.blows, onServer...)
		for i := range c.jobs {
			c.jobs[i].Pause *= 2 // what is handled while the server is away has to be caught up with
		}
	}
	return c.conduct(ctx, s)
}

// heldUp has workers stopped while they are at work on something that takes long, and go on
// when others are at work on it.
func heldUp(ctx context.Context, s *stage) (result, error) {
	w, p := s.worker(), s.publisher()
	w.Prefetch, w.Length, p.Pause = 4, lease/4, lease
	c := campaign{
		lease: lease, every: 400 * time.Millisecond, blows: []blow{holdUpWorker},
		jobs: []job{w, w, w, p},
	}
	return c.conduct(ctx, s.short())
}

// rolling has workers and publishers restarted as a deployment does.
func rolling(ctx context.Context, s *stage) (result, error) {
	w := s.worker()
	w.Lease, w.Long = 10*lease, lease // only a restart is to be seen
	return s.restarts(w, true).conduct(ctx, s.short())
}

// careless is the same with workers whose Close gets the context that the signal has ended,
// so that handlers are cut short.
func careless(ctx context.Context, s *stage) (result, error) {
	w := s.worker()
	w.Lease, w.Length, w.Long, w.Careless = 10*lease, 200*time.Millisecond, lease, true
	return s.restarts(w, false).conduct(ctx, s.short())
}

func (s *stage) restarts(w job, gentle bool) campaign {
	p := s.publisher()
	p.Pause *= 3
	return campaign{
		lease: w.Lease, every: 200 * time.Millisecond, gentle: gentle, blows: []blow{rollWorker, rollPublisher},
		jobs: []job{w, w, w, p, p},
	}
}

// open has a transaction of a publisher's open for three leases, again and again.
func open(ctx context.Context, s *stage) (result, error) {
	w, p := s.worker(), s.publisher()
	w.Lease = lease / 2
	p.Lease, p.Hold = w.Lease, 3*w.Lease
	stubborn := p
	stubborn.Stubborn = true
	c := campaign{lease: w.Lease, jobs: []job{w, w, stubborn, p}}
	return c.conduct(ctx, s.short())
}

// outbox has events published to a database and forwarded to the broker, by relays that are
// killed all the time: between the two they send again what is there already, and the
// broker knows it by its id.
func outbox(ctx context.Context, s *stage) (r result, err error) {
	path := filepath.Join(s.folder, "outbox.db")
	source, err := openSQLite(ctx, path)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, source.shut(ctx)) }()
	if err := durable.Declare(ctx, source, topic.Name(), relayGroup, durable.WithOrderByKey()); err != nil {
		return r, err
	}
	w, p := s.worker(), s.publisher()
	w.Lease, w.Long = 10*lease, lease // only a relay's end is to be seen
	p.Engine, p.Address, p.Hold, p.Pause = onSQLite.name, path, onSQLite.longest, 2*p.Pause
	relay := job{Role: "relay", Outbox: path}
	c := campaign{
		lease: w.Lease, every: 100 * time.Millisecond, gentle: true, outbox: source,
		jobs: []job{w, w, relay, relay, p, p}, blows: []blow{killRelay},
	}
	return c.conduct(ctx, s.short())
}

// killer has an event among many that kills whoever handles it. Which one it was can only
// be found out by handing out alone what such a process had.
func killer(ctx context.Context, s *stage) (result, error) {
	const attempts, innocents = 3, 150
	s.killers, s.duration = true, 0
	w := s.worker()
	w.Lease, w.Prefetch, w.Attempts, w.Groups = lease/2, 100, attempts, []string{"failing"}
	c := campaign{
		lease: w.Lease, jobs: []job{w, w}, groups: groups[2:],
		prepare: func(ctx context.Context, d *director) error {
			var publishing []Event
			var stored []entry
			for i := range innocents {
				e := Event{Key: "innocent", Number: i + 1, Fate: isPlain}
				if i == innocents/4 {
					e.Key, e.Fate = "killer", isKiller
				}
				d.ledger.write(entry{Kind: isIntended, Key: e.Key, Number: e.Number, Note: string(e.Fate)})
				publishing = append(publishing, e)
				stored = append(stored, entry{Kind: isStored, Key: e.Key, Number: e.Number})
			}
			err := durable.PublishBatch(ctx, d.store, topic, publishing)
			if err == nil {
				d.ledger.write(stored...)
			}
			return err
		},
	}
	r, err := c.conduct(ctx, s)
	if runs := r.killings; runs > attempts+1 {
		r.violations = append(r.violations, violation{checkGivenUp, "failing", fmt.Sprintf("an event has killed %d processes, of %d allowed and the first one", runs, attempts)})
	}
	return r, err
}
