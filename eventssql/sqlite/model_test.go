package sqlite_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
	"github.com/typedbus/events/eventssql/sqlite"
)

var modelRounds = flag.Int("sqlite.model", 20, "how many random scripts TestAgreesWithMemory plays")

// TestAgreesWithMemory plays random scripts on the engine in memory and on SQLite,
// in a bubble in which leases and retries take no time, and wants what their
// handlers saw to be the same: of each event the attempts and what has become of it,
// and of each key the order.
func TestAgreesWithMemory(t *testing.T) {
	for range *modelRounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.db")
			want := play(t, seed, func(*testing.T) durable.Engine { return durabletest.NewMemory() })
			got := play(t, seed, func(t *testing.T) durable.Engine {
				store, err := sqlite.Open(t.Context(), path, quiet())
				require.NoError(t, err)
				return store
			})
			assert.Equal(t, want, got)
		})
	}
}

// script is what happens, as a function of a seed.
type script struct {
	seed   uint64
	events []scripted
	killed int // how many events a process has in hand when it ends, at the start
}

type scripted struct {
	key   string
	delay time.Duration
}

type number struct{ N int }

var numbers = events.NewTopic[number]("numbers")

func newScript(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &script{seed: seed, killed: r.IntN(6)}
	for range 5 + r.IntN(60) {
		e := scripted{}
		if r.IntN(3) > 0 {
			e.key = fmt.Sprint("key ", r.IntN(4))
		}
		if r.IntN(8) == 0 {
			e.delay = time.Duration(r.IntN(100)) * time.Second
		}
		s.events = append(s.events, e)
	}
	return s
}

// fate says how an attempt ends. Waits are not left to chance.
func (s *script) fate(n, attempt int) error {
	switch rand.New(rand.NewPCG(s.seed, uint64(1000*n+attempt))).IntN(10) {
	case 0:
		return events.Permanent(errors.New("permanent"))
	case 1:
		return durable.RetryAfter(errors.New("later"), 10*time.Second)
	case 2, 3:
		return durable.RetryAfter(errors.New("failed"), time.Duration(attempt)*time.Second)
	}
	return nil
}

// outcome is what is compared.
type outcome struct {
	Attempts map[string][]int    // by group and event, as the handler saw them
	Keys     map[string][]string // by group in order and key: events in the order in which they were handled
	Dead     map[string][]string // by group: events with their attempts
	Stats    map[string]durable.Stats
}

func play(t *testing.T, seed uint64, newEngine func(*testing.T) durable.Engine) (result outcome) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(seed)
		engine := newEngine(t)
		defer func() { require.NoError(t, engine.Close(context.Background())) }()
		result = outcome{map[string][]int{}, map[string][]string{}, map[string][]string{}, map[string]durable.Stats{}}

		for group, order := range map[string][]durable.GroupOption{"free": nil, "ordered": {durable.WithOrderByKey()}} {
			require.NoError(t, durable.Declare(t.Context(), engine, numbers.Name(), group, order...))
		}
		for n, e := range s.events {
			options := []durable.PublishOption{durable.WithDelay(e.delay), durable.WithID(fmt.Sprint(n))}
			if e.key != "" {
				options = append(options, durable.WithKey(e.key))
			}
			require.NoError(t, durable.Publish(t.Context(), engine, numbers, number{n}, options...))
		}
		if s.killed > 0 {
			for group, ordered := range map[string]bool{"free": false, "ordered": true} {
				killed, err := engine.Open(t.Context(), durable.Consumer{Topic: numbers.Name(), Group: group, OrderByKey: ordered, Lease: time.Minute, MaxInFlight: s.killed})
				require.NoError(t, err)
				_, err = killed.Receive(t.Context(), s.killed)
				require.NoError(t, err)
			}
		}
		var subs []*durable.Subscription
		for _, group := range []string{"free", "ordered"} {
			options := []durable.SubscribeOption{durable.WithAttempts(4), durable.WithPrefetch(7), durable.WithLogger(slog.New(slog.DiscardHandler))}
			if group == "ordered" {
				options = append(options, durable.WithOrderByKey())
			}
			seen := make(map[string][]int)
			keys := make(map[string][]string)
			sub, err := durable.Subscribe(t.Context(), engine, numbers, group, func(ctx context.Context, n number) error {
				d := durable.FromContext(ctx)
				name := fmt.Sprint(group, " ", n.N)
				seen[name] = append(seen[name], d.Attempt)
				if d.Key != "" && group == "ordered" {
					keys[d.Key] = append(keys[d.Key], fmt.Sprint(n.N, " attempt ", d.Attempt))
				}
				return s.fate(n.N, d.Attempt)
			}, options...)
			require.NoError(t, err)
			subs = append(subs, sub)
			defer func() {
				maps.Copy(result.Attempts, seen)
				for key, order := range keys {
					result.Keys[group+" "+key] = order
				}
			}()
		}
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		letters, err := durable.DeadLettersOf(engine)
		require.NoError(t, err)
		for _, sub := range subs {
			require.NoError(t, sub.Close(t.Context()))
			stats := sub.Stats()
			require.Equal(t, len(s.events), int(stats.Handled+stats.DeadLettered), "%T, %s: %+v", engine, sub.Group(), stats)
			stats.Released = 0 // how far a run goes is an engine's own
			result.Stats[sub.Group()] = stats
			list, err := letters.List(t.Context(), numbers.Name(), sub.Group(), "", 1000)
			require.NoError(t, err)
			for _, letter := range list {
				result.Dead[sub.Group()] = append(result.Dead[sub.Group()], fmt.Sprintf("%s: %d attempts, %s", letter.ID, letter.Attempts, letter.Reason))
			}
		}
	})
	return result
}
