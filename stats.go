package events

import (
	"iter"
	"reflect"
	"slices"
	"strings"
)

// Stats are the counts of a queued subscription since it was made. They are
// kept by its queue and cost publishes nothing; an inline handler has none.
type Stats struct {
	Delivered uint64 // events handed to the handler, the one at work and a batch under way included
	Failed    uint64 // of these, events that it failed to handle
	Dropped   uint64 // events lost by WithOverflow(DropOldest)
	Lag       uint64 // events queued
}

// Stats returns the counts of a queued subscription, and zeros for others. The
// numbers are of one moment each, not all of the same.
func (s *Subscription) Stats() Stats {
	if s.more == nil || s.more.queue == nil {
		return Stats{}
	}
	p := s.more.queue.position()
	return Stats{Delivered: p.Taken(), Failed: s.more.failures.Load(), Dropped: p.Dropped(), Lag: p.Lag()}
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
		for _, topic := range b.topics() {
			if !yield(topic) {
				return
			}
		}
	}
}

func (b *Bus) topics() []TopicInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	var topics []TopicInfo
	for r := range b.routes.all {
		if len(r.subscriptions) == 0 {
			continue
		}
		info := TopicInfo{Name: r.name, Subscriptions: slices.Clone(r.subscriptions)}
		if r.contract != nil {
			info.Payload = r.contract.payloadType()
		}
		topics = append(topics, info)
	}
	byPattern := make(map[string]int)
	for _, s := range b.patternsLocked() {
		place, found := byPattern[s.event]
		if !found {
			place = len(topics)
			byPattern[s.event] = place
			topics = append(topics, TopicInfo{Name: s.event})
		}
		topics[place].Subscriptions = append(topics[place].Subscriptions, s)
	}
	slices.SortFunc(topics, func(a, b TopicInfo) int { return strings.Compare(a.Name, b.Name) })
	return topics
}
