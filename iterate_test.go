package events_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// rangeOver ranges over seq in a goroutine and returns what it got so far, and
// whether the loop has ended.
func rangeOver(seq iter.Seq2[context.Context, int]) (l *ledger, ended func() bool) {
	l = new(ledger)
	wait := inBackground(func() error {
		for _, n := range seq {
			l.add(n)
		}
		return nil
	})
	return l, func() bool {
		done, _ := wait()
		return done
	}
}

// subscriptionNamed returns a subscription that is not handed out otherwise.
func subscriptionNamed(t testing.TB, bus *events.Bus, name string) *events.Subscription {
	t.Helper()
	for topic := range bus.Topics() {
		for _, s := range topic.Subscriptions {
			if s.Name() == name {
				return s
			}
		}
	}
	t.Fatalf("no subscription is called %s", name)
	return nil
}

func TestAll(t *testing.T) {
	number := func() *events.Topic[int] { return events.NewTopic[int]("number") }

	t.Run("gets the events since the call, in order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			publish(t, bus, topic, -1)
			seq := topic.All(context.Background(), bus)
			publish(t, bus, topic, count(3)...)
			l, ended := rangeOver(seq)
			require.False(t, ended())
			require.Equal(t, count(3), l.take())
			for n := range 3 {
				publish(t, bus, topic, n)
				require.False(t, ended())
				require.Equal(t, []int{n}, l.take())
			}
			require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "number", Data: 9}))
			mustClose(t, bus)
			require.True(t, ended())
			require.Equal(t, []int{9}, l.take())
		})
	})

	for _, how := range []string{"break", "panic", "goexit"} {
		t.Run("leaving the loop unsubscribes, "+how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t), number()
				seq := topic.All(context.Background(), bus, events.WithQueue(3))
				publish(t, bus, topic, count(3)...)
				var l ledger
				exits(func() {
					defer func() { _ = recover() }()
					for _, n := range seq {
						l.add(n)
						switch how {
						case "panic":
							panic("x")
						case "goexit":
							runtime.Goexit()
						}
						break
					}
				})
				require.False(t, bus.HasHandlers("number"))
				publish(t, bus, topic, count(10)...) // which nothing holds up
				require.Equal(t, []int{0}, l.take())
				mustClose(t, bus)
			})
		})
	}

	t.Run("the end of ctx ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			ctx, cancel := context.WithCancel(context.Background())
			l, ended := rangeOver(topic.All(ctx, bus, events.WithQueue(2)))
			publish(t, bus, topic, 0)
			require.False(t, ended())
			cancel()
			require.True(t, ended())
			require.Equal(t, []int{0}, l.take())
			require.False(t, bus.HasHandlers("number"))
			publish(t, bus, topic, count(10)...)
			require.Empty(t, l.take())
		})
	})

	t.Run("the end of ctx ends a loop at work after its body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			seq := topic.All(ctx, bus)
			publish(t, bus, topic, count(5)...)
			var got []int
			for _, n := range seq {
				if got = append(got, n); n == 2 {
					cancel()
				}
			}
			require.Equal(t, count(3), got)
		})
	})

	t.Run("a ctx that is done before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			seq := topic.All(ctx, bus, events.WithQueue(1))
			synctest.Wait()
			publish(t, bus, topic, count(3)...)
			for range seq {
				t.Error("got an event")
			}
			require.False(t, bus.HasHandlers("number"))
		})
	})

	t.Run("single use", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.Background(), bus)
			publish(t, bus, topic, 0, 1)
			for _, n := range seq {
				require.Zero(t, n)
				break
			}
			for range seq {
				t.Error("ranged over twice")
			}
			again := topic.All(context.Background(), bus)
			l, _ := rangeOver(again)
			synctest.Wait()
			_, ended := rangeOver(again)
			require.True(t, ended(), "also while the first one is under way")
			publish(t, bus, topic, 7)
			synctest.Wait()
			require.Equal(t, []int{7}, l.take())
		})
	})

	t.Run("several", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			a, _ := rangeOver(topic.All(context.Background(), bus))
			b, _ := rangeOver(topic.All(context.Background(), bus))
			publish(t, bus, topic, count(100)...)
			synctest.Wait()
			mustClose(t, bus)
			require.Equal(t, count(100), a.take())
			require.Equal(t, count(100), b.take())
		})
	})

	t.Run("holds the publisher up by default", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.Background(), bus)
			waits := inBackground(func() error { publish(t, bus, topic, count(1025)...); return nil })
			done, _ := waits()
			require.False(t, done)
			l, _ := rangeOver(seq)
			done, _ = waits()
			require.True(t, done)
			synctest.Wait()
			require.Equal(t, count(1025), l.take())
		})
	})

	t.Run("WithOverflow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus, topic := newBus(t, reported.option()), number()
			rejects := topic.All(context.Background(), bus, events.WithQueue(2), events.WithOverflow(events.Reject))
			publish(t, bus, topic, 0, 1)
			require.ErrorIs(t, topic.Publish(context.Background(), bus, 2), events.ErrFull)
			for range rejects {
				break
			}
			drops := topic.All(context.Background(), bus, events.WithQueue(2), events.WithOverflow(events.DropOldest))
			publish(t, bus, topic, count(5)...)
			l, _ := rangeOver(drops)
			synctest.Wait()
			require.Equal(t, []int{3, 4}, l.take())
			errs := reported.take()
			require.Len(t, errs, 1)
			overflow, ok := errors.AsType[*events.OverflowError](errs[0])
			require.True(t, ok)
			require.Equal(t, events.OverflowError{Event: "number", Handler: `All("number")`, Dropped: 3}, *overflow)
		})
	})

	t.Run("the contexts are those of the publishers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.WithValue(context.Background(), requestKey{}, "loop"), bus)
			for n := range 3 {
				request, cancel := context.WithTimeout(context.WithValue(context.Background(), requestKey{}, n), time.Second)
				require.NoError(t, topic.Publish(request, bus, n))
				cancel()
			}
			seen := 0
			for ctx, n := range seq {
				require.Equal(t, n, ctx.Value(requestKey{}))
				require.NoError(t, ctx.Err())
				if seen++; seen == 3 {
					break
				}
			}
		})
	})

	t.Run("what does not fit is reported, and the iterator empty", func(t *testing.T) {
		var reported failures
		bus, topic := newBus(t, reported.option()), number()
		var none context.Context
		s := handle(t, bus, topic, new(ledger).handle)
		for range events.NewTopic[string]("number").All(t.Context(), bus) {
			t.Error("got an event")
		}
		s.Unsubscribe()
		for _, seq := range []iter.Seq2[context.Context, int]{
			topic.All(t.Context(), bus, events.WithQueue(0)),
			topic.All(t.Context(), bus, events.WithLanes(2)),
			topic.All(t.Context(), bus, events.WithOnce()),
			topic.All(t.Context(), bus, events.WithBatch(1, time.Second)),
			topic.All(t.Context(), bus, events.WithMiddleware(events.Recover())),
			topic.All(none, bus),
			topic.All(t.Context(), bus, nil),
		} {
			for range seq {
				t.Error("got an event")
			}
		}
		require.False(t, bus.HasHandlers("number"))
		errs := reported.take()
		require.Len(t, errs, 8)
		text := errors.Join(errs...).Error()
		for _, says := range []string{
			"WithQueue(0)", "WithLanes is for", "WithOnce is for", "WithBatch is for", "WithMiddleware is for",
			"context is nil", "option is nil", "topic has another payload type",
		} {
			require.Contains(t, text, says)
		}
		stillWorks(t, bus)

		require.NoError(t, bus.Close(t.Context()))
		for range topic.All(t.Context(), bus) {
			t.Error("got an event")
		}
		errs = reported.take()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], events.ErrClosed)
	})

	t.Run("no bus", func(t *testing.T) {
		setDefaultLogger(t, slog.New(slog.DiscardHandler))
		for range number().All(t.Context(), nil) {
			t.Error("got an event")
		}
	})

	t.Run("many loops that come and go", func(t *testing.T) {
		bus, topic := newBus(t), number()
		kept := retained(func() {
			for n := range 1000 {
				seq := topic.All(context.Background(), bus, events.WithQueue(4))
				publish(t, bus, topic, n)
				for range seq {
					break
				}
			}
		})
		require.Less(t, kept, int64(128<<10))
		runtime.KeepAlive(bus)
	})
}

