package pool

import (
	"sync"
	"sync/atomic"
)

const chunkSize = 64

// fifo is an unbounded first-in, first-out queue, a list of chunks, for any
// number of producers, who share a lock, and consumers, who need none. The zero
// fifo is empty.
type fifo[T any] struct {
	sync.Mutex
	last   *chunk[T] // guarded by the lock; nil before the first push
	pushed uint64    // guarded by the lock

	_     [64]byte                 // consumers write below, and seldom read above
	first atomic.Pointer[chunk[T]] // nil before the first push
	_     [64]byte
}

// chunk has the items from taken to ready. Each of its places is used once.
type chunk[T any] struct {
	ready atomic.Int32
	next  atomic.Pointer[chunk[T]] // set when ready has reached the end
	_     [48]byte

	taken atomic.Int32
	known atomic.Int32 // what ready was when a consumer last looked
	_     [56]byte

	items [chunkSize]T
}

// push adds item at the end. The caller holds the lock.
func (q *fifo[T]) push(item T) {
	if q.last == nil {
		q.last = new(chunk[T])
		q.first.Store(q.last)
	}
	n := q.last.ready.Load()
	if n == chunkSize {
		full := q.last
		q.last, n = new(chunk[T]), 0
		full.next.Store(q.last)
	}
	q.last.items[n] = item
	q.last.ready.Store(n + 1)
	q.pushed++
}

// pop removes the item at the front.
func (q *fifo[T]) pop() (item T, ok bool) {
	for {
		front, i := q.front()
		if front == nil {
			return item, false
		}
		if front.taken.CompareAndSwap(i, i+1) {
			var none T
			item, front.items[i] = front.items[i], none
			return item, true
		}
	}
}

// empty reports whether there is nothing to pop.
func (q *fifo[T]) empty() bool {
	front, _ := q.front()
	return front == nil
}

// front returns the chunk and the place of the first item, if there is one.
func (q *fifo[T]) front() (*chunk[T], int32) {
	front := q.first.Load()
	for front != nil {
		taken := front.taken.Load()
		if taken < front.known.Load() {
			return front, taken
		}
		if taken < chunkSize {
			ready := front.ready.Load()
			if taken == ready {
				return nil, 0
			}
			front.known.Store(ready)
			return front, taken
		}
		// Everything in it is taken: go on to the next chunk, if there is one.
		next := front.next.Load()
		if next != nil {
			q.first.CompareAndSwap(front, next)
		}
		front = next
	}
	return nil, 0
}
