package durable

import (
	"context"
	"time"
)

// patience is how long to wait for an engine that fails: ever longer.
type patience struct {
	tries  int
	warned time.Time
}

const (
	leastPatience = 50 * time.Millisecond
	mostPatience  = 5 * time.Second
	warnEvery     = 10 * time.Second
)

// wait reports false if ctx is done first.
func (p *patience) wait(ctx context.Context) bool {
	pause := min(mostPatience, leastPatience<<min(p.tries, 10))
	p.tries++
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isToWarn reports whether it is time to say that the engine fails.
func (p *patience) isToWarn() bool {
	if time.Since(p.warned) < warnEvery {
		return false
	}
	p.warned = time.Now()
	return true
}
