package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/typedbus/events/durable"
)

// campaign is a run with publishers and workers, and what is done to them.
type campaign struct {
	lease   time.Duration
	jobs    []job
	groups  []group // or all of them
	prepare func(context.Context, *director) error
	blows   []blow
	every   time.Duration // how long it is from one blow to the next, on the average
	gentle  bool          // no blow kills or holds up a worker, so nothing is handled twice
	outbox  store         // from which relays forward, or nil
}

// blow is something that is done to the crew, more often than others by its weight.
type blow struct {
	name   string
	weight int
	strike func(*director) error
}

// director conducts a campaign.
type director struct {
	campaign
	*crew
	library *library
	store   store
	counts  map[string]int // of blows
	next    time.Time      // the next blow
	away    time.Time      // until when the server is, if it is
}

// conduct runs a campaign and holds the ledgers against its rules.
func (c campaign) conduct(ctx context.Context, s *stage) (result, error) {
	if c.groups == nil {
		c.groups = s.engine.groups()
	}
	l, err := openLedger(s.folder, "director")
	if err != nil {
		return result{}, err
	}
	d := &director{campaign: c, crew: &crew{stage: s, ledger: l}, library: newLibrary(s.folder), counts: make(map[string]int)}
	defer d.killAll()
	if d.store, err = s.engine.open(ctx, s.address); err != nil {
		return result{}, err
	}
	err = d.run(ctx)
	found, failed := d.result(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return found, errors.Join(err, failed, d.store.shut(closing), l.close())
}

// headStart is how long workers look for events before there are any.
const headStart = 500 * time.Millisecond

func (d *director) run(ctx context.Context) error {
	for _, g := range d.groups {
		var options []durable.GroupOption
		if g.ordered {
			options = append(options, durable.WithOrderByKey())
		}
		if err := durable.Declare(ctx, d.store, topic.Name(), g.name, options...); err != nil {
			return err
		}
	}
	if d.prepare != nil {
		if err := d.prepare(ctx, d); err != nil {
			return err
		}
	}
	for _, role := range []string{"worker", "relay", "publisher"} {
		for _, j := range d.jobs {
			if j.Role != role {
				continue
			}
			if err := d.add(j); err != nil {
				return err
			}
		}
		for end := time.Now().Add(headStart); time.Now().Before(end); {
			if err := d.pass(ctx); err != nil {
				return err
			}
		}
	}
	if found, err := d.storm(ctx); err != nil || found {
		return err
	}
	if err := d.mend(ctx); err != nil {
		return err
	}
	d.end("publisher")
	if err := d.drain(ctx); err != nil {
		return err
	}
	d.end("relay")
	d.end("worker")
	return nil
}

// readMargin is how long it may take from the time of a line until it is in its file.
const readMargin = 500 * time.Millisecond

// storm has blows fall until the time is over, and reports whether the run is to end at
// once because something was found.
func (d *director) storm(ctx context.Context) (found bool, err error) {
	end := time.Now().Add(d.duration)
	said := time.Now()
	for time.Now().Before(end) {
		if err := d.pass(ctx); err != nil {
			return false, err
		}
		if err := d.strike(); err != nil {
			return false, err
		}
		if time.Since(said) < d.saying {
			continue
		}
		said = time.Now()
		asOf := now() - int64(readMargin)
		if err := d.say(ctx, "to go", time.Until(end)); err != nil {
			return false, err
		}
		if d.hasty {
			// Files are read one after the other: what was written just now may be there in part.
			settled := slices.DeleteFunc(slices.Clone(d.library.entries), func(e entry) bool { return e.At > asOf })
			if _, violations := check(newHistory(settled), d.rules(false)); len(violations) > 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

// pass lets a moment pass, and does what is due.
func (d *director) pass(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(10 * time.Millisecond):
	}
	if time.Now().After(d.away) {
		if err := d.mend(ctx); err != nil {
			return err
		}
	}
	return d.tend()
}

// mend starts the server if it is away.
func (d *director) mend(ctx context.Context) error {
	if d.away.IsZero() {
		return nil
	}
	d.away = time.Time{}
	return d.server.restart(ctx)
}

func (d *director) strike() error {
	if len(d.blows) == 0 || time.Now().Before(d.next) {
		return nil
	}
	d.next = time.Now().Add(time.Duration(d.random.Int64N(int64(2 * d.every))))
	total := 0
	for _, b := range d.blows {
		total += b.weight
	}
	chosen := d.random.IntN(total)
	for _, b := range d.blows {
		if chosen -= b.weight; chosen < 0 {
			d.counts[b.name]++
			return b.strike(d)
		}
	}
	return nil
}

// What is left is stuck when it has not become less for a while.
const (
	drainFor      = 30 * time.Second
	drainHastyFor = 8 * time.Second
)

// drain waits until all is handled, or no more of it.
func (d *director) drain(ctx context.Context) error {
	least, since, said, long := int64(-1), time.Now(), time.Now(), drainFor
	if d.hasty {
		long = drainHastyFor
	}
	for {
		if err := d.pass(ctx); err != nil {
			return err
		}
		lag, err := d.lag(ctx)
		switch {
		case err == nil && lag == 0:
			return nil
		case err == nil && (least < 0 || lag < least):
			least, since = lag, time.Now()
		case time.Since(since) > long:
			return nil
		}
		if time.Since(said) >= d.saying {
			said = time.Now()
			if err := d.say(ctx, "of waiting for the rest", time.Since(since)); err != nil {
				return err
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// lag returns how many events wait in all groups.
func (d *director) lag(ctx context.Context) (sum int64, err error) {
	for _, s := range []store{d.outbox, d.store} {
		if s == nil {
			continue
		}
		lags, err := s.lags(ctx)
		if err != nil {
			return 0, err
		}
		for _, lag := range lags {
			sum += lag
		}
	}
	return sum, nil
}

// say prints how far the run has come.
func (d *director) say(ctx context.Context, what string, t time.Duration) error {
	if err := d.library.update(); err != nil {
		return err
	}
	counts := make(map[kind]int)
	for _, e := range d.library.entries {
		counts[e.Kind]++
	}
	waiting := "?"
	if lag, err := d.lag(ctx); err == nil {
		waiting = fmt.Sprint(lag)
	}
	fmt.Fprintf(d.out, "  %-5v %s: %d stored, %d rolled back, %d runs of handlers, %s waiting\n",
		t.Round(time.Second), what, counts[isStored], counts[isUndone], counts[isBegun], waiting)
	return nil
}
