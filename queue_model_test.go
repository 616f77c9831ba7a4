package events_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/typedbus/events"
)

var (
	queueModelTime = flag.Duration("queue.model", time.Second, "how long TestQueuesAgreeWithModel runs")
	queueModelSeed = flag.Uint64("queue.seed", 0, "seed of TestQueuesAgreeWithModel, 0 for new ones")
)

// letter is the payload of the model: which publisher sent it, as its how
// manieth.
type letter struct{ Publisher, Number int }

// dispatched is what a publisher notes of a publish. The times are those of a
// clock that everyone moves on.
type dispatched struct {
	letter
	topic      int
	begun, end uint64 // end is 0 for an asynchronous one, which has none to note
	accepted   bool
}

// customer is a subscription of the model, and what it got.
type customer struct {
	name    string
	topic   int // -1 for all
	kind    customerKind
	handle  *events.Subscription // nil for a loop
	fails   bool                 // sometimes
	forward bool                 // every letter to the last topic

	called, subscribed uint64 // when
	leaves, left       uint64 // when, 0 for one that stays to the end
	drained            bool   // it got what it had before it
	ended              chan struct{}

	mu       sync.Mutex
	got      []letter
	failures int
}

type customerKind struct {
	name                       string
	unordered, drops, inline   bool
	batch, loop, untyped, keys bool
}

var customerKinds = []customerKind{
	{name: "queue"},
	{name: "queue"},
	{name: "inline", inline: true},
	{name: "untyped", untyped: true},
	{name: "untyped inline", untyped: true, inline: true},
	{name: "drop", drops: true},
	{name: "untyped drop", drops: true, untyped: true},
	{name: "lanes", unordered: true},
	{name: "drop lanes", unordered: true, drops: true},
	{name: "keys", keys: true},
	{name: "keys", keys: true},
	{name: "drop keys", keys: true, drops: true},
	{name: "batch", batch: true},
	{name: "drop batch", batch: true, drops: true},
	{name: "loop", loop: true},
}

// office is one run of the model.
type office struct {
	t      *testing.T
	seed   uint64
	bus    *events.Bus
	clock  atomic.Uint64
	bubble bool // time is free

	topics  []*events.Topic[letter] // the last one is for what is forwarded
	rejects []atomic.Int32          // customers of the topic that ever rejected

	mu        sync.Mutex
	sent      []dispatched
	customers []*customer
	dropped   map[string]uint64 // as reported
	failed    map[string]int
	others    []error
}

func (o *office) now() uint64 { return o.clock.Add(1) }

func (o *office) report(_ context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if overflow, ok := errors.AsType[*events.OverflowError](err); ok {
		o.dropped[overflow.Handler] += overflow.Dropped
	} else if failure, ok := errors.AsType[*events.HandlerError](err); ok {
		o.failed[failure.Handler]++
	} else if !errors.Is(err, events.ErrClosed) { // of All
		o.others = append(o.others, err)
	}
}

// fail says what is wrong, once, and how to try again.
func (o *office) fail(format string, arguments ...any) {
	o.t.Helper()
	o.t.Errorf("-queue.seed=%d: %s", o.seed, fmt.Sprintf(format, arguments...))
}

// dawdle takes a while.
func (o *office) dawdle(random *rand.Rand) {
	switch random.IntN(8) {
	case 0:
		if o.bubble {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
			return
		}
		for range random.IntN(200) {
			runtime.Gosched()
		}
	case 1:
		runtime.Gosched()
	}
}

// take notes letters for a customer and behaves as badly as handlers may.
func (o *office) take(ctx context.Context, c *customer, random *rand.Rand, letters ...letter) error {
	c.mu.Lock()
	c.got = append(c.got, letters...)
	mood := 0
	if c.fails {
		mood = random.IntN(20)
	}
	if mood > 0 && mood < 4 {
		c.failures++
	}
	pause := rand.New(rand.NewPCG(random.Uint64(), 0))
	c.mu.Unlock()
	o.dawdle(pause)
	if c.forward {
		for _, p := range letters {
			p.Publisher += 100
			err := o.topics[len(o.topics)-1].Publish(ctx, o.bus, p)
			// A loop that begins after Close gets what is queued, and is late.
			if err != nil && !(c.kind.loop && errors.Is(err, events.ErrClosed)) {
				o.fail("%s could not forward: %v", c.name, err)
			}
			o.note(dispatched{letter: p, topic: len(o.topics) - 1, begun: 1, accepted: err == nil})
		}
	}
	switch mood {
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
	return nil
}

func (o *office) note(d dispatched) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, d)
}

