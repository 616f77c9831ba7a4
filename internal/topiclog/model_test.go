package topiclog_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

// subscriber is a cursor with one reader, and what is to be true of it: plain
// numbers in place of rings, limits and flags.
type subscriber struct {
	topiclog.Options
	cursor *topiclog.Cursor
	reader *topiclog.Reader

	first, start, base, until uint64
	dropped, discarded, gap   uint64
	atWork, asleep            bool
	ended, over, gone         bool
}

// logModel is a log, and the events that were accepted, by their numbers.
type logModel struct {
	*testing.T
	log    *topiclog.Log[int]
	retain uint64
	head   uint64
	all    []*subscriber
}

func (m *logModel) live() (live []*subscriber) {
	for _, s := range m.all {
		if !s.ended {
			live = append(live, s)
		}
	}
	return live
}

func (s *subscriber) bound() uint64 { return max(s.base, s.start) + uint64(s.Capacity) }

func (s *subscriber) unread(head uint64) uint64 {
	switch {
	case s.over:
		return 0
	case s.ended:
		head = s.until
	}
	return head - s.base
}

func (m *logModel) open(o topiclog.Options) {
	s := &subscriber{Options: o, start: m.head, first: m.head - min(m.retain, m.head)}
	s.base = s.first
	s.Owner = s
	s.cursor = m.log.Core().Open(s.Options)
	s.reader = s.cursor.NewReader()
	m.all = append(m.all, s)
}

func (m *logModel) offer() {
	live := m.live()
	full := slices.ContainsFunc(live, func(s *subscriber) bool { return s.Policy != topiclog.DropOldest && m.head >= s.bound() })
	require.Equal(m, !full, m.log.Offer(m.Context(), int(m.head), "", nil))
	if full || len(live) == 0 && m.retain == 0 {
		return
	}
	for _, s := range live {
		if s.Policy == topiclog.DropOldest && m.head >= s.bound() {
			excess := m.head + 1 - uint64(s.Capacity) - s.base
			s.base, s.dropped, s.gap = s.base+excess, s.dropped+excess, s.gap+excess
		}
		if s.asleep {
			s.asleep = false
			<-s.cursor.Wake()
		}
	}
	m.head++
}

// take has a reader take an event, or sleep if there is none.
func (m *logModel) take(s *subscriber) {
	if s.gone || s.asleep {
		return
	}
	var e topiclog.Entry[int]
	var dropped uint64
	var more, ok bool
	if s.cursor.InPlace() {
		ok = m.log.Next(s.reader, &e)
	} else {
		dropped, more, ok = m.log.Take(s.reader, &e)
	}
	require.Equal(m, s.unread(m.head) > 0, ok)
	if more { // another lane, which finds nothing for it to do
		s.cursor.NewReader().Exit()
	}
	if ok {
		require.EqualValues(m, s.base, e.Payload)
		require.Equal(m, s.gap, dropped)
		s.base++
		s.gap, s.atWork = 0, true
		return
	}
	s.atWork = false
	switch state := s.reader.Sleep(); state {
	case topiclog.Asleep:
		require.False(m, s.ended)
		s.asleep = true
	case topiclog.Ended:
		require.True(m, s.ended)
		require.True(m, s.reader.Exit())
		s.gone = true
	default:
		require.Fail(m, "neither asleep nor ended", "%d", state)
	}
}

func (m *logModel) end(s *subscriber, drop bool) {
	require.Equal(m, s.gone, s.cursor.End(drop))
	m.ended(s, drop)
}

func (m *logModel) ended(s *subscriber, drop bool) {
	if s.asleep {
		s.asleep = false
		<-s.cursor.Wake()
	}
	if !s.ended {
		s.ended, s.until = true, m.head
	}
	if drop {
		s.discarded += s.unread(m.head)
		s.over = true
	}
}

