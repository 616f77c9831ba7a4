package probe

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// queue is the capacity of bounded queues in trials.
const queue = 1024

// A trial is a fresh bus with one topic.
type trial struct {
	mode     contender.Mode
	bus      contender.Bus
	topic    contender.Topic
	messages []contender.Message
}

func newTrial(c contender.Contender, mode contender.Mode) (*trial, error) {
	size := queue
	if mode == contender.Inline {
		size = 0
	}
	bus, err := c.Modes[mode](size)
	if err != nil {
		return nil, err
	}
	return &trial{mode, bus, bus.Topic("order.placed"), contender.Messages(0)}, nil
}

// handle subscribes f under a name of its own, and returns what removes it again.
func (t *trial) handle(name string, f func(ctx context.Context, o contender.Order) error) (func(), error) {
	return t.topic.Subscribe(&contender.Recorder{Key: name, React: f})
}

// publish publishes the n-th message.
func (t *trial) publish(ctx context.Context, n int) error {
	return t.topic.Publish(ctx, t.messages[n%len(t.messages):][:1])
}

// A tally is what handlers have got so far.
type tally struct {
	mu   sync.Mutex // guards seqs
	seqs []uint32
}

func (t *tally) add(o contender.Order) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seqs = append(t.seqs, o.Seq)
}

func (t *tally) got() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.seqs)
}

func (t *tally) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.seqs)
}

func (t *tally) count(seq uint32) int {
	n := 0
	for _, s := range t.got() {
		if s == seq {
			n++
		}
	}
	return n
}

// pause is how long a trial waits for something to move. Several of them fit into its patience.
const pause = patience / 6

// eventually waits until done says true, and gives up well before a trial counts as hanging.
func eventually(done func() bool) bool {
	for deadline := time.Now().Add(pause); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if done() {
			return true
		}
	}
	return done()
}

// within runs f and says whether it returned in time.
func within(f func()) bool {
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		f()
	}()
	select {
	case <-returned:
		return true
	case <-time.After(pause):
		return false
	}
}

var errHandler = errors.New("the handler went wrong")

func panicInline(t *trial) (Facts, error) {
	var facts Facts
	var first, second tally
	if _, err := t.handle("first", func(_ context.Context, o contender.Order) error {
		first.add(o)
		if o.Seq == 0 {
			panic(errHandler)
		}
		return nil
	}); err != nil {
		return facts, err
	}
	if _, err := t.handle("second", func(_ context.Context, o contender.Order) error {
		second.add(o)
		return nil
	}); err != nil {
		return facts, err
	}
	func() {
		defer func() { facts.Panicked = recover() != nil }()
		if err := t.publish(context.Background(), 0); err != nil {
			facts.Refused = err.Error()
		}
	}()
	facts.Others = second.count(0) == 1
	facts.Usable = within(func() { _ = t.publish(context.Background(), 1) }) && first.count(1) == 1 && second.count(1) == 1
	return facts, nil
}

func panicAsync(t *trial) (Facts, error) {
	const panics = 8
	var handled tally
	if _, err := t.handle("only", func(_ context.Context, o contender.Order) error {
		if o.Seq < panics {
			panic(errHandler)
		}
		handled.add(o)
		return nil
	}); err != nil {
		return Facts{}, err
	}
	for i := range panics {
		if err := t.publish(context.Background(), i); err != nil {
			return Facts{Refused: err.Error()}, nil
		}
	}
	returned := within(func() { _ = t.publish(context.Background(), panics) })
	return Facts{Usable: returned && eventually(func() bool { return handled.count(panics) == 1 })}, nil
}

func ownTopic(t *trial) (Facts, error) {
	var handled tally
	if _, err := t.handle("only", func(ctx context.Context, o contender.Order) error {
		handled.add(o)
		if o.Seq == 0 {
			return t.publish(ctx, 1)
		}
		return nil
	}); err != nil {
		return Facts{}, err
	}
	if err := t.publish(context.Background(), 0); err != nil {
		return Facts{Refused: err.Error()}, nil
	}
	eventually(func() bool { return handled.count(1) > 0 })
	return Facts{Handled: handled.size()}, nil
}

