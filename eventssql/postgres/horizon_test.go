package postgres

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// world is a server in which transactions take ids, are prepared and end, in any order.
type world struct {
	*rand.Rand
	sight
	ids  map[string][]int64 // that each open transaction has taken
	open []string
	next int
}

func (w *world) step() {
	switch n := w.IntN(10); {
	case n < 3 || len(w.open) == 0: // one begins
		w.next++
		name := fmt.Sprint(w.IntN(8), "/", w.next)
		w.open = append(w.open, name)
		w.holders[name] = true
	case n < 7: // one takes an id
		name := w.open[w.IntN(len(w.open))]
		w.last++
		w.ids[name] = append(w.ids[name], w.last)
	default: // one ends, or is prepared
		i := w.IntN(len(w.open))
		name := w.open[i]
		w.open = append(w.open[:i], w.open[i+1:]...)
		delete(w.holders, name)
		if name[0] == '-' {
			w.prepared--
		} else if w.IntN(5) == 0 {
			other := "-1/" + name
			w.open = append(w.open, other)
			w.holders[other], w.ids[other] = true, w.ids[name]
			w.prepared++
		}
		delete(w.ids, name)
	}
}

// TestHorizonPassesNoOpenTransaction in worlds of all sorts, whatever happens between
// the two parts of a look; and comes to the end when all are over.
func TestHorizonPassesNoOpenTransaction(t *testing.T) {
	for range 60 {
		seed := rand.Uint64()
		w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), sight: sight{server: 1, holders: make(map[string]bool)}, ids: make(map[string][]int64)}
		var h horizon
		busy := w.IntN(30)
		for range 300 {
			for range w.IntN(busy + 1) {
				w.step()
			}
			last := w.last // the first part of a look
			for range w.IntN(3) {
				w.step()
			}
			h.conclude(sight{w.server, last, maps.Clone(w.holders), w.prepared}, time.Now())
			require.LessOrEqual(t, len(h.epochs), mostEpochs)
			for name, ids := range w.ids {
				for _, id := range ids {
					require.Greater(t, id, h.final, "seed %d: %s is open", seed, name)
				}
			}
			if w.IntN(200) == 0 { // another server takes over, which has not seen all
				w.server++
				w.last = max(0, w.last-w.Int64N(10))
				for name := range w.holders {
					if name[0] != '-' {
						delete(w.holders, name)
						delete(w.ids, name)
					}
				}
				w.open = w.open[:0]
				for name := range w.holders {
					w.open = append(w.open, name)
					w.last = max(w.last, slices.Max(append(w.ids[name], 0)))
				}
			}
		}
		for len(w.open) > 0 {
			name := w.open[0]
			if w.open = w.open[1:]; name[0] == '-' {
				w.prepared--
			}
			delete(w.holders, name)
		}
		h.conclude(sight{w.server, w.last, maps.Clone(w.holders), w.prepared}, time.Now())
		require.Equal(t, w.last, h.final, "seed %d", seed)
	}
}