// check compares everything that can be asked.
func (m *logModel) check() {
	busy := 0
	for _, s := range m.all {
		if !s.gone && !s.asleep {
			busy++
		}
		taken, dropped, discarded := s.cursor.Counts()
		require.Equal(m, [3]uint64{s.base - s.first - s.dropped, s.dropped, s.discarded}, [3]uint64{taken, dropped, discarded})
		left := s.cursor.Left()
		require.Equal(m, s.unread(m.head), left.Queued)
		require.Equal(m, s.atWork, left.AtWork == 1)
		require.Equal(m, s.ended || m.head < s.bound(), s.cursor.HasRoom())
	}
	require.Equal(m, busy, m.log.Core().Busy())
}

// runLog runs a script: two bytes are an operation and whom it is for.
func runLog(t *testing.T, script []byte) {
	if len(script) < 1 {
		return
	}
	m := &logModel{T: t, log: topiclog.New[int](), retain: uint64(script[0] % 4)}
	m.log.Core().Retain(int(m.retain))
	for i := 1; i+1 < len(script); i += 2 {
		operation, argument := script[i]%16, int(script[i+1])
		var s *subscriber
		if len(m.all) > 0 {
			s = m.all[argument%len(m.all)]
		}
		switch {
		case s == nil || operation == 0 && len(m.all) < 12:
			m.open(topiclog.Options{
				Capacity: 1 + argument%9, Lanes: 1 + argument/9%2, Policy: topiclog.Policy(argument / 18 % 3),
			})
		case operation < 6:
			m.offer()
		case operation < 14:
			m.take(s)
		case !s.gone:
			m.end(s, operation == 15)
		}
		m.check()
	}
	left := make(map[any]topiclog.Left)
	for _, each := range m.log.Core().EndAll(true) {
		left[each.Owner] = each
	}
	for _, s := range m.all {
		each := left[s]
		require.Equal(m, s.unread(m.head), each.Queued)
		require.Equal(m, s.atWork, each.AtWork == 1)
		m.ended(s, true)
		for !s.gone {
			m.take(s)
		}
	}
	m.check()
	require.True(m, m.log.Core().Unused())
	require.False(m, m.log.Offer(m.Context(), 0, "", nil))
}

// desk is a lane of a queue by keys, and the key whose event it is at.
type desk struct {
	reader *topiclog.LineReader
	key    string
	busy   bool // it is at an event
	asleep bool
	gone   bool
}

// linesModel is a queue by keys, and what is to be in it.
type linesModel struct {
	*testing.T
	topiclog.Options
	log   *topiclog.Log[int]
	desks []*desk

	next                           int
	queued                         []int // oldest first
	keys                           map[int]string
	row                            []string // the free keys, in the order in which they are served
	taken, dropped, discarded, gap uint64
	ended                          bool
}

func (m *linesModel) isBusy(key string) bool {
	return slices.ContainsFunc(m.desks, func(d *desk) bool { return d.busy && d.key == key })
}

// of returns the queued events of a key.
func (m *linesModel) of(key string) (events []int) {
	for _, event := range m.queued {
		if m.keys[event] == key {
			events = append(events, event)
		}
	}
	return events
}

func (m *linesModel) remove(event int) {
	m.queued = slices.DeleteFunc(m.queued, func(e int) bool { return e == event })
	if key := m.keys[event]; len(m.of(key)) == 0 {
		m.row = slices.DeleteFunc(m.row, func(k string) bool { return k == key })
	}
}

// notice takes note of the lanes that were woken, which is not said which.
func (m *linesModel) notice() {
	for {
		select {
		case <-m.log.Lines().Wake():
			i := slices.IndexFunc(m.desks, func(d *desk) bool { return d.asleep })
			require.GreaterOrEqual(m, i, 0, "woken, though all are awake")
			m.desks[i].asleep = false
		default:
			return
		}
	}
}