// TestAllEnds is about loops that the end of the bus, or of their subscription,
// finds, and that bring it about.
func TestAllEnds(t *testing.T) {
	number := func() *events.Topic[int] { return events.NewTopic[int]("number") }

	t.Run("Close ends it after what is queued", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			slow := newTurnstile(t)
			seq := topic.All(context.Background(), bus)
			publish(t, bus, topic, count(5)...)
			ended := inBackground(func() error {
				for _, n := range seq {
					_ = slow.handle(context.Background(), n)
				}
				return nil
			})
			_, _ = ended()
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			done, _ := closed()
			require.False(t, done, "Close waits for the loop's body")
			require.ErrorIs(t, topic.Publish(context.Background(), bus, 5), events.ErrClosed)
			slow.open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			done, _ = ended()
			require.True(t, done)
			require.Equal(t, count(5), slow.take())
		})
	})

	t.Run("Close before the loop begins", func(t *testing.T) {
		// The goroutine that is about to range may be late: what was accepted
		// is its all the same.
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.Background(), bus)
			publish(t, bus, topic, count(3)...)
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			_, _ = closed()
			l, ended := rangeOver(seq)
			require.True(t, ended())
			require.Equal(t, count(3), l.take(), "accepted and never handled")
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
		})
	})

	t.Run("Close with a loop that never begins", func(t *testing.T) {
		// Either Close hands on what is queued or it says what was left.
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.Background(), bus)
			publish(t, bus, topic, count(3)...)
			err := closeWithin(context.Background(), bus, time.Minute)
			if err == nil {
				l, ended := rangeOver(seq)
				require.True(t, ended())
				require.Equal(t, count(3), l.take(), "Close returned nil")
			} else {
				require.ErrorContains(t, err, "3 events left")
			}
		})
	})

	for how, end := range map[string]func(bus *events.Bus, cancel func()){
		"the end of its ctx": func(_ *events.Bus, cancel func()) { cancel() },
		"Unsubscribe": func(bus *events.Bus, _ func()) {
			for topic := range bus.Topics() {
				topic.Subscriptions[0].Unsubscribe()
			}
		},
	} {
		t.Run("Close waits no longer for a loop that never begins after "+how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t), number()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				seq := topic.All(ctx, bus)
				publish(t, bus, topic, count(3)...)
				var took time.Duration
				closed := inBackground(func() error {
					defer func(begun time.Time) { took = time.Since(begun) }(time.Now())
					return closeWithin(context.Background(), bus, time.Minute)
				})
				done, _ := closed()
				require.False(t, done)
				end(bus, cancel)
				time.Sleep(time.Hour)
				done, err := closed()
				require.True(t, done)
				require.NoError(t, err)
				require.Zero(t, took, "nothing is left to wait for")
				for range seq {
					t.Error("got an event")
				}
			})
		})
	}

	t.Run("Close of an idle one that never begins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.Background(), bus)
			mustClose(t, bus)
			for range seq {
				t.Error("got an event")
			}
		})
	})

	for name, with := range map[string]func(ctx context.Context) context.Context{
		"its context": func(ctx context.Context) context.Context { return ctx },
		"Background":  func(context.Context) context.Context { return context.Background() },
	} {
		t.Run("Close by the loop's body, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t), number()
				seq := topic.All(context.Background(), bus)
				publish(t, bus, topic, count(3)...)
				var got []int
				var errs []error
				begun := time.Now()
				for ctx, n := range seq {
					got = append(got, n)
					if n == 0 {
						errs = append(errs, closeWithin(with(ctx), bus, time.Minute))
					}
				}
				require.Zero(t, time.Since(begun))
				require.Len(t, errs, 1)
				require.ErrorIs(t, errs[0], events.ErrDeadlock)
				require.Equal(t, count(3), got, "the loop gets what is queued, and ends by itself")
				mustClose(t, bus)
			})
		})
	}

	t.Run("Close of another bus by the loop's body waits", func(t *testing.T) {
		// The loop is nothing to that bus.
		synctest.Test(t, func(t *testing.T) {
			bus, topic, other := newBus(t), number(), newBus(t)
			slow := newTurnstile(t)
			handle(t, other, topic, slow.handle, events.WithQueue(1))
			publish(t, other, topic, 1)
			synctest.Wait()
			seq := topic.All(context.Background(), bus)
			publish(t, bus, topic, 0)
			closed := inBackground(func() error {
				for range seq {
					return closeWithin(context.Background(), other, time.Hour)
				}
				return errOther
			})
			done, _ := closed()
			require.False(t, done)
			slow.open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
		})
	})

	t.Run("Drain of one that never begins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.Background(), bus, events.WithName("loop"))
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			require.NoError(t, subscriptionNamed(t, bus, "loop").Drain(ctx), "nothing is queued, so there is nothing to wait for")
			for range seq {
				t.Error("got an event")
			}
		})
	})

	t.Run("Drain of one that begins late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			seq := topic.All(context.Background(), bus, events.WithName("loop"))
			s := subscriptionNamed(t, bus, "loop")
			publish(t, bus, topic, 1)
			drained := inBackground(func() error { return s.Drain(context.Background()) })
			done, _ := drained()
			require.False(t, done, "an event is left for it")
			l, ended := rangeOver(seq)
			require.True(t, ended())
			require.Equal(t, []int{1}, l.take())
			done, err := drained()
			require.True(t, done)
			require.NoError(t, err)
		})
	})

	t.Run("publishes of the body are accepted while the bus closes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic, next := newBus(t), number(), events.NewTopic[int]("next")
			var l ledger
			handle(t, bus, next, l.handle, events.WithQueue(1))
			gate, open := barrier(t)
			seq := topic.All(context.Background(), bus)
			publish(t, bus, topic, count(3)...)
			ended := inBackground(func() error {
				var errs []error
				for ctx, n := range seq {
					<-gate
					errs = append(errs, next.Publish(ctx, bus, n))
				}
				return errors.Join(errs...)
			})
			_, _ = ended()
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Minute) })
			_, _ = closed()
			open()
			_, err := closed()
			require.NoError(t, err)
			done, err := ended()
			require.True(t, done)
			require.NoError(t, err)
			require.Equal(t, count(3), l.take())
		})
	})
}

