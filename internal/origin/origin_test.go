package origin_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/origin"
)

// desk is a source of which the event with one number is at work.
type desk struct {
	mu     sync.Mutex
	atWork uint64
	held   int
}

func (d *desk) Hold(event uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if event != d.atWork {
		return false
	}
	d.held++
	return true
}

func (d *desk) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held--
}

type word struct{}

func newMaker(d *desk) *origin.Maker {
	return &origin.Maker{Origin: &origin.Origin{Life: new(origin.Life), Bus: "bus", Handler: "handler", Source: d}}
}

// TestContextsNameTheirEvents makes contexts of events whose numbers follow one
// another, leave gaps and come again, with publishers that change or do not.
func TestContextsNameTheirEvents(t *testing.T) {
	d := new(desk)
	m := newMaker(d)
	publishers := []context.Context{
		context.Background(), context.WithValue(t.Context(), word{}, "a"), context.WithValue(t.Context(), word{}, "b"),
	}
	type made struct {
		*origin.Context
		event     uint64
		publisher context.Context
	}
	var all []made
	numbers := []uint64{0, 1, 2, 3, 30, 31, 32, 33, 64, 65, 66, 1 << 40, 1<<40 + 31, 1<<40 + 32, 5}
	for event := range uint64(100) {
		numbers = append(numbers, 1000+event)
	}
	for i, event := range numbers {
		for range 1 + i%2 {
			publisher := publishers[i/7%len(publishers)]
			all = append(all, made{m.For(publisher, event), event, publisher})
		}
	}
	for _, c := range all {
		require.Equal(t, "bus", c.Bus())
		require.Equal(t, "handler", c.Handler())
		require.Equal(t, c.publisher.Value(word{}), c.Value(word{}))
		require.Equal(t, c.publisher, origin.Publisher(c.Context))
		require.Same(t, c.Context, origin.Of(context.WithValue(c.Context, word{}, "more")))
		d.atWork = c.event
		require.True(t, c.Hold())
		d.atWork = c.event + 1
		require.False(t, c.Hold(), "another event is at work")
		c.Release()
		require.Zero(t, d.held)
		for _, other := range all {
			if other.Context == c.Context {
				require.Equal(t, c.event, other.event, "no two events have one context")
			}
		}
	}
}

// TestContextsDoNotGrow has events that beget events, through layers of time limits
// and of handlers.
func TestContextsDoNotGrow(t *testing.T) {
	m := newMaker(new(desk))
	publisher := context.WithValue(t.Context(), word{}, "a")
	ctx := context.Context(m.For(publisher, 1))
	for event := range uint64(10) {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		layer := &origin.Layer{Context: derived, Beneath: ctx, Handler: "another"}
		require.Same(t, layer, origin.LayerOf(layer))
		require.Equal(t, publisher, origin.Publisher(layer))
		next := m.For(layer, 2+event)
		require.Nil(t, origin.LayerOf(next), "whose handler runs is told by the context itself")
		require.Equal(t, publisher, origin.Publisher(next))
		ctx = next
	}
	require.Equal(t, "a", ctx.Value(word{}))
	require.Nil(t, origin.Of(publisher))
	require.Nil(t, origin.Of(nil))                                //nolint:staticcheck // what a user may pass
	require.Equal(t, context.Background(), origin.Publisher(nil)) //nolint:staticcheck // likewise
}

func TestContextsEndWithTheBus(t *testing.T) {
	life := new(origin.Life)
	m := &origin.Maker{Origin: &origin.Origin{Life: life, Source: new(desk)}}
	publisher, cancel := context.WithCancel(t.Context())
	before, unasked := m.For(publisher, 1), m.For(context.Background(), 2)
	cancel()
	require.NoError(t, before.Err(), "the publisher's cancellation is not that of a handler")
	child, stop := context.WithCancel(before)
	defer stop()
	over := errors.New("over")
	life.End(over)
	life.End(errors.New("again"))
	for _, ctx := range []context.Context{before, child, unasked, m.For(publisher, 3)} {
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.Equal(t, over, context.Cause(ctx))
		_, ok := ctx.Deadline()
		require.False(t, ok)
	}
}

// TestContextsHoldTheirPublisherOnly keeps contexts, and not what others of their
// goroutine were made with.
func TestContextsHoldTheirPublisherOnly(t *testing.T) {
	m := newMaker(new(desk))
	freed := make(chan int, 10)
	publisher := func(number int) context.Context {
		value := &struct{ text [100]byte }{}
		runtime.AddCleanup(value, func(number int) { freed <- number }, number)
		return context.WithValue(context.Background(), word{}, value)
	}
	kept := m.For(publisher(1), 1)
	m.For(publisher(2), 2)
	m.For(publisher(3), 3)
	m.Forget()
	runtime.GC()
	require.ElementsMatch(t, []int{2, 3}, []int{<-freed, <-freed})
	require.Empty(t, freed)
	require.NotNil(t, kept.Value(word{}))
	runtime.KeepAlive(m)
}

func TestContextsOfOnePublisherShareABlock(t *testing.T) {
	m := newMaker(new(desk))
	event := uint64(0)
	const events = 32 * 100
	require.LessOrEqual(t, testing.AllocsPerRun(1, func() {
		for range events {
			event++
			m.For(context.Background(), event)
		}
	}), 101.0)
}
