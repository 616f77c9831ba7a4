package durabletest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/typedbus/events/durable"
)

// deadLetters are those of a Memory.
type deadLetters struct{ engine *Memory }

// DeadLetters returns the dead letters of all groups.
func (m *Memory) DeadLetters() durable.DeadLetters { return deadLetters{m} }

func (d deadLetters) List(_ context.Context, topicName, groupName, after string, most int) (list []durable.DeadLetter, err error) {
	d.engine.mu.Lock()
	defer d.engine.mu.Unlock()
	t, g, err := d.find(topicName, groupName)
	if err != nil {
		return nil, err
	}
	behind := -1
	if after != "" {
		if behind, err = strconv.Atoi(after); err != nil {
			return nil, fmt.Errorf("no reference of a dead letter: %q", after)
		}
	}
	for _, w := range g.rows {
		if w.dead && w.id > behind {
			list = append(list, durable.DeadLetter{
				Message: t.messages[w.id], Group: groupName, Ref: strconv.Itoa(w.id), Attempts: w.attempt, Reason: w.reason,
			})
		}
	}
	slices.SortFunc(list, func(a, b durable.DeadLetter) int {
		return cmp.Or(cmp.Compare(len(a.Ref), len(b.Ref)), cmp.Compare(a.Ref, b.Ref))
	})
	return list[:min(max(most, 0), len(list))], nil
}

func (d deadLetters) find(topicName, groupName string) (*topic, *group, error) {
	t := d.engine.topics[topicName]
	if t == nil || t.groups[groupName] == nil {
		return nil, nil, fmt.Errorf("%w: %q of topic %q", durable.ErrUnknownGroup, groupName, topicName)
	}
	return t, t.groups[groupName], nil
}

func (d deadLetters) Redrive(_ context.Context, topicName, groupName string, refs ...string) (int, error) {
	return d.each(topicName, groupName, refs, func(_ *group, w *row) {
		*w = row{id: w.id, due: time.Now(), token: w.token + 1}
	})
}

func (d deadLetters) Discard(_ context.Context, topicName, groupName string, refs ...string) (int, error) {
	return d.each(topicName, groupName, refs, func(g *group, w *row) { delete(g.rows, w.id) })
}

func (d deadLetters) each(topicName, groupName string, refs []string, do func(*group, *row)) (n int, err error) {
	d.engine.mu.Lock()
	defer d.engine.mu.Unlock()
	t, g, err := d.find(topicName, groupName)
	if err != nil {
		return 0, err
	}
	for _, ref := range refs {
		id, err := strconv.Atoi(ref)
		if w := g.rows[id]; err == nil && w != nil && w.dead {
			do(g, w)
			n++
		}
	}
	t.wake()
	return n, nil
}