func (m *linesModel) offer(key string) {
	full := m.Policy != topiclog.DropOldest && len(m.queued) >= m.Capacity
	require.Equal(m, !full || m.ended, m.log.Offer(m.Context(), m.next, key, nil))
	if full || m.ended {
		return
	}
	if len(m.queued) >= m.Capacity {
		m.dropped++
		m.gap++
		m.remove(m.queued[0])
	}
	if len(m.of(key)) == 0 && !m.isBusy(key) {
		m.row = append(m.row, key)
	}
	m.keys[m.next] = key
	m.queued = append(m.queued, m.next)
	m.next++
	m.notice()
}

func (m *linesModel) take(d *desk) {
	if d.gone || d.asleep {
		return
	}
	var e topiclog.Entry[int]
	dropped, more, ok := m.log.Take(d.reader, &e)
	if d.busy {
		d.busy = false
		if len(m.of(d.key)) > 0 {
			m.row = append(m.row, d.key)
		}
	}
	require.Equal(m, len(m.row) > 0, ok)
	if ok {
		d.busy, d.key = true, m.row[0]
		m.row = m.row[1:]
		first := m.of(d.key)[0]
		require.Equal(m, first, e.Payload)
		require.Equal(m, m.gap, dropped)
		m.remove(first)
		m.taken++
		m.gap = 0
		require.Equal(m, more, len(m.desks) < m.Lanes && !slices.ContainsFunc(m.desks, func(d *desk) bool { return d.asleep }))
		if more {
			m.desks = append(m.desks, &desk{reader: m.log.Lines().NewReader()})
		}
		m.notice()
		return
	}
	switch d.reader.Sleep() {
	case topiclog.Asleep:
		d.asleep = true
	case topiclog.Ended:
		require.True(m, m.ended)
		require.Empty(m, m.queued)
		d.gone = true
		d.reader.Exit()
		m.notice()
	default:
		require.Fail(m, "nothing to take, and no sleep")
	}
}

func (m *linesModel) end(drop bool) {
	m.log.Lines().End(drop)
	m.ended = true
	if drop {
		m.discarded += uint64(len(m.queued))
		m.queued, m.row = nil, nil
	}
	m.notice()
}

func (m *linesModel) check() {
	taken, dropped, discarded := m.log.Lines().Counts()
	require.Equal(m, [3]uint64{m.taken, m.dropped, m.discarded}, [3]uint64{taken, dropped, discarded})
	require.EqualValues(m, len(m.queued), m.log.Lines().Lag())
	awake := 0
	for _, d := range m.desks {
		if !d.asleep && !d.gone {
			awake++
		}
	}
	require.Equal(m, awake, m.log.Lines().Busy())
}

func runLines(t *testing.T, script []byte) {
	if len(script) < 1 {
		return
	}
	o := topiclog.Options{Capacity: 1 + int(script[0]%9), Lanes: 1 + int(script[0]/9%4), Policy: topiclog.Policy(script[0] / 36 % 3)}
	m := &linesModel{T: t, Options: o, log: topiclog.NewKeyed[int](o), keys: make(map[int]string)}
	m.desks = []*desk{{reader: m.log.Lines().NewReader()}}
	for i := 1; i+1 < len(script); i += 2 {
		operation, argument := script[i]%32, script[i+1]
		switch {
		case operation < 14:
			m.offer(string('a' + argument%4))
		case operation < 31:
			m.take(m.desks[int(argument)%len(m.desks)])
		default:
			m.end(argument%2 == 0)
		}
		m.check()
	}
	m.end(false)
	for slices.ContainsFunc(m.desks, func(d *desk) bool { return !d.gone }) {
		for _, d := range m.desks {
			m.take(d)
		}
	}
	m.check()
	require.True(t, m.log.Lines().Unused())
}

func FuzzLog(f *testing.F) {
	f.Add([]byte("0abcdefghij"))
	f.Fuzz(runLog)
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("0abcdefghij"))
	f.Fuzz(runLines)
}

func TestAgreesWithModel(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		script := make([]byte, random.IntN(400))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		runLog(t, script)
		runLines(t, script)
	}
}
