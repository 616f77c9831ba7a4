package pool

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func push[T any](q *fifo[T], items ...T) {
	for _, item := range items {
		q.Lock()
		q.push(item)
		q.Unlock()
	}
}

func TestQueue(t *testing.T) {
	var q fifo[int]
	_, ok := q.pop()
	require.False(t, ok, "the zero queue is empty")
	require.True(t, q.empty())
	require.Zero(t, q.pushed)

	// Across the ends of chunks, at all lengths.
	next, want := 0, 0
	for length := range 300 {
		for range length {
			push(&q, next)
			next++
			require.False(t, q.empty())
		}
		require.EqualValues(t, next, q.pushed)
		for range length {
			item, ok := q.pop()
			require.True(t, ok)
			require.Equal(t, want, item)
			want++
		}
		require.True(t, q.empty())
		_, ok := q.pop()
		require.False(t, ok)
	}
}

func TestQueueKeepsWhatIsLeft(t *testing.T) {
	var q fifo[int]
	next, want := 0, 0
	for range 1000 {
		push(&q, next, next+1, next+2)
		next += 3
		for range 2 {
			item, ok := q.pop()
			require.True(t, ok)
			require.Equal(t, want, item)
			want++
		}
	}
	for ; want < next; want++ {
		item, ok := q.pop()
		require.True(t, ok)
		require.Equal(t, want, item)
	}
	require.True(t, q.empty())
}

func TestItemsAreReleased(t *testing.T) {
	var q fifo[*[1024]byte]
	var gone atomic.Int32
	for range 200 {
		item := new([1024]byte)
		runtime.AddCleanup(item, func(*atomic.Int32) { gone.Add(1) }, &gone)
		push(&q, item)
	}
	for range 150 {
		_, ok := q.pop()
		require.True(t, ok)
	}
	for range 100 {
		runtime.GC()
		for range 100 {
			runtime.Gosched()
		}
		if gone.Load() == 150 {
			break
		}
	}
	require.EqualValues(t, 150, gone.Load())
	require.False(t, q.empty())
	runtime.KeepAlive(&q)
}

func TestConcurrentUse(t *testing.T) {
	for _, test := range []struct{ producers, consumers int }{{1, 1}, {1, 4}, {4, 1}, {4, 4}} {
		const each = 5000
		var q fifo[[2]int] // producer, number
		var left atomic.Int64
		left.Store(int64(test.producers) * each)
		var group sync.WaitGroup
		for p := range test.producers {
			group.Go(func() {
				for n := range each {
					push(&q, [2]int{p, n})
				}
			})
		}
		got := make([][][2]int, test.consumers)
		for c := range got {
			group.Go(func() {
				for left.Load() > 0 {
					if item, ok := q.pop(); ok {
						got[c] = append(got[c], item)
						left.Add(-1)
					} else {
						_ = q.empty()
						runtime.Gosched()
					}
				}
			})
		}
		group.Wait()
		require.True(t, q.empty())
		require.EqualValues(t, test.producers*each, q.pushed)
		seen := make(map[[2]int]bool)
		for _, items := range got {
			last := slices.Repeat([]int{-1}, test.producers)
			for _, item := range items {
				require.False(t, seen[item], "%v twice", item)
				seen[item] = true
				require.Greater(t, item[1], last[item[0]], "a consumer sees a producer's items in order")
				last[item[0]] = item[1]
			}
		}
		require.Len(t, seen, test.producers*each)
	}
}

func TestLockKeepsProducersOut(t *testing.T) {
	var q fifo[int]
	q.Lock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		push(&q, 1)
	}()
	for range 100 {
		runtime.Gosched()
		require.True(t, q.empty())
	}
	q.Unlock()
	<-done
	require.False(t, q.empty())
}

// FuzzQueue plays pushes and pops on a queue and on a slice.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{10, 138, 3})
	f.Add([]byte{64, 192, 65, 193, 127, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		var q fifo[int]
		var model []int
		next := 0
		for _, b := range script {
			for range b & 127 {
				if b < 128 {
					push(&q, next)
					model = append(model, next)
					next++
					continue
				}
				item, ok := q.pop()
				if ok != (len(model) > 0) {
					t.Fatalf("Pop: %t with %d items", ok, len(model))
				}
				if !ok {
					break
				}
				if item != model[0] {
					t.Fatalf("Pop: %d, want %d", item, model[0])
				}
				model = model[1:]
			}
			if q.empty() != (len(model) == 0) || q.pushed != uint64(next) {
				t.Fatalf("Empty: %t, Pushed: %d with %d of %d items", q.empty(), q.pushed, len(model), next)
			}
		}
	})
}

func BenchmarkPushPop(b *testing.B) {
	var q fifo[int]
	b.ReportAllocs()
	for b.Loop() {
		q.Lock()
		q.push(1)
		q.Unlock()
		q.pop()
	}
}
