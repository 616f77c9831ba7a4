package events

import (
	"context"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/typedbus/events/internal/goid"
	"github.com/typedbus/events/internal/names"
	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/pool"
	"github.com/typedbus/events/internal/waitgraph"
)

// Bus is the subscriptions of one program, or of one test. All its methods may
// be called from any goroutine, handlers included. The zero Bus works, without
// options; a Bus must not be copied, and one that was panics when it is used
// for more than a publish.
//
// A bus belongs to the testing/synctest bubble in which [New] has made it, if
// any. One made outside may be used inside, too, as the default one is; a
// queued subscription, though, and whoever waits for it, to the bubble in which
// it was made.
type Bus struct {
	options busOptions // immutable after New

	// Publishes read these without a lock.
	home     atomic.Pointer[home] // nil until a zero Bus is used
	state    atomic.Uint32        // open, draining or closed
	routes   names.Table[route]
	patterns patterns

	async pool.Pool[task]

	// mu guards the writing of the fields above, the subscriptions of every
	// route and the fields below. It is never held while user code runs.
	mu      sync.Mutex
	counter uint64        // of subscriptions made
	parts   map[part]bool // what Close waits for; true for one that its owner has left
	closing *closing      // once Close was called
}

// The states of a bus, which it passes through in this order.
const (
	open     = iota
	draining // takes events from the handlers that are still at work
	closed
)

// home is what routes and contexts know of their bus, without holding on to it.
type home struct {
	bus        weak.Pointer[Bus]
	generation atomic.Uint64 // a plan of an older one is stale
	life       origin.Life   // of the contexts of handlers
}

// New returns a bus that is ready for use. Where nothing else is said in the
// options, every handler of a publish runs, in its order; the bus of
// [NewEventDispatcher] differs in that its publishes stop at the first failure.
//
// It panics if an option is nil.
func New(options ...BusOption) *Bus {
	b := new(Bus)
	for _, option := range options {
		if option == nil {
			panic("events: New: option is nil")
		}
		option.applyToBus(&b.options)
	}
	b.begin()
	return b
}

// begin makes what a zero Bus lacks.
func (b *Bus) begin() *home {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.home.Load(); h != nil {
		return h
	}
	h := &home{bus: weak.Make(b)}
	h.life.Bubble = goid.Bubble()
	b.async.Origin.Life, b.async.Origin.Bus = &h.life, b
	b.async.Publisher = func(t task) context.Context { return t.publisher }
	b.async.Run = b.runTask
	b.async.Limit = b.options.asyncLimit
	b.async.Bubble = h.life.Bubble
	b.async.Group = waitgraph.Group{Owner: b}
	b.parts = map[part]bool{asyncPart{b}: false}
	b.home.Store(h)
	return h
}

// at returns the home of a bus that is used for more than a publish.
func (b *Bus) at() *home {
	h := b.home.Load()
	if h == nil {
		h = b.begin()
	}
	if h.bus != weak.Make(b) {
		panic("events: the Bus was copied, want a pointer to the one that New has returned")
	}
	return h
}

// The bus of the global functions is made with the program, and so in nobody's
// synctest bubble.
var defaultBus atomic.Pointer[Bus]

func init() { defaultBus.Store(NewEventDispatcher()) }

// Default returns the bus of the global functions. Unless [SetDefault] has
// named another it is one made by [NewEventDispatcher].
func Default() *Bus { return defaultBus.Load() }

// SetDefault makes bus the one that [Default] returns. What has subscribed to
// the bus before stays there.
//
// It panics if bus is nil.
func SetDefault(bus *Bus) {
	if bus == nil {
		panic("events: SetDefault: bus is nil")
	}
	defaultBus.Store(bus)
}
