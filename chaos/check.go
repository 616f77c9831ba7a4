package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// violation is something that must not have happened.
type violation struct{ check, group, text string }

// The checks.
const (
	checkLost      = "lost"      // stored, and neither handled nor a dead letter
	checkStuck     = "stuck"     // the engine still has it after the end
	checkInvented  = "invented"  // handled, and rolled back or never published
	checkDoubled   = "doubled"   // handled twice, where no process was killed or held up
	checkOrder     = "order"     // begun before an earlier one of its key was handled
	checkOverlap   = "overlap"   // begun while it, or another one of its key, was being handled
	checkStale     = "stale"     // begun by a process whose lease had run out
	checkGivenUp   = "given up"  // a dead letter that was not to be one
	checkCrash     = "crash"     // a process has ended by itself
	checkHang      = "hang"      // a process did not end when it was asked to
	checkComplaint = "complaint" // a process was told of an error, where there is no reason for one
)

// tally is what has become of the events in a group.
type tally struct {
	group                                         string
	stored, handled, runs, doubled, dead, missing int
}

// rules are what a run is held against.
type rules struct {
	lease  time.Duration
	groups []group
	over   bool // everything has been handled that will be
	gentle bool // no process was killed or held up
	forget bool // a server that is killed forgets who has what
}

// check holds a history against the rules.
func check(h *history, by rules) (tallies []tally, violations []violation) {
	keys := h.byKey()
	for _, g := range by.groups {
		c := &checking{history: h, rules: by, group: g}
		c.first, c.times = h.succeeded(g.name)
		c.tally = tally{group: g.name, runs: len(h.runs[g.name])}
		c.handled()
		c.ended()
		c.stale()
		c.overlap()
		if g.ordered {
			c.order(keys)
		}
		tallies = append(tallies, c.tally)
		violations = append(violations, c.violations...)
	}
	return tallies, append(violations, h.ways(by)...)
}

// ways checks how processes ended, and what they complained of.
func (h *history) ways(by rules) (violations []violation) {
	for name, l := range h.processes {
		switch l.how {
		case "crashed":
			violations = append(violations, violation{checkCrash, "", "process " + name + " has ended by itself: see its log"})
		case "hung":
			violations = append(violations, violation{checkHang, "", "process " + name + " did not end when it was asked to: see its log"})
		}
	}
	if by.gentle {
		for _, e := range h.complaints {
			violations = append(violations, violation{checkComplaint, e.Group, "process " + e.Process + ": " + e.Note})
		}
	}
	return violations
}

// checking is the check of one group.
type checking struct {
	*history
	rules
	group      group
	first      map[identity]int64
	times      map[identity]int
	tally      tally
	violations []violation
}

func (c *checking) found(check string, id identity, format string, arguments ...any) {
	text := fmt.Sprintf("%s %d: ", id.key, id.number) + fmt.Sprintf(format, arguments...)
	c.violations = append(c.violations, violation{check, c.group.name, text})
}

// handled checks what was handled.
func (c *checking) handled() {
	for id, times := range c.times {
		c.tally.handled++
		if times > 1 {
			c.tally.doubled++
			if c.gentle {
				c.found(checkDoubled, id, "handled %d times", times)
			}
		}
	}
	told := make(map[identity]bool)
	for _, r := range c.runs[c.group.name] {
		one := c.events[r.identity]
		switch {
		case told[r.identity]:
			continue
		case one == nil || one.fate == "":
			c.found(checkInvented, r.identity, "handled by %s, and never published", r.process)
		case one.undone:
			c.found(checkInvented, r.identity, "handled by %s, and rolled back", r.process)
		}
		told[r.identity] = true
	}
}

