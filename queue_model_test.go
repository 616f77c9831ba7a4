package events_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/typedbus/events"
)

var (
	queueModelTime = flag.Duration("queue.model", 0, "how long TestQueuesAgreeWithModel runs, by default a second")
	queueModelSeed = flag.Uint64("queue.seed", 0, "seed of TestQueuesAgreeWithModel, 0 for new ones")
)

// TestQueuesAgreeWithModel has publishers, subscriptions of all kinds that stay
// or come and go, and several buses meet at random. Handlers, loops, error
// handlers, loggers and goroutines that outlive the handler that has started
// them publish, subscribe, end subscriptions, wait for buses and close them;
// they fail, panic and end their goroutine. At the end everyone says what it
// has sent and got, and that is compared.
//
// As far as goroutines let one, look at a round that failed again with
// -queue.seed. Rounds with an even seed run in a bubble, where time is free.
func TestQueuesAgreeWithModel(t *testing.T) {
	duration := *queueModelTime
	if duration == 0 && *queueModelSeed == 0 {
		if raceEnabled {
			t.Skip("under the race detector it runs when -queue.model says for how long")
		}
		duration = time.Second
	}
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
		town := &town{t: t, seed: seed, bubble: seed%2 == 0}
		if town.bubble {
			synctest.Test(t, func(t *testing.T) {
				town.t = t
				town.run()
			})
		} else {
			town.run()
			town.checkGoroutines()
		}
		rounds++
		letters += len(town.sent)
		for _, o := range town.offices {
			for _, c := range o.customers {
				c.mu.Lock() // after a Close that gave up, a handler may be at work still
				deliveries += len(c.got)
				c.mu.Unlock()
			}
		}
		if duration > 10*time.Second && time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "%v: %d rounds, %d events, %d deliveries\n", time.Since(begun).Round(time.Second), rounds, letters, deliveries)
		}
	}
	t.Logf("%d rounds, %d events, %d deliveries", rounds, letters, deliveries)
}

// town is one round: some offices, and those who write letters to them.
type town struct {
	t       *testing.T
	seed    uint64
	bubble  bool // time is free
	gentle  bool // nobody is a nuisance, so that there are fewer reasons to fail
	clock   atomic.Uint64
	ids     atomic.Uint64
	fuel    atomic.Int64 // of those who act while they are at something else
	naps    atomic.Int64 // that last more than a second
	topics  []*events.Topic[letter]
	replays []bool // topics
	offices []*office

	strangers sync.WaitGroup

	mu      sync.Mutex
	sent    []*dispatched
	members map[string][]*office // goroutines that run queued handlers for sure
	faults  int
}

// letter is the payload of the model: who sent it, as its how manieth.
type letter struct{ Sender, Number int }

// fate is what a sender knows of a letter.
type fate int

const (
	unknown  fate = iota // it was not told, or not yet
	accepted             // by the bus
	refused              // nobody may get it
)

// dispatched is what is noted of a publish. The times are those of a clock that
// everyone moves on.
type dispatched struct {
	letter
	office     *office
	topic      int
	begun, end uint64 // end is 0 for an asynchronous one, which has none to note
	fate       fate
	err        error
}

// office is a bus, and who has subscribed there.
type office struct {
	*town
	name    string
	bus     *events.Bus
	rejects []atomic.Int32 // by topic, customers that ever rejected
	panics  int            // how often its error handler and its logger do, of 20
	exits   int
	acts    int
	giveUp  time.Duration // of the Close from outside, 0 for one that waits
	drained atomic.Bool   // Close has returned nil
	err     error         // of Close

	mu        sync.Mutex
	customers []*customer
	dropped   map[string]uint64 // as reported
	failed    map[string]int
	gaveUp    int // asynchronous publishes, of which nobody knows which
	others    []error
}

func (w *town) now() uint64 { return w.clock.Add(1) }

// chance returns random numbers of somebody's own.
func (w *town) chance() *rand.Rand { return rand.New(rand.NewPCG(w.seed, w.ids.Add(1))) }

