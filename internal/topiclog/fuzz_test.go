package topiclog_test

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/typedbus/events/internal/topiclog"
)

// modelCursor is a cursor on a slice.
type modelCursor struct {
	real     *reader
	policy   topiclog.Policy
	capacity int
	shared   bool

	pending  []int // unread
	replayed int   // of pending, those that do not count
	held     int
	taken    int
	dropped  int
	gap      int
	over     bool
}

func (m *modelCursor) counted() int { return len(m.pending) - m.replayed + m.held }

// play does the same to a log and to a slice, and fails the test where the two
// differ.
func play(t *testing.T, script []byte) {
	t.Helper()
	var active atomic.Int64
	log := topiclog.New[int](&active)
	var all []int
	var cursors []*modelCursor
	retained, next := 0, 0
	kept := func() []int { return all[len(all)-min(len(all), retained):] }

	below := func(n int) int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b) % n
	}
	pick := func() *modelCursor {
		if len(cursors) == 0 {
			return nil
		}
		return cursors[below(len(cursors))]
	}
	write := func() {
		var want *modelCursor
		for _, m := range cursors {
			if !m.over && m.policy != topiclog.DropOldest && m.counted() >= m.capacity && (want == nil || m.policy == topiclog.Reject && want.policy != topiclog.Reject) {
				want = m
			}
		}
		log.Lock()
		defer log.Unlock()
		full := log.Full()
		if (full == nil) != (want == nil) || full != nil && full.Policy() != want.policy {
			t.Fatalf("Full: %+v, want %+v", full, want)
		}
		if full != nil {
			return
		}
		log.Append(next)
		if len(cursors) > 0 || retained > 0 {
			all = append(all, next)
		}
		for _, m := range cursors {
			if m.over {
				continue
			}
			if m.policy == topiclog.DropOldest && len(m.pending)-m.replayed >= m.capacity {
				excess := m.replayed + len(m.pending) - m.replayed - m.capacity + 1
				m.pending = m.pending[excess:]
				m.replayed = 0
				m.gap += excess
				m.dropped += excess
			}
			m.pending = append(m.pending, next)
		}
		next++
	}
	take := func(m *modelCursor, hold bool) {
		var event int
		var dropped uint64
		var ok bool
		if m.shared && hold || m.policy == topiclog.DropOldest {
			dropped, ok = m.real.Take(&event, hold && m.shared)
		} else {
			hold = false
			ok = m.real.Next(&event)
		}
		hold = hold && m.shared
		if ok != (len(m.pending) > 0) {
			t.Fatalf("Next: %t with %v before it", ok, m.pending)
		}
		if !ok {
			return
		}
		if event != m.pending[0] || int(dropped) != m.gap {
			t.Fatalf("Next: %d, %d dropped, want %d, %d", event, dropped, m.pending[0], m.gap)
		}
		m.gap = 0
		m.pending = m.pending[1:]
		m.replayed = max(0, m.replayed-1)
		if hold {
			m.held++
		} else {
			m.taken++
		}
	}

	for len(script) > 0 {
		switch below(9) {
		case 0, 1, 2:
			for range 1 + below(12) {
				write()
			}
		case 3:
			if len(cursors) < 8 {
				m := &modelCursor{capacity: 1 + below(20), policy: topiclog.Policy(below(3))}
				readers := 1 + below(2)
				m.shared = readers > 1
				m.pending = slices.Clone(kept())
				m.replayed = len(m.pending)
				m.real = log.Open(m, m.capacity, readers, m.policy)
				cursors = append(cursors, m)
			}
		case 4, 5:
			if m := pick(); m != nil {
				for range 1 + below(12) {
					take(m, false)
				}
			}
		case 6:
			// The model knows of held events with Block and Reject only.
			if m := pick(); m != nil && m.shared && m.policy != topiclog.DropOldest && m.replayed == 0 && !m.over {
				if below(2) == 0 && m.held > 0 {
					m.real.Begin()
					m.held--
					m.taken++
				} else {
					take(m, true)
				}
			}
		case 7:
			if m := pick(); m != nil {
				drop := below(2) == 0
				want := len(m.pending) + m.held
				if m.over && !drop {
					want = 0
				}
				if got := m.real.End(drop); m.held == 0 && int(got) != want {
					t.Fatalf("End(%t): %d, want %d", drop, got, want)
				}
				m.over = true
				if drop {
					m.pending, m.replayed, m.gap = nil, 0, 0
				}
			}
		case 8:
			if below(4) == 0 {
				retained = max(retained, below(10))
				log.Retain(retained)
				// What has been let go of before does not come back.
				all = replayed(log)
			} else if m := pick(); m != nil {
				asleep, ended := m.real.Sleep()
				if asleep != (len(m.pending) == 0 && !m.over) || ended != (len(m.pending) == 0 && m.over) {
					t.Fatalf("Sleep: %t, %t with %v before it, over %t", asleep, ended, m.pending, m.over)
				}
				if asleep {
					m.real.Rouse()
				}
			}
		}
		if got := replayed(log); !slices.Equal(got, kept()) {
			t.Fatalf("Retained: %v, want %v", got, kept())
		}
		if active.Load() != 0 {
			t.Fatalf("%d active", active.Load())
		}
		for _, m := range cursors {
			taken, dropped, lag := int(m.real.Taken()), int(m.real.Dropped()), int(m.real.Lag())
			if m.held == 0 && (taken != m.taken || dropped != m.dropped || lag != len(m.pending)) {
				t.Fatalf("Taken, Dropped, Lag: %d, %d, %d, want %d, %d, %d", taken, dropped, lag, m.taken, m.dropped, len(m.pending))
			}
		}
	}
}

func TestLogAgreesWithSlice(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 1000
	}
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 1+random.IntN(300))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		play(t, script)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3, 3, 0, 0, 0, 5, 4, 0, 3, 7, 0, 1, 0, 9})                           // opens, writes, reads, ends
	f.Add([]byte{3, 1, 1, 0, 0, 11, 4, 0, 1, 0, 11, 4, 0, 11})                        // drops
	f.Add([]byte{8, 0, 5, 0, 11, 3, 0, 0, 0, 4, 0, 9, 0, 1, 8, 1, 0})                 // retains
	f.Add([]byte{3, 4, 0, 1, 0, 3, 6, 0, 1, 6, 0, 0, 7, 0, 1, 4, 0, 9})               // holds
	f.Add([]byte{3, 19, 2, 0, 3, 19, 0, 0, 0, 11, 0, 11, 4, 0, 11, 8, 1, 0, 7, 1, 1}) // several
	f.Fuzz(func(t *testing.T, script []byte) { play(t, script) })
}
