package events_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
)

var (
	errQuit  = errors.New("the sender has lost patience")
	errNoKey = errors.New("no key")
)

// actor is somebody who uses buses, in one goroutine.
type actor struct {
	*town
	random   *rand.Rand
	ctx      context.Context
	id, sent int
	outside  bool // in a goroutine that runs no handler, for sure
}

func (w *town) actor(ctx context.Context, random *rand.Rand) *actor {
	return &actor{town: w, random: random, ctx: ctx, id: int(w.ids.Add(1))}
}

// stranger returns an actor for a goroutine of its own.
func (w *town) stranger(ctx context.Context) *actor {
	a := w.actor(ctx, w.chance())
	a.outside = true
	return a
}

func (a *actor) office() *office { return a.offices[a.random.IntN(len(a.offices))] }

// context returns one to publish with.
func (a *actor) context() (context.Context, context.CancelFunc) {
	from := a.ctx
	if a.random.IntN(4) == 0 {
		from = context.Background()
	}
	switch a.random.IntN(8) {
	case 0:
		ctx, cancel := context.WithCancelCause(from)
		go cancel(errQuit)
		return ctx, func() { cancel(errQuit) }
	case 1:
		return context.WithTimeoutCause(from, time.Duration(a.random.IntN(1000))*time.Microsecond, errQuit)
	}
	return from, func() {}
}

// send publishes a letter and notes its fate. It reports false when there is
// nobody to send one to any more.
func (a *actor) send() bool {
	o, topic := a.office(), a.random.IntN(len(a.topics))
	d := &dispatched{letter: letter{a.id, a.sent}, office: o, topic: topic}
	a.sent++
	a.mu.Lock()
	a.town.sent = append(a.town.sent, d)
	a.mu.Unlock()
	ctx, cancel := a.context()
	defer cancel()
	how := a.random.IntN(20)
	var err error
	d.begun = a.now()
	switch how {
	case 0, 1:
		err = a.topics[topic].PublishAsync(ctx, o.bus, d.letter)
	case 2:
		o.bus.DispatchAsync(ctx, events.Event{Name: a.topics[topic].Name(), Data: d.letter})
		return true
	case 3, 4, 5, 6:
		err = o.bus.Dispatch(ctx, events.Event{Name: a.topics[topic].Name(), Data: d.letter})
	default:
		err = a.topics[topic].Publish(ctx, o.bus, d.letter)
	}
	fate := accepted
	queue, isQueue := errors.AsType[*events.QueueError](err)
	switch {
	case isQueue:
		fate = refused
		// Whatever it was that the context was cancelled with is a cause, too.
		if queue.Operation != "publish" || queue.Event != a.topics[topic].Name() || queue.Handler == "" {
			a.fail("%#v says too little: %v", queue, err)
		}
		if errors.Is(err, events.ErrDeadlock) && a.outside {
			a.fail("%s: ErrDeadlock for a publisher from outside: %v", o.name, err)
		}
	case errors.Is(err, events.ErrClosed):
		fate = refused
	case errors.Is(err, events.ErrFull), errors.Is(err, events.ErrDeadlock), errors.Is(err, errQuit):
		a.fail("%s: not a QueueError: %v", o.name, err)
	}
	if how < 2 && fate == accepted && (o.rejects[topic].Load() > 0 || o.giveUp > 0) {
		fate = unknown // it may be refused later
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	d.fate, d.err = fate, err
	if how >= 2 {
		d.end = a.now()
	}
	return !errors.Is(err, events.ErrClosed)
}

// correspond sends n letters.
func (a *actor) correspond(n int) {
	for range n {
		if !a.send() && a.random.IntN(len(a.offices)) == 0 {
			return
		}
		a.dawdle(a.random)
	}
}

// act does something, if that has not been done too often in this round.
func (a *actor) act() {
	if a.fuel.Add(-1) < 0 {
		return
	}
	o := a.office()
	switch a.random.IntN(20) {
	case 0:
		a.close(o)
	case 1, 2:
		a.wait(o)
	case 3, 4:
		o.settle(fmt.Sprint("guest ", a.ids.Add(1)), a.random)
	case 5, 6, 7:
		o.mu.Lock()
		var c *customer
		if n := len(o.customers); n > 0 {
			c = o.customers[a.random.IntN(n)]
		}
		o.mu.Unlock()
		if c != nil {
			a.leave(c)
		}
	case 8, 9, 10, 11:
		// A goroutine that may outlive the handler which has started it, and
		// keeps its context.
		friend := a.stranger(a.ctx)
		a.strangers.Go(func() {
			for range 1 + friend.random.IntN(4) {
				friend.dawdle(friend.random)
				if friend.random.IntN(2) == 0 {
					friend.act()
				} else {
					friend.send()
				}
			}
		})
	default:
		for range 1 + a.random.IntN(3) {
			a.send()
		}
	}
}

// close closes an office from wherever the actor is.
func (a *actor) close(o *office) {
	defer a.within("Close by somebody")()
	ctx := context.WithoutCancel(a.ctx)
	member := o.isMember()
	if member && a.random.IntN(2) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel() // which is not to abandon anything
	}
	err := o.bus.Close(ctx)
	switch {
	case err == nil:
		if member && o.giveUp == 0 {
			a.fail("%s: Close returned nil to a handler at work", o.name)
		}
		o.drained.Store(true)
	case errors.Is(err, events.ErrDeadlock):
		if a.outside {
			a.fail("%s: Close from outside: %v", o.name, err)
		}
	case o.giveUp == 0:
		a.fail("%s: Close: %v", o.name, err)
	}
	if err := a.topics[0].Publish(context.Background(), o.bus, letter{-1, 0}); !errors.Is(err, events.ErrClosed) {
		a.fail("%s: takes an event after Close: %v", o.name, err)
	}
}