// fail says what is wrong, and how to try again.
func (w *town) fail(format string, arguments ...any) {
	w.t.Helper()
	w.mu.Lock()
	w.faults++
	faults := w.faults
	w.mu.Unlock()
	if faults <= 20 {
		w.t.Errorf("-queue.seed=%d: %s", w.seed, fmt.Sprintf(format, arguments...))
	}
}

// within fails with all stacks if what it is about takes too long.
func (w *town) within(what string) (over func()) {
	// A cycle of handlers is looked for each second, and in a bubble seconds
	// are all that there is.
	limit := 20 * time.Second
	if w.bubble {
		limit = 30 * time.Minute
	}
	timer := time.AfterFunc(limit, func() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		fmt.Fprintf(os.Stderr, "%s\n", stacks)
		debug.SetTraceback("none")
		panic(fmt.Sprintf("-queue.seed=%d: %s takes more than %v", w.seed, what, limit))
	})
	return func() { timer.Stop() }
}

// dawdle takes a while.
func (w *town) dawdle(random *rand.Rand) {
	switch random.IntN(8) {
	case 0:
		if !w.bubble {
			for range random.IntN(200) {
				runtime.Gosched()
			}
			return
		}
		nap := time.Duration(random.IntN(1000)) * time.Microsecond
		if random.IntN(20) == 0 && w.naps.Add(-1) >= 0 {
			nap += 1500 * time.Millisecond // until a publisher is reported to wait
		}
		time.Sleep(nap)
	case 1:
		runtime.Gosched()
	}
}

// enter notes that the calling goroutine runs a handler of the office, until the
// function that it returns is called.
func (o *office) enter() (leave func()) {
	self := goroutine()
	o.town.mu.Lock()
	defer o.town.mu.Unlock()
	o.members[self] = append(o.members[self], o)
	return func() {
		o.town.mu.Lock()
		defer o.town.mu.Unlock()
		if rest := o.members[self]; len(rest) > 1 {
			o.members[self] = rest[:len(rest)-1]
		} else {
			delete(o.members, self)
		}
	}
}

// isMember reports whether the calling goroutine runs a queued handler of the
// office for sure.
func (o *office) isMember() bool {
	self := goroutine()
	o.town.mu.Lock()
	defer o.town.mu.Unlock()
	return slices.Contains(o.members[self], o)
}

// open makes the bus of an office.
func (w *town) open(name string, random *rand.Rand) *office {
	o := &office{town: w, name: name, dropped: make(map[string]uint64), failed: make(map[string]int)}
	o.rejects = make([]atomic.Int32, len(w.topics))
	if !w.gentle {
		o.panics, o.exits, o.acts = random.IntN(4), random.IntN(4), random.IntN(8)
	}
	if random.IntN(6) == 0 {
		o.giveUp = time.Duration(1+random.IntN(2000)) * time.Microsecond
	}
	options := []events.BusOption{
		events.WithErrorHandler(o.report),
		events.WithLogger(slog.New(&clerk{o})),
	}
	if random.IntN(4) == 0 {
		options = append(options, events.WithUnhandled(func(ctx context.Context, _ events.Event) { o.nuisance(ctx) }))
	}
	if random.IntN(4) == 0 {
		options = append(options, events.WithAsyncLimit(1+random.IntN(5)))
	}
	if random.IntN(4) == 0 {
		options = append(options, events.WithMiddleware(func(next events.Handler) events.Handler { return next }))
	}
	o.bus = events.New(options...)
	return o
}

// report is the error handler of an office.
func (o *office) report(ctx context.Context, err error) {
	o.mu.Lock()
	overflow, lost := errors.AsType[*events.OverflowError](err)
	failure, failed := errors.AsType[*events.HandlerError](err)
	_, full := errors.AsType[*events.QueueError](err)
	switch {
	case lost:
		o.dropped[overflow.Handler] += overflow.Dropped
	case errors.Is(err, errNoKey), failed && failure.Handler == "WithUnhandled":
		failed = false // the publisher's, or nobody's
	case failed:
		o.failed[failure.Handler]++
	case full:
		o.gaveUp++
	case errors.Is(err, events.ErrClosed):
		o.gaveUp++
	case errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "bus closed with"):
	default:
		o.others = append(o.others, err)
	}
	o.mu.Unlock()
	if (lost || failed) && o.drained.Load() {
		o.fail("%s: reported after Close had returned nil: %v", o.name, err)
	}
	o.nuisance(ctx)
}