// subscribe adds a customer. It returns false on a bus that is closed.
func (o *office) subscribe(c *customer, random *rand.Rand, options ...events.SubscribeOption) bool {
	c.ended = make(chan struct{})
	c.fails = c.fails && !c.kind.loop // its panics are its own
	options = append(options, events.WithName(c.name))
	capacity := 1 + random.IntN(1+random.IntN(20))
	if c.kind.keys && c.kind.drops {
		capacity++ // 1 is refused
	}
	if !c.kind.inline {
		options = append(options, events.WithQueue(capacity))
	}
	if c.kind.drops {
		options = append(options, events.WithOverflow(events.DropOldest))
	}
	if c.kind.unordered || c.kind.keys {
		options = append(options, events.WithLanes(1+random.IntN(4)))
	}
	if c.kind.batch {
		options = append(options, events.WithBatch(1+random.IntN(8), time.Duration(1+random.IntN(500))*time.Microsecond))
	}
	keys := 1 + random.IntN(3)
	name, topic := "t.*", o.topics[0]
	if c.topic >= 0 {
		topic = o.topics[c.topic]
		name = topic.Name()
	}
	moods := rand.New(rand.NewPCG(random.Uint64(), 1))
	handler := func(ctx context.Context, p letter) error { return o.take(ctx, c, moods, p) }
	c.called = o.now()
	var err error
	switch {
	case c.kind.loop:
		until, cancel := context.WithCancel(context.Background())
		seq := topic.All(until, o.bus, options...)
		for info := range o.bus.Topics() {
			for _, s := range info.Subscriptions {
				if s.Name() == c.name {
					c.handle = s
				}
			}
		}
		go func() {
			defer close(c.ended)
			defer cancel()
			for ctx, p := range seq {
				_ = o.take(ctx, c, moods, p)
			}
		}()
		if c.handle == nil { // closed
			<-c.ended
			return false
		}
	case c.kind.batch:
		c.handle, err = topic.SubscribeBatch(o.bus, func(ctx context.Context, letters []letter) error {
			return o.take(ctx, c, moods, letters...)
		}, options...)
	case c.topic < 0 || c.kind.untyped:
		if c.kind.keys {
			options = append(options, events.WithOrderBy(func(e events.Event) string { return strconv.Itoa(e.Data.(letter).Publisher % keys) }))
		}
		c.handle, err = o.bus.Subscribe(name, func(ctx context.Context, e events.Event) error {
			return handler(ctx, e.Data.(letter))
		}, options...)
	default:
		if c.kind.keys {
			options = append(options, events.WithOrderBy(func(p letter) string { return strconv.Itoa(p.Publisher % keys) }))
		}
		c.handle, err = topic.Subscribe(o.bus, handler, options...)
	}
	if err != nil {
		if !errors.Is(err, events.ErrClosed) {
			o.fail("%s: %v", c.name, err)
		}
		return false
	}
	c.subscribed = o.now()
	o.mu.Lock()
	o.customers = append(o.customers, c)
	o.mu.Unlock()
	return true
}

// publish sends n letters, of which it notes the fate of each.
func (o *office) publish(publisher, n int, random *rand.Rand) {
	for number := range n {
		d := dispatched{letter: letter{publisher, number}, topic: random.IntN(len(o.topics) - 1)}
		topic := o.topics[d.topic]
		ctx, cancel := context.WithCancel(context.Background())
		if random.IntN(10) == 0 {
			go cancel()
		}
		how := random.IntN(10)
		if how == 0 && o.rejects[d.topic].Load() > 0 {
			how = 1 // a late ErrFull would not say which
		}
		d.begun = o.now()
		var err error
		switch how {
		case 0:
			err = topic.PublishAsync(ctx, o.bus, d.letter)
		case 1, 2, 3:
			err = o.bus.Dispatch(ctx, events.Event{Name: topic.Name(), Data: d.letter})
		default:
			err = topic.Publish(ctx, o.bus, d.letter)
		}
		if how != 0 {
			d.end = o.now()
		}
		cancel()
		switch {
		case errors.Is(err, events.ErrFull), errors.Is(err, events.ErrClosed), errors.Is(err, context.Canceled):
		case errors.Is(err, events.ErrDeadlock):
			o.fail("ErrDeadlock for a publisher from outside: %v", err)
		default: // what inline handlers failed with is no matter
			d.accepted = true
		}
		o.note(d)
		if errors.Is(err, events.ErrClosed) {
			return
		}
		o.dawdle(random)
	}
}