func TestWithReplay(t *testing.T) {
	replays := func(n int) *events.Topic[int] { return events.NewTopic[int]("number", events.WithReplay(n)) }
	// What each way to subscribe gets.
	ways := map[string]func(t *testing.T, bus *events.Bus, topic *events.Topic[int], options ...events.SubscribeOption) *ledger{
		"typed": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], options ...events.SubscribeOption) *ledger {
			l := new(ledger)
			handle(t, bus, topic, l.handle, append(options, events.WithQueue(3))...)
			return l
		},
		"untyped": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], options ...events.SubscribeOption) *ledger {
			l := new(ledger)
			subscribe(t, bus, topic.Name(), l.handleEvent, append(options, events.WithQueue(3))...)
			return l
		},
		"All": func(_ *testing.T, bus *events.Bus, topic *events.Topic[int], options ...events.SubscribeOption) *ledger {
			l, _ := rangeOver(topic.All(context.Background(), bus, append(options, events.WithQueue(3))...))
			return l
		},
		"batch": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], options ...events.SubscribeOption) *ledger {
			l := new(ledger)
			subscribeBatch(t, bus, topic, func(_ context.Context, numbers []int) error { l.add(numbers...); return nil },
				append(options, events.WithBatch(1, time.Hour))...)
			return l
		},
	}
	for way, join := range ways {
		t.Run("nobody subscribed yet, "+way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t), replays(5)
				publish(t, bus, topic, count(12)...)
				l := join(t, bus, topic)
				synctest.Wait()
				require.Equal(t, between(7, 11), l.take(), "the last five, beyond the capacity of three")
				publish(t, bus, topic, 12)
				synctest.Wait()
				require.Equal(t, []int{12}, l.take(), "and then what comes, once")
			})
		})

		t.Run("fewer than it keeps, "+way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t), replays(5)
				publish(t, bus, topic, 0, 1)
				l := join(t, bus, topic)
				synctest.Wait()
				require.Equal(t, count(2), l.take())
			})
		})

		t.Run("beside others, "+way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t), replays(5)
				var inline ledger
				handle(t, bus, topic, inline.handle)
				early := join(t, bus, topic)
				publish(t, bus, topic, count(20)...)
				require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "number", Data: 20}))
				synctest.Wait()
				late := join(t, bus, topic)
				synctest.Wait()
				require.Equal(t, between(16, 20), late.take())
				require.Equal(t, count(21), early.take(), "nothing twice")
				require.Equal(t, count(21), inline.take(), "an inline handler gets no replay")
			})
		})

		t.Run("comes and goes, "+way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t), replays(3)
				for round := range 5 {
					ctx, cancel := context.WithCancel(context.Background())
					l := join(t, bus, topic, untilUnlessAll(ctx, way)...)
					synctest.Wait()
					want := between(max(0, round*2-3), round*2-1)
					require.ElementsMatch(t, want, l.take(), "round %d", round)
					if way != "All" {
						cancel()
						synctest.Wait()
					}
					publish(t, bus, topic, round*2, round*2+1)
					cancel()
				}
			})
		})
	}

	t.Run("patterns get none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), replays(5)
			publish(t, bus, topic, count(3)...)
			var l ledger
			subscribe(t, bus, "*", l.handleEvent, events.WithQueue(3))
			publish(t, bus, topic, 3)
			mustClose(t, bus)
			require.Equal(t, []int{3}, l.take())
		})
	})

	t.Run("untyped handlers see what typed publishes left, and the other way round", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			topic := events.NewTopic[account]("account.created", events.WithReplay(10))
			bus := newBus(t)
			require.NoError(t, topic.Publish(context.Background(), bus, ada))
			require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: map[string]any{"id": 2}}))
			var untyped []any
			var typed []account
			subscribe(t, bus, "account.created", func(_ context.Context, e events.Event) error {
				untyped = append(untyped, e.Data)
				return nil
			}, events.WithQueue(1))
			handle(t, bus, topic, func(_ context.Context, a account) error { typed = append(typed, a); return nil }, events.WithQueue(1))
			mustClose(t, bus)
			require.Equal(t, []any{ada, map[string]any{"id": 2}}, untyped)
			require.Equal(t, []account{ada, {ID: 2}}, typed)
		})
	})

	t.Run("WithMapPayload", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			topic := events.NewTopic[account]("account.created", events.WithReplay(10), events.WithMapPayload())
			bus := newBus(t)
			require.NoError(t, topic.Publish(context.Background(), bus, ada))
			var got []any
			subscribe(t, bus, "account.created", func(_ context.Context, e events.Event) error { got = append(got, e.Data); return nil }, events.WithQueue(1))
			require.NoError(t, topic.Publish(context.Background(), bus, ada))
			mustClose(t, bus)
			require.Equal(t, []any{map[string]any{"id": 1, "name": "Ada"}, map[string]any{"id": 1, "name": "Ada"}}, got)
		})
	})

	t.Run("the contexts are kept", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), replays(5)
			request, cancel := context.WithCancel(context.WithValue(context.Background(), requestKey{}, "r"))
			require.NoError(t, topic.Publish(request, bus, 1))
			cancel()
			for ctx := range topic.All(context.Background(), bus) {
				require.Equal(t, "r", ctx.Value(requestKey{}))
				require.NoError(t, ctx.Err())
				break
			}
		})
	})

	t.Run("lanes and keyed lanes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, options := range [][]events.SubscribeOption{{events.WithLanes(3)}, {events.WithLanes(3), byRemainder(1)}, {events.WithLanes(3), byRemainder(4)}} {
				bus, topic := newBus(t), replays(50)
				publish(t, bus, topic, count(50)...)
				var l ledger
				s := handle(t, bus, topic, l.handle, append(options, events.WithQueue(2))...)
				mustClose(t, bus)
				require.ElementsMatch(t, count(50), l.take())
				require.Equal(t, events.Stats{Capacity: 2, Delivered: 50}, s.Stats())
			}
		})
	})

	t.Run("a publish that waited is replayed, too", func(t *testing.T) {
		// It waits for a typed queue; the log for untyped ones begins meanwhile.
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), replays(10)
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(1))
			full(t, bus, topic, 1)
			waits := inBackground(func() error { return topic.Publish(context.Background(), bus, 2) })
			_, _ = waits()
			subscribe(t, bus, "number", new(ledger).handleEvent, events.WithQueue(10))
			slow.open()
			done, err := waits()
			require.True(t, done)
			require.NoError(t, err)
			publish(t, bus, topic, 3)
			var typed, untyped ledger
			handle(t, bus, topic, typed.handle, events.WithQueue(10))
			subscribe(t, bus, "number", untyped.handleEvent, events.WithQueue(10))
			mustClose(t, bus)
			require.Equal(t, count(4), typed.take())
			require.Equal(t, count(4), untyped.take(), "the last ten events, as published")
		})
	})

	t.Run("what was rejected is not replayed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), replays(10)
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(1), events.WithOverflow(events.Reject))
			full(t, bus, topic, 1)
			require.ErrorIs(t, topic.Publish(context.Background(), bus, 2), events.ErrFull)
			var l ledger
			handle(t, bus, topic, l.handle, events.WithQueue(1))
			slow.open()
			mustClose(t, bus)
			require.Equal(t, count(2), l.take())
		})
	})

	t.Run("PublishAsync", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), replays(3)
			for n := range 5 {
				require.NoError(t, topic.PublishAsync(context.Background(), bus, n))
				synctest.Wait()
			}
			l, _ := rangeOver(topic.All(context.Background(), bus))
			synctest.Wait()
			require.Equal(t, between(2, 4), l.take())
		})
	})

	t.Run("each bus keeps its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			topic := replays(3)
			a, b := newBus(t), newBus(t)
			publish(t, a, topic, 1)
			publish(t, b, topic, 2)
			publish(t, a, topic, 3)
			of := func(bus *events.Bus) []int {
				l, _ := rangeOver(topic.All(context.Background(), bus))
				synctest.Wait()
				return l.take()
			}
			require.Equal(t, []int{1, 3}, of(a))
			require.Equal(t, []int{2}, of(b))
		})
	})

	t.Run("a topic that the bus meets later asks for more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			few := events.NewTopic[int]("number")
			more := replays(3)
			publish(t, bus, few, 0)
			publish(t, bus, more, count(5)...)
			publish(t, bus, few, 5)
			l, _ := rangeOver(few.All(context.Background(), bus))
			synctest.Wait()
			require.Equal(t, between(3, 5), l.take())
		})
	})

	t.Run("keeps no more than it says", func(t *testing.T) {
		topic := events.NewTopic[*tracked]("tracked", events.WithReplay(5))
		var c collectible
		bus := newBus(t)
		for range 200 {
			require.NoError(t, topic.Publish(context.Background(), bus, c.make()))
		}
		require.LessOrEqual(t, c.left(5), int64(5))
		s := handle(t, bus, topic, func(context.Context, *tracked) error { return nil }, events.WithQueue(10))
		for range 200 {
			require.NoError(t, topic.Publish(context.Background(), bus, c.make()))
		}
		require.NoError(t, s.Drain(context.Background()))
		require.LessOrEqual(t, c.left(5), int64(5))
		runtime.KeepAlive(bus)
	})

	t.Run("negative", func(t *testing.T) {
		require.Contains(t, panicText(t, func() { events.WithReplay(-1) }), "WithReplay(-1)")
	})

	t.Run("none", func(t *testing.T) {
		bus, topic := newBus(t), replays(0)
		publish(t, bus, topic, 1)
		require.False(t, bus.HasHandlers("number"))
		l := new(ledger)
		handle(t, bus, topic, l.handle, events.WithQueue(1))
		mustClose(t, bus)
		require.Empty(t, l.take())
	})
}

