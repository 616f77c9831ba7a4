package events

import (
	"iter"
	"reflect"
	"slices"
	"strings"
)

// Stats are the counts of a queued subscription since it was made. They are
// kept by its queue and cost publishes nothing. An inline handler has no counts,
// and by that a Capacity of 0, which no queue has.
type Stats struct {
	Capacity  int    // of the queue
	Delivered uint64 // events handed to the handler, the one at work and a batch under way included
	Failed    uint64 // of these, events that it failed to handle
	Dropped   uint64 // events lost by WithOverflow(DropOldest)
	Lag       uint64 // events queued
}

// Stats returns the counts of a queued subscription, and zeros for others. The
// numbers are of one moment each, not all of the same.
func (s *Subscription) Stats() Stats {
	if !s.isQueued() {
		return Stats{}
	}
	c := s.queue.Counts()
	return Stats{Capacity: s.limits.capacity, Delivered: c.Taken, Failed: c.Failed, Dropped: c.Dropped, Lag: c.Lag}
}

// TopicInfo describes a name or a pattern that has subscriptions.
type TopicInfo struct {
	Name          string
	Payload       reflect.Type    // nil unless a topic is bound to the name
	Subscriptions []*Subscription // to exactly this name or pattern, in their order
}

// Topics returns an iterator over the names and patterns that have
// subscriptions, in byte order, as they are when the loop begins.
func (b *Bus) Topics() iter.Seq[TopicInfo] {
	return func(yield func(TopicInfo) bool) {
		if b == nil {
			return
		}
		for _, topic := range b.topics() {
			if !yield(topic) {
				return
			}
		}
	}
}

func (b *Bus) topics() []TopicInfo {
	topics := b.unsortedTopics()
	slices.SortFunc(topics, func(a, b TopicInfo) int { return strings.Compare(a.Name, b.Name) })
	return topics
}

func (b *Bus) unsortedTopics() (topics []TopicInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, r := range b.routes.All {
		if len(r.subscriptions) == 0 {
			continue
		}
		info := TopicInfo{Name: name, Subscriptions: slices.Clone(r.subscriptions)}
		if r.contract != nil {
			info.Payload = r.contract.payloadType()
		}
		topics = append(topics, info)
	}
	byPattern := make(map[string][]*Subscription)
	b.patterns.RLock()
	for s := range b.patterns.tree.All {
		byPattern[s.event] = append(byPattern[s.event], s)
	}
	b.patterns.RUnlock()
	for name, subscriptions := range byPattern {
		slices.SortFunc(subscriptions, (*Subscription).order)
		topics = append(topics, TopicInfo{Name: name, Subscriptions: subscriptions})
	}
	return topics
}