func (a *actor) wait(o *office) {
	defer a.within("Wait")()
	err := o.bus.Wait(context.WithoutCancel(a.ctx))
	switch {
	case err == nil, errors.Is(err, events.ErrDeadlock) && !a.outside:
	default:
		a.fail("%s: Wait: %v", o.name, err)
	}
}

// leave ends a subscription in one way or another.
func (a *actor) leave(c *customer) {
	ways := 3
	if c.cancel == nil {
		ways = 2
	}
	switch a.random.IntN(ways) {
	case 0:
		defer a.within("Drain of " + c.name)()
		c.leaving(false)
		err := c.handle.Drain(context.WithoutCancel(a.ctx))
		switch {
		case err == nil:
			if n := c.atWork.Load(); n > 0 && (c.kind.waits || !c.kind.inline) {
				a.fail("%s, %s: %d at work after Drain", c.name, c.kind.name, n)
			}
		case errors.Is(err, events.ErrDeadlock) && !a.outside:
		case errors.Is(err, events.ErrClosed) && c.giveUp > 0:
		default:
			a.fail("drain of %s, %s: %v", c.name, c.kind.name, err)
		}
	case 1:
		c.leaving(true)
		c.handle.Unsubscribe()
	case 2:
		c.leaving(true)
		c.cancel()
	}
	c.hasLeft()
}

// customer is a subscription of the model, and what it got.
type customer struct {
	*office
	name     string
	topic    int // -1 for all
	kind     customerKind
	capacity int
	lanes    int
	keys     int
	odd      int                  // of so many letters the key panics for one, 0 for none
	handle   *events.Subscription // nil for a loop
	cancel   context.CancelFunc   // of WithUntil, or nil
	fails    bool                 // sometimes

	called, subscribed uint64        // when
	ended              chan struct{} // of a loop
	atWork             atomic.Int32
	byKey              [4]atomic.Int32

	mu           sync.Mutex
	leaves, left uint64 // when, 0 for one that stays to the end
	dropped      bool   // it has not got what it had before it
	got          []letter
	failures     int
}

type customerKind struct {
	name                       string
	unordered, drops, inline   bool
	batch, loop, untyped, keys bool
	once, waits                bool
}