// nuisance is what error handlers and loggers do that had better not.
func (o *office) nuisance(ctx context.Context) {
	random := o.chance()
	if random.IntN(20) < o.acts {
		o.actor(ctx, random).act()
	}
	switch mood := random.IntN(20); {
	case mood < o.panics:
		panic("nuisance")
	case mood < o.panics+o.exits:
		runtime.Goexit()
	}
}

// clerk is the logger of an office.
type clerk struct{ *office }

func (c *clerk) Enabled(context.Context, slog.Level) bool { return true }
func (c *clerk) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *clerk) WithGroup(string) slog.Handler            { return c }

func (c *clerk) Handle(ctx context.Context, _ slog.Record) error {
	c.nuisance(ctx)
	return nil
}

// run is one round: customers that stay, others that come and go, publishers,
// and Close at the end or in the midst of it.
func (w *town) run() {
	random := rand.New(rand.NewPCG(w.seed, 0))
	w.gentle = random.IntN(3) == 0
	w.members = make(map[string][]*office)
	w.fuel.Store(int64(random.IntN(150)))
	w.naps.Store(5)
	for i := range 1 + random.IntN(3) {
		var options []events.TopicOption
		if w.replays = append(w.replays, random.IntN(5) == 0); w.replays[i] {
			options = append(options, events.WithReplay(1+random.IntN(10)))
		}
		if random.IntN(5) == 0 {
			options = append(options, events.WithConcurrency(3))
		}
		w.topics = append(w.topics, events.NewTopic[letter](fmt.Sprint("t.", i), options...))
	}
	for i := range 1 + random.IntN(3) {
		w.offices = append(w.offices, w.open(fmt.Sprint("office ", i), random))
	}
	for _, o := range w.offices {
		for i := range 1 + random.IntN(5) {
			o.settle(fmt.Sprint("resident ", i), random)
		}
	}
	defer w.within("a round")()
	var group sync.WaitGroup
	for range 1 + random.IntN(4) {
		a := w.stranger(context.Background())
		group.Go(func() { a.correspond(1 + a.random.IntN(120)) })
	}
	for v := range random.IntN(3) {
		o, own := w.offices[random.IntN(len(w.offices))], w.chance()
		group.Go(func() { o.visit(v, 1+own.IntN(10), own) })
	}
	if random.IntN(3) > 0 {
		group.Wait()
	} else {
		for range random.IntN(30) {
			w.dawdle(random)
		}
	}
	var closing sync.WaitGroup
	for _, o := range w.offices {
		closing.Go(o.close)
		w.dawdle(random)
	}
	closing.Wait()
	group.Wait()
	w.strangers.Wait()
	for _, o := range w.offices {
		for _, c := range o.customers {
			if c.kind.loop {
				<-c.ended
			}
			// Those at work when Close has given up are through by then.
			if err := c.handle.Drain(context.Background()); err != nil && o.giveUp == 0 {
				w.fail("drain of %s after Close: %v", c.name, err)
			}
		}
	}
	if w.bubble {
		time.Sleep(time.Minute) // asynchronous handlers of a bus that has given up
	}
	w.check()
}

// close closes an office from outside, whoever ends the goroutine meanwhile.
func (o *office) close() {
	ctx, cancel := context.WithCancel(context.Background())
	if o.giveUp > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), o.giveUp)
	}
	defer cancel()
	for returned := false; !returned; {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer o.within("Close")()
			o.err = o.bus.Close(ctx)
			returned = true
		}()
		<-ended
	}
	if o.err == nil {
		o.drained.Store(true)
	} else if o.giveUp == 0 {
		o.fail("%s: Close: %v", o.name, o.err)
	}
}