// moving waits until done says true, and gives up when progress has not changed for a while, however long it took until then.
func moving(progress func() int, done func() bool) bool {
	for last, since := progress(), time.Now(); !done(); time.Sleep(time.Millisecond) {
		if now := progress(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > 2*pause {
			return false
		}
	}
	return true
}

// flood is more events than any contender's queue holds.
const flood = 52_000

func ownQueue(t *trial) (Facts, error) {
	var handled tally
	var started atomic.Bool
	var published atomic.Int64
	finished := make(chan error, 1)
	if _, err := t.handle("only", func(ctx context.Context, o contender.Order) error {
		if !started.CompareAndSwap(false, true) {
			handled.add(o)
			return nil
		}
		for i := range flood {
			if err := t.publish(ctx, i+1); err != nil {
				finished <- err
				return nil
			}
			published.Add(1)
		}
		finished <- nil
		return nil
	}); err != nil {
		return Facts{}, err
	}
	if err := t.publish(context.Background(), 0); err != nil {
		return Facts{Refused: err.Error()}, nil
	}
	progress := func() int { return int(published.Load()) + handled.size() }
	if !moving(progress, func() bool { return len(finished) > 0 }) {
		return Facts{Stalled: true}, nil
	}
	if err := <-finished; err != nil {
		return Facts{Refused: err.Error()}, nil
	}
	moving(progress, func() bool { return handled.size() >= flood })
	return Facts{Accepted: flood, Handled: handled.size()}, nil
}

func leave(t *trial) (Facts, error) {
	var leaving, staying [2]tally
	var remove func()
	handler := func(got *tally) func(context.Context, contender.Order) error {
		return func(_ context.Context, o contender.Order) error {
			got.add(o)
			return nil
		}
	}
	if _, err := t.handle("first", func(_ context.Context, o contender.Order) error {
		if o.Seq == 0 {
			remove()
		}
		staying[0].add(o)
		return nil
	}); err != nil {
		return Facts{}, err
	}
	var err error
	if remove, err = t.handle("second", handler(&leaving[0])); err != nil {
		return Facts{}, err
	}
	if remove == nil {
		return Facts{Unable: true}, nil
	}
	if _, err := t.handle("third", handler(&staying[1])); err != nil {
		return Facts{}, err
	}
	facts := Facts{Others: true}
	for seq := range uint32(2) {
		if err := t.publish(context.Background(), int(seq)); err != nil {
			return facts, err
		}
		for i := range staying {
			facts.Others = eventually(func() bool { return staying[i].count(seq) > 0 }) && facts.Others
		}
	}
	for i := range staying {
		facts.Others = facts.Others && staying[i].count(0) == 1 && staying[i].count(1) == 1
	}
	facts.Late = leaving[0].count(1)
	return facts, nil
}

func closeQueued(t *trial) (Facts, error) {
	const events = 10
	var facts Facts
	var handled tally
	entered, gate := make(chan struct{}, events), make(chan struct{})
	if _, err := t.handle("only", func(_ context.Context, o contender.Order) error {
		entered <- struct{}{}
		<-gate
		handled.add(o)
		return nil
	}); err != nil {
		return facts, err
	}
	var mu sync.Mutex // guards accepted
	accepted := 0
	within(func() {
		for i := range events {
			if t.publish(context.Background(), i) == nil {
				mu.Lock()
				accepted++
				mu.Unlock()
			}
		}
	})
	<-entered
	mu.Lock()
	facts.Accepted = accepted
	mu.Unlock()
	closed := make(chan error, 1)
	go func() { closed <- t.bus.Close(context.Background()) }()
	// Close must have begun when the gate opens, and nothing tells from outside that it has.
	time.Sleep(50 * time.Millisecond)
	close(gate)
	err := <-closed
	facts.AtClose = handled.size()
	if errors.Is(err, contender.ErrNoClose) {
		return Facts{Unable: true}, nil
	}
	if err != nil {
		return facts, fmt.Errorf("closing: %w", err)
	}
	eventually(func() bool { return handled.size() >= facts.Accepted })
	facts.Handled = handled.size()
	return facts, nil
}

func cancelAfter(t *trial) (Facts, error) {
	type key struct{}
	var facts Facts
	cancelled, seen := make(chan struct{}), make(chan context.Context, 1)
	if _, err := t.handle("only", func(ctx context.Context, _ contender.Order) error {
		<-cancelled
		facts.Cancelled = ctx.Err() != nil
		seen <- ctx
		return nil
	}); err != nil {
		return facts, err
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "request 1"))
	if err := t.publish(ctx, 0); err != nil {
		cancel()
		return Facts{Refused: err.Error()}, nil
	}
	cancel()
	close(cancelled)
	select {
	case got := <-seen:
		facts.Handled = 1
		facts.Context = got != contender.NoContext
		facts.Values = got.Value(key{}) != nil
	case <-time.After(pause):
	}
	return facts, nil
}

func inOrder(t *trial) (Facts, error) {
	const events = 20_000
	var handled tally
	if _, err := t.handle("only", func(_ context.Context, o contender.Order) error {
		// A handler that yields gives the next one every opportunity to overtake it.
		runtime.Gosched()
		handled.add(o)
		return nil
	}); err != nil {
		return Facts{}, err
	}
	for i := range events {
		if err := t.publish(context.Background(), i); err != nil {
			return Facts{Refused: err.Error()}, nil
		}
	}
	moving(handled.size, func() bool { return handled.size() >= events })
	got := handled.got()
	facts := Facts{Accepted: events, Handled: len(got)}
	for i := 1; i < len(got); i++ {
		if got[i] != (got[i-1]+1)%contender.Ring {
			facts.Disorder++
		}
	}
	return facts, nil
}
