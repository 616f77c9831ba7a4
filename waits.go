package events

import (
	"slices"
	"sync"
)

// waits guards the waitsFor of all workers. Publishers take it only when they
// have to wait for a queue. It is one for all buses, since handlers may
// forward from one to another.
var waits sync.Mutex

// waitFor notes that the handler at work waits for room in the queue of
// holder, and reports false if that waits for the handler itself.
func (w *worker) waitFor(holder *Subscription) bool {
	waits.Lock()
	defer waits.Unlock()
	w.waitsFor = append(w.waitsFor, holder)
	return !isStuck(holder)
}

// waitNoMore undoes one waitFor.
func (w *worker) waitNoMore(holder *Subscription) {
	waits.Lock()
	defer waits.Unlock()
	w.removeLocked(holder)
}

func (w *worker) removeLocked(holder *Subscription) {
	if i := slices.Index(w.waitsFor, holder); i >= 0 {
		w.waitsFor = slices.Delete(w.waitsFor, i, i+1)
	}
}

// isStuck reports whether the handler waits for itself by now.
func (w *worker) isStuck(holder *Subscription) bool {
	waits.Lock()
	defer waits.Unlock()
	return isStuck(holder)
}

// isStuck reports whether no worker of the queue will ever make room: it
// supposes this of every queue that is waited for, and takes it back from
// those that have a worker which waits for none of them, until that changes
// nothing more.
func isStuck(holder *Subscription) bool {
	stuck := map[*Subscription]bool{}
	var collect func(s *Subscription)
	collect = func(s *Subscription) {
		if stuck[s] {
			return
		}
		stuck[s] = true
		for _, w := range s.more.queue.workers() {
			for _, next := range w.waitsFor {
				collect(next)
			}
		}
	}
	collect(holder)
	for changed := true; changed; {
		changed = false
		for s := range stuck {
			if s.mayMakeRoom(stuck) {
				delete(stuck, s)
				changed = true
			}
		}
	}
	return stuck[holder]
}

// mayMakeRoom reports whether the queue has room, or some worker of it waits
// for none of the stuck ones.
func (s *Subscription) mayMakeRoom(stuck map[*Subscription]bool) bool {
	for _, w := range s.more.queue.workers() {
		waits := slices.ContainsFunc(w.waitsFor, func(next *Subscription) bool { return stuck[next] })
		if waits || s.more.queue.idles(w) {
			continue
		}
		return true
	}
	// A worker may have made room since it was asked.
	return s.more.queue.position().HasRoom()
}
