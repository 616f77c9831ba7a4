package durabletest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/typedbus/events/durable"
)

// claim claims what is due, and then what is new. If that is nothing it returns how
// long it may take until something is due.
func (r *receiver) claim(max int) (claimed []*durable.Delivery, next time.Duration) {
	now := time.Now()
	r.group.expire(now)
	inHand := 0
	for _, w := range r.group.rows {
		if w.held == r {
			inHand++
			if w.suspect {
				return nil, time.Until(w.due)
			}
		}
	}
	run := make(map[*row]bool) // claimed here
	due := slices.SortedFunc(maps.Values(r.group.rows), func(a, b *row) int { return a.id - b.id })
	next = time.Hour
	for _, w := range due {
		if w.dead || w.held == nil && w.suspect || w.held == nil && !w.due.After(now) {
			continue
		}
		next = min(next, w.due.Sub(now))
	}
	for _, w := range due {
		if w.suspect && r.group.isFree(w, run, now) {
			if inHand > 0 {
				wait, until := r.alone.IsToWait(now, r.lease)
				if next = min(next, until.Sub(now)); wait {
					return nil, next
				}
				break
			}
			return []*durable.Delivery{r.take(w, now)}, 0
		}
	}
	for _, w := range due {
		if len(claimed) < max && !w.suspect && r.group.isFree(w, run, now) {
			claimed = append(claimed, r.take(w, now))
			run[w] = true
		}
	}
	for ; len(claimed) < max && r.group.cursor < len(r.topic.messages); r.group.cursor++ {
		message := &r.topic.messages[r.group.cursor]
		w := &row{id: r.group.cursor, due: now}
		if r.group.consumer.OrderByKey {
			w.key = message.Key
		}
		r.group.rows[w.id] = w
		if message.NotBefore.After(now) {
			w.due, w.delayed = message.NotBefore, true
			next = min(next, w.due.Sub(now))
		} else if r.group.isFree(w, run, now) {
			claimed = append(claimed, r.take(w, now))
			run[w] = true
		}
	}
	return claimed, next
}

// expire takes back what was held for longer than its lease.
func (g *group) expire(now time.Time) {
	for _, w := range g.rows {
		if w.held == nil || w.due.After(now) {
			continue
		}
		if w.suspect {
			w.attempt++ // it was alone
		}
		w.held, w.suspect = nil, true
	}
}

// isFree reports whether a row may be claimed: it is due, and the first of its key,
// those aside that are in the same run.
func (g *group) isFree(w *row, run map[*row]bool, now time.Time) bool {
	if w.dead || w.held != nil || w.due.After(now) {
		return false
	}
	if w.key == "" {
		return true
	}
	for _, other := range g.rows {
		if other == w || other.key != w.key || other.dead || run[other] || other.delayed && other.due.After(now) {
			continue
		}
		if other.held != nil || other.id < w.id {
			return false
		}
	}
	return true
}

func (r *receiver) take(w *row, now time.Time) *durable.Delivery {
	w.token++
	w.held, w.due, w.delayed = r, now.Add(r.lease), false
	message := r.topic.messages[w.id]
	message.Headers = maps.Clone(message.Headers)
	return &durable.Delivery{
		Message: message,
		Group:   r.group.consumer.Group,
		Attempt: w.attempt + 1,
		Claimed: now,
		Ref:     fmt.Sprint(w.id),
		Lease:   token{w.id, w.token},
	}
}