// visit has customers come and go.
func (o *office) visit(visitor, visits int, random *rand.Rand) {
	for i := range visits {
		c := &customer{
			name:  fmt.Sprintf("visitor %d.%d", visitor, i),
			kind:  customerKinds[random.IntN(len(customerKinds))],
			topic: random.IntN(len(o.topics)-1+1) - 1,
			fails: random.IntN(2) == 0,
		}
		if c.kind.batch || c.kind.loop {
			c.topic = max(0, c.topic)
		}
		until, cancel := context.WithCancel(context.Background())
		var options []events.SubscribeOption
		if !c.kind.loop { // All ends with its own context
			options = append(options, events.WithUntil(until))
		}
		if !o.subscribe(c, random, options...) {
			cancel()
			return
		}
		for range random.IntN(10) {
			o.dawdle(random)
		}
		c.leaves = o.now()
		switch random.IntN(4) {
		case 0:
			if !c.kind.loop {
				cancel()
				break
			}
			fallthrough
		case 1:
			c.handle.Unsubscribe()
		default:
			if err := c.handle.Drain(context.Background()); err != nil {
				o.fail("drain: %v", err)
			}
			c.drained = true
		}
		c.left = o.now()
		cancel()
		o.dawdle(random)
	}
}

// run is one round: customers that stay, others that come and go, publishers,
// and Close at the end or in the midst of it.
func (o *office) run() {
	random := rand.New(rand.NewPCG(o.seed, 0))
	o.dropped, o.failed = make(map[string]uint64), make(map[string]int)
	o.bus = events.New(events.WithErrorHandler(o.report))
	for i := range 2 + random.IntN(3) {
		o.topics = append(o.topics, events.NewTopic[letter]("t."+strconv.Itoa(i)))
	}
	o.topics[len(o.topics)-1] = events.NewTopic[letter]("forwarded")
	o.rejects = make([]atomic.Int32, len(o.topics))
	last := len(o.topics) - 1
	for i := range 1 + random.IntN(6) {
		c := &customer{
			name:    "resident " + strconv.Itoa(i),
			kind:    customerKinds[random.IntN(len(customerKinds))],
			topic:   random.IntN(last+1) - 1,
			fails:   random.IntN(2) == 0,
			forward: random.IntN(6) == 0,
		}
		if c.kind.batch || c.kind.loop {
			c.topic = max(0, c.topic)
		}
		c.forward = c.forward && !c.kind.inline && !slices.ContainsFunc(o.customers, func(c *customer) bool { return c.forward })
		var options []events.SubscribeOption
		if !c.kind.inline && !c.kind.drops && random.IntN(4) == 0 {
			for topic := range o.rejects {
				if c.topic < 0 || c.topic == topic {
					o.rejects[topic].Add(1)
				}
			}
			options = append(options, events.WithOverflow(events.Reject))
		}
		o.subscribe(c, random, options...)
	}
	for i := range random.IntN(3) {
		kind := customerKinds[random.IntN(len(customerKinds))]
		o.subscribe(&customer{name: "receiver " + strconv.Itoa(i), kind: kind, topic: last, fails: random.IntN(2) == 0 && !kind.inline}, random)
	}

	var group sync.WaitGroup
	for p := range 1 + random.IntN(4) {
		own := rand.New(rand.NewPCG(o.seed, uint64(1+p)))
		group.Go(func() { o.publish(p, 1+own.IntN(150), own) })
	}
	for v := range random.IntN(3) {
		own := rand.New(rand.NewPCG(o.seed, uint64(100+v)))
		group.Go(func() { o.visit(v, 1+own.IntN(10), own) })
	}
	if random.IntN(3) > 0 {
		group.Wait()
	} else {
		for range random.IntN(30) {
			o.dawdle(random)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	closes, stacks := time.Now(), make([]byte, 1<<20)
	slow := time.AfterFunc(30*time.Second, func() { stacks = stacks[:runtime.Stack(stacks, true)] })
	if err := o.bus.Close(ctx); err != nil {
		o.fail("Close: %v", err)
	}
	if !slow.Stop() {
		o.fail("Close took %v, these were left after half of it:\n%s", time.Since(closes), stacks)
	}
	group.Wait()
	for _, c := range o.customers {
		if c.kind.loop {
			<-c.ended
		}
	}
	o.check()
}

// check compares what everyone got with what they should have.
func (o *office) check() {
	if len(o.others) > 0 {
		o.fail("reported: %v", o.others)
	}
	sent := make(map[letter]dispatched)
	for _, d := range o.sent {
		sent[d.letter] = d
	}
	for _, c := range o.customers {
		o.checkCustomer(c, sent)
	}
}

func (o *office) hears(c *customer, d dispatched) bool {
	return c.topic == d.topic || c.topic < 0 && d.topic < len(o.topics)-1
}

func (o *office) checkCustomer(c *customer, sent map[letter]dispatched) {
	wrong := func(format string, arguments ...any) {
		o.fail("%s, %s, topic %d: %s", c.name, c.kind.name, c.topic, fmt.Sprintf(format, arguments...))
	}
	got := make(map[letter]bool)
	last := make(map[int]letter) // of each publisher, in order
	for _, p := range c.got {
		d, ok := sent[p]
		switch {
		case !ok || !d.accepted:
			wrong("got %v, which was not accepted", p)
		case got[p]:
			wrong("got %v twice", p)
		case !o.hears(c, d):
			wrong("got %v of topic %d", p, d.topic)
		case d.end > 0 && d.end < c.called:
			wrong("got %v, published before it subscribed", p)
		case c.left > 0 && d.begun > c.left:
			wrong("got %v, published after it had left", p)
		}
		got[p] = true
		if previous, ok := last[p.Publisher]; ok && d.end > 0 && !c.kind.unordered && previous.Number > p.Number {
			wrong("got %v after %v", p, previous)
		}
		if d.end > 0 {
			last[p.Publisher] = p
		}
	}
	due, missed := 0, 0
	for p, d := range sent {
		stayed := c.left == 0 || c.drained && d.end > 0 && d.end < c.leaves
		if !d.accepted || !o.hears(c, d) || d.begun < c.subscribed && d.topic < len(o.topics)-1 || !stayed {
			continue
		}
		if due++; !got[p] {
			if missed++; missed == 1 && !c.kind.drops {
				wrong("missed %v", p)
			}
		}
	}
	if c.handle == nil || c.kind.inline {
		return
	}
	stats := c.handle.Stats()
	if c.left > 0 && !c.drained {
		if stats.Delivered < uint64(len(c.got)) {
			wrong("delivered %d, says %+v", len(c.got), stats)
		}
		return
	}
	if stats.Delivered != uint64(len(c.got)) || stats.Lag != 0 {
		wrong("got %d, says %+v", len(c.got), stats)
	}
	if stats.Dropped != o.dropped[c.name] || !c.kind.drops && stats.Dropped > 0 {
		wrong("reported %d dropped, says %+v", o.dropped[c.name], stats)
	}
	if c.left == 0 && uint64(missed) != stats.Dropped {
		wrong("missed %d of %d, says %+v", missed, due, stats)
	}
	if o.failed[c.name] != c.failures && !c.kind.loop {
		wrong("failed %d times, %d reported", c.failures, o.failed[c.name])
	}
}

// TestQueuesAgreeWithModel has publishers, subscriptions of all kinds that stay
// or come and go, failures and Close meet at random. As far as goroutines let
// one, look at a round that failed again with -queue.seed.
func TestQueuesAgreeWithModel(t *testing.T) {
	duration := *queueModelTime
	if testing.Short() {
		duration /= 10
	}
	begun, said := time.Now(), time.Now()
	rounds, letters, deliveries := 0, 0, 0
	for !t.Failed() && (rounds == 0 || time.Since(begun) < duration) {
		seed := *queueModelSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		o := &office{t: t, seed: seed, bubble: seed%2 == 0}
		if o.bubble {
			synctest.Test(t, func(t *testing.T) {
				o.t = t
				o.run()
			})
		} else {
			watchdog := time.AfterFunc(2*time.Minute, func() {
				debug.SetTraceback("all")
				panic(fmt.Sprintf("-queue.seed=%d hangs", seed))
			})
			o.run()
			watchdog.Stop()
		}
		rounds++
		letters += len(o.sent)
		for _, c := range o.customers {
			deliveries += len(c.got)
		}
		if duration > 10*time.Second && time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "%v: %d rounds, %d events, %d deliveries\n", time.Since(begun).Round(time.Second), rounds, letters, deliveries)
		}
	}
	t.Logf("%d rounds, %d events, %d deliveries", rounds, letters, deliveries)
}