var customerKinds = []customerKind{
	{name: "queue"},
	{name: "queue"},
	{name: "inline", inline: true},
	{name: "inline, waits", inline: true, waits: true},
	{name: "untyped", untyped: true},
	{name: "untyped inline", untyped: true, inline: true},
	{name: "drop", drops: true},
	{name: "untyped drop", drops: true, untyped: true},
	{name: "lanes", unordered: true},
	{name: "drop lanes", unordered: true, drops: true},
	{name: "keys", keys: true},
	{name: "keys", keys: true},
	{name: "untyped keys", keys: true, untyped: true},
	{name: "drop keys", keys: true, drops: true},
	{name: "batch", batch: true},
	{name: "drop batch", batch: true, drops: true},
	{name: "loop", loop: true},
	{name: "drop loop", loop: true, drops: true},
	{name: "once", once: true},
	{name: "once inline", once: true, inline: true},
}

func (c *customer) leaving(drop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaves == 0 {
		c.leaves = c.now()
	}
	c.dropped = c.dropped || drop
}

func (c *customer) hasLeft() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		c.left = c.now()
	}
}

// isOdd reports whether the key function panics for a letter.
func (c *customer) isOdd(p letter) bool { return c.odd > 0 && p.Number%c.odd == c.odd-1 }

func (c *customer) keyOf(p letter) string {
	if c.isOdd(p) {
		panic(errNoKey)
	}
	return strconv.Itoa(p.Sender % c.keys)
}

// begin notes that a handler is at work, and that no other one is which must
// not be.
func (c *customer) begin(p letter) (end func()) {
	n := c.atWork.Add(1)
	key := &c.byKey[0]
	switch {
	case c.kind.keys:
		key = &c.byKey[p.Sender%c.keys]
		fallthrough
	case c.kind.unordered:
		if int(n) > c.lanes {
			c.fail("%s, %s: %d at work on %d lanes", c.name, c.kind.name, n, c.lanes)
		}
	}
	if k := key.Add(1); k > 1 && !c.kind.inline && !c.kind.unordered {
		c.fail("%s, %s: %d at a time", c.name, c.kind.name, k)
	}
	return func() {
		key.Add(-1)
		c.atWork.Add(-1)
		if c.drained.Load() && !c.kind.inline {
			c.fail("%s, %s: at work after Close has returned nil", c.name, c.kind.name)
		}
	}
}

// take notes letters for a customer and behaves as badly as handlers may.
func (c *customer) take(ctx context.Context, letters ...letter) error {
	defer c.begin(letters[0])()
	if !c.kind.inline {
		defer c.enter()()
		if lag := c.handle.Stats().Lag; lag > uint64(c.capacity) && !c.hasReplay() {
			c.fail("%s, %s: %d events in a queue of %d", c.name, c.kind.name, lag, c.capacity)
		}
	}
	random := c.chance()
	c.mu.Lock()
	c.got = append(c.got, letters...)
	c.mu.Unlock()
	failed := true
	defer func() {
		if failed {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.failures++
		}
	}()
	c.dawdle(random)
	if random.IntN(8) == 0 {
		c.actor(ctx, random).act()
	}
	if c.fails {
		switch random.IntN(20) {
		case 1:
			return errBoom
		case 2:
			panic("model")
		case 3:
			if !c.kind.inline {
				runtime.Goexit()
			}
			return errOther
		}
	}
	failed = false
	return nil
}

func (c *customer) hasReplay() bool {
	for topic, replays := range c.replays {
		if replays && c.topic == topic {
			return true
		}
	}
	return false
}