// ended checks that what was stored was handled or given up, and only the right ones
// were given up.
func (c *checking) ended() {
	dead := c.dead[c.group.name]
	for _, one := range c.events {
		if !one.stored {
			continue
		}
		c.tally.stored++
		_, handled := c.first[one.identity]
		if c.over && !handled && !dead[one.identity] {
			c.tally.missing++
			c.found(checkLost, one.identity, "stored, and neither handled nor a dead letter")
		}
	}
	for id := range dead {
		c.tally.dead++
		switch one := c.events[id]; {
		case one == nil || one.undone:
			c.found(checkInvented, id, "a dead letter, and never published")
		case !c.group.fateful || !one.fate.isDoomed():
			c.found(checkGivenUp, id, "a dead letter, and not to be one")
		}
	}
}

// margin is how much longer than its lease a process must have been held up for its
// lease to be over beyond doubt.
const margin = 100 * time.Millisecond

// stale checks that a process which was held up for longer than its lease began with
// nothing that it had before. A handler that was just about to begin when its process was
// held up cannot be told from that, but finds its context over.
func (c *checking) stale() {
	for _, r := range c.runs[c.group.name] {
		if r.outcome == outcomeVoid {
			continue
		}
		for _, p := range c.life(r.process).pauses {
			if r.claimed < p.from && p.to < r.begin && p.to-p.from > int64(c.lease+margin) {
				c.found(checkStale, r.identity, "begun by %s at %d, which was held up from %d to %d, for longer than its lease", r.process, r.begin, p.from, p.to)
				break
			}
		}
	}
}

// order checks that no event was begun before all earlier ones of its key were handled.
// Those that are to be given up let others go on, and those with a delay have no place.
func (c *checking) order(keys map[string][]*event) {
	begun := make(map[identity]int64)
	for _, r := range c.runs[c.group.name] {
		if at, ok := begun[r.identity]; r.outcome != outcomeVoid && (!ok || r.begin < at) {
			begun[r.identity] = r.begin
		}
	}
	for _, events := range keys {
		var latest int64
		var before identity
		for _, one := range events {
			if one.fate == isDelayed || one.fate.isDoomed() {
				continue
			}
			if at, ok := begun[one.identity]; ok && at < latest {
				c.found(checkOrder, one.identity, "begun at %d, before number %d was handled at %d", at, before.number, latest)
			}
			if at := c.first[one.identity]; at > latest {
				latest, before = at, one.identity
			}
		}
	}
}

// overlap checks that no event was handled by two at the same time, and with order no two
// of a key.
func (c *checking) overlap() {
	keys := make(map[identity][]*run)
	for _, r := range c.runs[c.group.name] {
		alone := r.identity
		if c.group.ordered {
			alone.number = 0
		}
		keys[alone] = append(keys[alone], r)
	}
	for _, runs := range keys {
		slices.SortFunc(runs, func(a, b *run) int { return cmp.Compare(a.begin, b.begin) })
		var latest *run // to end, of those before
		var until int64
		for _, r := range runs {
			if r.outcome == outcomeVoid {
				continue
			}
			if latest != nil && r.begin < until {
				c.found(checkOverlap, r.identity, "begun by %s at %d, while %s was at number %d from %d to %d", r.process, r.begin, latest.process, latest.number, latest.begin, until)
			}
			if end := c.heldUntil(r); end > until {
				latest, until = r, end
			}
		}
	}
}

// heldUntil returns until when a run was to be alone with its key: to its end, but not
// after its process was held up for longer than its lease. One that has lost its lease
// for another reason may learn of it a moment after others.
// A server that forgets who has what hands it out again when it is back.
func (c *checking) heldUntil(r *run) int64 {
	if c.forget {
		for _, at := range c.outages {
			if at > r.begin && at < r.end {
				return at
			}
		}
	}
	if r.outcome != outcomeLost && r.outcome != "" {
		return r.end
	}
	for _, p := range c.life(r.process).pauses {
		if p.from > r.begin && p.from < r.end && p.to-p.from > int64(c.lease) {
			return p.from
		}
	}
	if r.outcome == outcomeLost {
		return r.end - int64(c.lease/2)
	}
	return r.end
}
