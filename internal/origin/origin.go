// Package origin makes the contexts of handlers that no publisher waits for. Such a
// context has the publisher's values, the bus's cancellation, and names the
// event that it was made for.
//
// It says where a call came from, and never who waits: a handler may hand its
// context to any goroutine. Whether the event is still at work only its
// [Source] says, under its own lock. Here, too, are the [Layer] that this module
// puts around a context, and [Life], which cancels the contexts of a bus: under a
// lock of its own, holding on to none, and ending none of another bubble.
//
// A context is immutable, and no two events have the same one. Those of events in
// a row that came with one and the same publisher's context lie in one block,
// which so holds on to nothing that was not theirs, and are one byte long: a
// queue makes one for each delivery, and as words of their own they would cost
// more than all else that it does.
//
// What a maintainer may change: when a rope of a life is made, and how long a
// block is, up to 256. What must stay: a [Context] is never copied, for its
// address tells its event; one goroutine alone uses a [Maker], whose source gives
// no two events one number; and layers come off when an event is queued, or
// events that beget events would have contexts without end.
package origin

import (
	"context"
	"time"
	"unsafe"
)

// Source is where an event is handled: a queue, or the pool of asynchronous
// tasks.
type Source interface {
	// Hold reports whether the event is at work, and if so keeps the source
	// from falling idle until Release.
	Hold(event uint64) bool
	Release()
}

// Context is the context of one event: its address is. It is one of a block, and
// its value is its place in that.
type Context uint8

// block is the contexts of some events, by their numbers.
type block struct {
	*Origin
	publisher context.Context
	first     uint64 // the number of the event of the first context
	contexts  [blockSize]Context
}

// blockSize makes a block as large as a cache line.
const blockSize = 32

// places is what the contexts of every block are.
var places = func() (all [blockSize]Context) {
	for i := range all {
		all[i] = Context(i)
	}
	return all
}()

// block returns the block in which c is.
func (c *Context) block() *block {
	return (*block)(unsafe.Add(unsafe.Pointer(c), -int(*c)-int(unsafe.Offsetof(block{}.contexts))))
}

func (c *Context) event() uint64 { return c.block().first + uint64(*c) }

// Origin is where events are handled: by one goroutine, for one bus.
type Origin struct {
	Life    *Life // of the bus
	Bus     any
	Handler any // the subscription, or nil for what several handle
	Source  Source

	line line
}

// Maker makes the contexts of one goroutine, which alone may use it.
type Maker struct {
	*Origin

	last *block
}

// For returns the context of an event that was published with publisher.
func (m *Maker) For(publisher context.Context, event uint64) *Context {
	if b := m.last; b != nil && event-b.first < blockSize && same(b.publisher, publisher) {
		return &b.contexts[event-b.first]
	}
	if bare := Publisher(publisher); !same(bare, publisher) {
		return m.For(bare, event)
	}
	m.last = &block{Origin: m.Origin, publisher: publisher, first: event, contexts: places}
	return &m.last.contexts[0]
}

// Forget lets go of the last publisher's context, if that holds anything.
func (m *Maker) Forget() {
	if m.last != nil && m.last.publisher != context.Background() {
		m.last = nil
	}
}

// same reports whether two contexts are one: the same two words.
func same(a, b context.Context) bool {
	return *(*[2]uintptr)(unsafe.Pointer(&a)) == *(*[2]uintptr)(unsafe.Pointer(&b))
}

// Layer is a context that this module has put around another, for a time limit
// or to say whose handler runs. It is taken off when an event published with it
// is queued, or events that beget events would have contexts without end.
type Layer struct {
	context.Context                 // Beneath, or derived from it
	Beneath         context.Context // with all the values that the module's user has put there
	Handler         any             // the subscription whose handler runs, or nil if that is told beneath
	Claimed         bool            // the event was taken by a handler that takes one; of the goroutine that runs that
}

// Value returns the layer for its own key.
func (l *Layer) Value(k any) any {
	if k == (layerKey{}) && l.Handler != nil {
		return l
	}
	return l.Context.Value(k)
}

type layerKey struct{}

// LayerOf returns the layer that says whose handler runs with ctx, or nil.
func LayerOf(ctx context.Context) *Layer {
	l, _ := ctx.Value(layerKey{}).(*Layer)
	return l
}

// Publisher returns ctx without what this module has added to it, Background
// for nil.
func Publisher(ctx context.Context) context.Context {
	for {
		switch c := ctx.(type) {
		case *Context:
			ctx = c.block().publisher
		case *Layer:
			ctx = c.Beneath
		case nil:
			return context.Background()
		default:
			return ctx
		}
	}
}

type key struct{}

// Of returns the context of the event that ctx comes from, or nil.
func Of(ctx context.Context) *Context {
	if ctx == nil {
		return nil
	}
	c, _ := ctx.Value(key{}).(*Context)
	return c
}

// Bus returns the bus on which the event is handled.
func (c *Context) Bus() any { return c.block().Bus }

// Handler returns the subscription for which the event is handled, or nil.
func (c *Context) Handler() any { return c.block().Handler }

// Hold is [Source.Hold] for the event of the context.
func (c *Context) Hold() bool { return c.block().Source.Hold(c.event()) }

// Release is [Source.Release].
func (c *Context) Release() { c.block().Source.Release() }

// life returns the context that is done when the bus gives up.
func (c *Context) life() context.Context {
	from := c.block().Origin
	return from.line.join(from.Life)
}

// Deadline returns no deadline.
func (*Context) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done returns the channel that is closed when the bus gives up.
func (c *Context) Done() <-chan struct{} { return c.life().Done() }

// Err returns why the bus has given up.
func (c *Context) Err() error { return c.life().Err() }

// Value asks for the bus's cancellation first: the key by which the context
// package finds that is the only one that this knows.
func (c *Context) Value(k any) any {
	switch k {
	case key{}:
		return c
	case layerKey{}:
		return nil // what is beneath is the publisher's
	}
	if value := c.life().Value(k); value != nil {
		return value
	}
	return c.block().publisher.Value(k)
}
