package events

import (
	"sync"
	"sync/atomic"

	"github.com/typedbus/events/internal/pattern"
)

// patterns are the subscriptions to patterns.
type patterns struct {
	count atomic.Int64
	heard atomic.Pointer[heard] // nil after each change, until it is needed

	sync.RWMutex // guards tree; taken after bus.mu
	tree         patternTree
}

type patternTree = pattern.Tree[*Subscription]

// heard has plans of names that only patterns hear. Their number is fixed, so
// that names that come and go leave nothing behind.
type heard [256]atomic.Pointer[plan]

// hear returns the subscriptions whose pattern matches name.
func (p *patterns) hear(name string) (heard []*Subscription) {
	if p.count.Load() == 0 {
		return nil
	}
	p.RLock()
	defer p.RUnlock()
	p.tree.Match(name, func(s *Subscription) bool {
		heard = append(heard, s)
		return true
	})
	return heard
}

func (p *patterns) matches(name string) bool {
	if p.count.Load() == 0 {
		return false
	}
	p.RLock()
	defer p.RUnlock()
	return p.tree.Matches(name)
}

// change changes the tree, and so makes all plans stale. The generation moves on
// before and after: whoever misses a pattern that comes or leaves meanwhile finds
// it changed.
func (p *patterns) change(h *home, tree func()) {
	p.Lock()
	defer p.Unlock()
	h.generation.Add(1)
	tree()
	p.count.Store(int64(p.tree.Len()))
	p.heard.Store(nil)
	h.generation.Add(1)
}

// keep makes plans the ones of names without a route, unless the patterns have
// changed or there are others.
func (p *patterns) keep(plans *heard, h *home, generation uint64) {
	p.RLock()
	defer p.RUnlock()
	if h.generation.Load() == generation {
		p.heard.CompareAndSwap(nil, plans)
	}
}