// untilUnlessAll ends a subscription with ctx, which for All is its own option.
func untilUnlessAll(ctx context.Context, way string) []events.SubscribeOption {
	if way == "All" {
		return nil
	}
	return []events.SubscribeOption{events.WithUntil(ctx)}
}

// TestReplayGoesOverIntoTheQueue is the part of QueuedIsInOrder for subscriptions with
// replay that are made while others publish: between what is replayed and what is
// queued there is no gap, and nothing comes twice.
func TestReplayGoesOverIntoTheQueue(t *testing.T) {
	for name, options := range map[string][]events.SubscribeOption{
		"log":  {events.WithQueue(10_000)},
		"keys": {events.WithQueue(10_000), events.WithLanes(2), events.WithOrderBy(func(int) string { return "k" })},
	} {
		for range 10 {
			topic, bus := events.NewTopic[int]("number", events.WithReplay(10_000)), events.New()
			var over atomic.Bool
			var publisher sync.WaitGroup
			publisher.Go(func() {
				for n := 1; n < 3000 && !over.Load(); n++ {
					if err := topic.Publish(t.Context(), bus, n); err != nil {
						t.Error(err)
					}
				}
			})
			for range 20 {
				last := 0
				handle(t, bus, topic, func(_ context.Context, n int) error {
					if n != last+1 {
						t.Errorf("%s: %d after %d", name, n, last)
					}
					last = n
					return nil
				}, options...)
				runtime.Gosched()
			}
			over.Store(true)
			publisher.Wait()
			require.NoError(t, bus.Close(t.Context()))
		}
	}
}