// settle adds a customer of any kind, unless the bus is closed.
func (o *office) settle(name string, random *rand.Rand) *customer {
	c := &customer{
		office: o,
		name:   name,
		kind:   customerKinds[random.IntN(len(customerKinds))],
		topic:  random.IntN(len(o.topics)+1) - 1,
		fails:  !o.gentle && random.IntN(2) == 0,
		lanes:  1 + random.IntN(4),
		keys:   1 + random.IntN(3),
		ended:  make(chan struct{}),
	}
	c.capacity = 1 + random.IntN(1+random.IntN(20))
	if c.kind.batch || c.kind.loop {
		c.topic = max(0, c.topic)
	}
	c.fails = c.fails && !c.kind.loop // its panics are its own
	options := []events.SubscribeOption{events.WithName(c.name)}
	if !c.kind.inline {
		options = append(options, events.WithQueue(c.capacity))
	}
	switch {
	case c.kind.drops:
		options = append(options, events.WithOverflow(events.DropOldest))
	case !c.kind.inline && random.IntN(6) == 0:
		options = append(options, events.WithOverflow(events.Reject))
		for topic := range o.rejects {
			if c.topic < 0 || c.topic == topic {
				o.rejects[topic].Add(1)
			}
		}
	}
	if c.kind.unordered || c.kind.keys {
		options = append(options, events.WithLanes(c.lanes))
	}
	if c.kind.batch {
		options = append(options, events.WithBatch(1+random.IntN(8), time.Duration(1+random.IntN(500))*time.Microsecond))
	}
	if c.kind.once {
		options = append(options, events.WithOnce())
	}
	if c.kind.waits {
		options = append(options, events.WithDrain())
	}
	if c.kind.keys && random.IntN(4) == 0 {
		c.odd = 2 + random.IntN(10)
	}
	if !c.kind.loop && random.IntN(3) == 0 { // All ends with its own context
		var until context.Context
		until, c.cancel = context.WithCancel(context.Background())
		options = append(options, events.WithUntil(until))
	}
	c.called = o.now()
	err := c.subscribe(random, options)
	if err != nil {
		if !errors.Is(err, events.ErrClosed) {
			o.fail("%s: %v", c.name, err)
		}
		return nil
	}
	c.subscribed = o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.customers = append(o.customers, c)
	return c
}

func (c *customer) subscribe(random *rand.Rand, options []events.SubscribeOption) (err error) {
	name, topic := "t.*", c.topics[0]
	if c.topic >= 0 {
		topic = c.topics[c.topic]
		name = topic.Name()
	}
	ready := make(chan struct{}) // c.handle is there
	defer close(ready)
	switch {
	case c.kind.loop:
		err = c.loop(topic, 1+random.IntN(100), options)
	case c.kind.batch:
		c.handle, err = topic.SubscribeBatch(c.bus, func(ctx context.Context, letters []letter) error {
			<-ready
			return c.take(ctx, letters...)
		}, options...)
	case c.topic < 0 || c.kind.untyped:
		if c.kind.keys {
			options = append(options, events.WithOrderBy(func(e events.Event) string { return c.keyOf(e.Data.(letter)) }))
		}
		c.handle, err = c.bus.Subscribe(name, func(ctx context.Context, e events.Event) error {
			<-ready
			return c.take(ctx, e.Data.(letter))
		}, options...)
	default:
		if c.kind.keys {
			options = append(options, events.WithOrderBy(c.keyOf))
		}
		c.handle, err = topic.Subscribe(c.bus, func(ctx context.Context, p letter) error {
			<-ready
			return c.take(ctx, p)
		}, options...)
	}
	return err
}

// loop begins a loop that ends after some letters, or with the bus.
func (c *customer) loop(topic *events.Topic[letter], most int, options []events.SubscribeOption) error {
	until, cancel := context.WithCancel(context.Background())
	seq := topic.All(until, c.bus, options...)
	for info := range c.bus.Topics() {
		for _, s := range info.Subscriptions {
			if s.Name() == c.name {
				c.handle = s
			}
		}
	}
	if c.handle == nil {
		cancel()
		close(c.ended)
		return events.ErrClosed
	}
	own := c.chance()
	go func() {
		defer close(c.ended)
		// Whatever ends it is its end, such as an error handler that ends the
		// goroutine.
		aborted := true
		defer func() {
			if aborted {
				c.mu.Lock()
				c.leaves, c.dropped = 1, true
				c.mu.Unlock()
			}
			cancel()
			c.hasLeft()
		}()
		c.town.dawdle(own)
		for ctx, p := range seq {
			if most--; most == 0 {
				c.leaving(true)
			}
			_ = c.take(ctx, p)
			if most <= 0 {
				break
			}
		}
		aborted = false
	}()
	return nil
}

// visit has customers come and go.
func (o *office) visit(visitor, visits int, random *rand.Rand) {
	for i := range visits {
		c := o.settle(fmt.Sprintf("visitor %d.%d", visitor, i), random)
		if c == nil {
			return
		}
		for range random.IntN(10) {
			o.dawdle(random)
		}
		a := o.stranger(context.Background())
		a.leave(c)
		o.dawdle(random)
	}
}
