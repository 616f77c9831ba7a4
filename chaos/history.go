package main

import (
	"cmp"
	"slices"
)

// history is what the ledgers of a run tell, put together.
type history struct {
	events     map[identity]*event
	runs       map[string][]*run // of handlers, by group
	dead       map[string]map[identity]bool
	processes  map[string]*life
	complaints []entry
	outages    []int64 // when the server was killed
}

type identity struct {
	key    string
	number int
}

// event is one that a publisher has meant to publish. Without stored and undone
// nobody knows whether it was.
type event struct {
	identity
	fate           fate
	stored, undone bool
}

// run is a run of a handler.
type run struct {
	identity
	group, process string
	begin, end     int64
	claimed        int64
	outcome        string // empty if the process ended before
}

// life is what has happened to a process.
type life struct {
	slain, gone int64
	how         string // it went
	pauses      []pause
}

type pause struct{ from, to int64 } // to is endless for one that was killed in it

const endless = 1<<63 - 1

func newHistory(entries []entry) *history {
	h := &history{
		events: make(map[identity]*event), runs: make(map[string][]*run),
		dead: make(map[string]map[identity]bool), processes: make(map[string]*life),
	}
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.At, b.At) })
	type begun struct {
		identity
		group, process string
		at             int64
	}
	open := make(map[begun]*run)
	for _, e := range entries {
		id := identity{e.Key, e.Number}
		switch e.Kind {
		case isIntended:
			h.event(id).fate = fate(e.Note)
		case isStored:
			h.event(id).stored = true
		case isUndone:
			h.event(id).undone = true
		case isBegun:
			r := &run{identity: id, group: e.Group, process: e.Process, begin: e.At, end: endless, claimed: e.Since}
			h.runs[e.Group] = append(h.runs[e.Group], r)
			open[begun{id, e.Group, e.Process, e.At}] = r
		case isEnded:
			if r := open[begun{id, e.Group, e.Process, e.Since}]; r != nil {
				r.end, r.outcome = e.At, e.Note
			}
		case isDead:
			if h.dead[e.Group] == nil {
				h.dead[e.Group] = make(map[identity]bool)
			}
			h.dead[e.Group][id] = true
		case isOutage:
			h.outages = append(h.outages, e.At)
		case isComplaint:
			h.complaints = append(h.complaints, e)
		default:
			h.life(e.Process).note(e)
		}
	}
	h.endKilled()
	return h
}

func (h *history) event(id identity) *event {
	one := h.events[id]
	if one == nil {
		one = &event{identity: id}
		h.events[id] = one
	}
	return one
}

func (h *history) life(process string) *life {
	one := h.processes[process]
	if one == nil {
		one = &life{slain: endless, gone: endless}
		h.processes[process] = one
	}
	return one
}

func (l *life) note(e entry) {
	switch e.Kind {
	case isSlain:
		l.slain = e.At
	case isGone:
		l.gone, l.how = e.At, e.Note
	case isStopped:
		l.pauses = append(l.pauses, pause{e.At, endless})
	case isResumed:
		if n := len(l.pauses); n > 0 {
			l.pauses[n-1].to = e.At
		}
	}
}

// endKilled ends the runs whose process has ended before them: with it.
func (h *history) endKilled() {
	for _, runs := range h.runs {
		for _, r := range runs {
			if r.end == endless {
				l := h.life(r.process)
				r.end = min(l.slain, l.gone)
			}
		}
	}
}

// succeeded returns when handlers of a group have first handled its events, and how
// often.
func (h *history) succeeded(group string) (first map[identity]int64, times map[identity]int) {
	first, times = make(map[identity]int64), make(map[identity]int)
	for _, r := range h.runs[group] {
		if r.outcome != outcomeOK {
			continue
		}
		if at, ok := first[r.identity]; !ok || r.end < at {
			first[r.identity] = r.end
		}
		times[r.identity]++
	}
	return first, times
}

// byKey returns the events of each key in the order of their numbers.
func (h *history) byKey() map[string][]*event {
	keys := make(map[string][]*event)
	for _, one := range h.events {
		keys[one.key] = append(keys[one.key], one)
	}
	for _, events := range keys {
		slices.SortFunc(events, func(a, b *event) int { return cmp.Compare(a.number, b.number) })
	}
	return keys
}

// killings returns how many runs of handlers have killed their process.
func (h *history) killings() (n int) {
	for _, runs := range h.runs {
		for _, r := range runs {
			if h.event(r.identity).fate == isKiller {
				n++
			}
		}
	}
	return n
}
