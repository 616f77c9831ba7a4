package main

import (
	"context"
	"time"
)

// pick returns a running process of a role, or none.
func (d *director) pick(role string) *process {
	var running []*process
	for _, p := range d.processes {
		if p.Role == role && p.state == isRunning {
			running = append(running, p)
		}
	}
	if len(running) == 0 {
		return nil
	}
	return running[d.random.IntN(len(running))]
}

// on is a blow at a running process of a role.
func on(name string, weight int, role string, do func(*director, *process)) blow {
	return blow{name, weight, func(d *director) error {
		if p := d.pick(role); p != nil {
			do(d, p)
		}
		return nil
	}}
}

func kill(d *director, p *process)    { d.kill(p) }
func dismiss(d *director, p *process) { d.dismiss(p) }

// holdUp stops a process for longer than its lease: often so little longer that it finds
// others at work on what it had.
func holdUp(d *director, p *process) {
	longer := d.lease / 4
	if d.random.IntN(3) == 0 {
		longer = d.lease
	}
	d.holdUp(p, d.lease+margin+time.Duration(d.random.Int64N(int64(longer))))
}

var (
	killWorker      = on("kill worker", 8, "worker", kill)
	killPublisher   = on("kill publisher", 4, "publisher", kill)
	holdUpWorker    = on("hold up worker", 8, "worker", holdUp)
	holdUpPublisher = on("hold up publisher", 2, "publisher", holdUp)
	rollWorker      = on("restart worker", 4, "worker", dismiss)
	rollPublisher   = on("restart publisher", 2, "publisher", dismiss)
	killRelay       = on("kill relay", 1, "relay", kill)
)

// onServer are the blows at what holds the database.
var onServer = []blow{
	{"kill server", 1, func(d *director) error {
		if d.away.IsZero() {
			d.away = time.Now().Add(time.Duration(d.random.Int64N(int64(d.lease))))
			d.ledger.write(entry{Kind: isOutage})
			return d.server.kill()
		}
		return nil
	}},
	{"cut connections", 3, func(d *director) error {
		if d.away.IsZero() {
			_ = d.server.cut(context.Background()) // it may be hard to reach
		}
		return nil
	}},
}
