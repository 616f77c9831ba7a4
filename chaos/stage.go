package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// stage is what a scenario plays on: a database of its own, and a folder for the ledgers
// and logs of its processes.
type stage struct {
	engine   *engine
	server   server // or nil
	address  string
	folder   string
	program  string        // whose processes the crew is
	duration time.Duration // of the blows
	saying   time.Duration // from one line about the progress to the next
	quick    bool
	keep     bool // the folder, whatever is found
	hasty    bool // the scenario may end as soon as it has found something
	killers  bool // some processes kill themselves
	random   *rand.Rand
	out      io.Writer
}

// result is what a scenario has found.
type result struct {
	tallies    []tally
	violations []violation
	complaints int            // of processes, about the database
	killings   int            // of processes by an event
	blows      map[string]int // that have fallen, by their name
}

// play runs a scenario on a stage of its own. The folder is kept if something was found.
func play(ctx context.Context, sc *scenario, s stage) (r result, err error) {
	if s.folder, err = os.MkdirTemp("", "chaos-"+s.engine.name+"-"+sc.name+"-"); err != nil {
		return r, err
	}
	if s.address, s.server, err = s.engine.start(ctx, s.folder); err != nil {
		return r, errors.Join(err, os.RemoveAll(s.folder))
	}
	r, err = sc.run(ctx, &s)
	if s.server != nil {
		err = errors.Join(err, s.server.stop())
	}
	if !s.keep && err == nil && (len(r.violations) == 0 || s.hasty) {
		return r, os.RemoveAll(s.folder)
	}
	fmt.Fprintf(s.out, "  the ledgers and logs are kept in %s\n", s.folder)
	return r, err
}
