package durabletest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/typedbus/events/durable"
)

// subscribedTwice has several processes make one group at once.
func subscribedTwice(k *kit) {
	const n = 50
	k.together(4, func(int) error { return durable.Declare(k.timely(), k.engine, k.topic.Name(), "g") })
	one, first := k.group("g", nil)
	two, second := k.group("g", nil)
	if err := durable.PublishBatch(k.timely(), k.engine, k.topic, make([]order, 10)); err != nil {
		k.Fatal(err)
	}
	for i := range n {
		k.publish(i + 1)
	}
	k.eventually("all are handled", func() bool { return first.Stats().Handled+second.Stats().Handled >= n+10 })
	k.close(first)
	k.close(second)
	var all []int
	for len(one)+len(two) > 0 {
		select {
		case h := <-one:
			all = append(all, h.Number)
		case h := <-two:
			all = append(all, h.Number)
		}
	}
	slices.Sort(all)
	k.wantSame("a group that was subscribed twice", all, append(make([]int, 10), count(n + 1)[1:]...))
	k.publish(n + 1)
	again, _ := k.group("g", nil)
	k.wantSame("behind what it has handled", k.take(1, again), []int{n + 1})
}

// whilePublishing makes groups while publishers are at work. A group gets each event
// whose Publish was called after it was made.
func whilePublishing(k *kit) {
	const publishers, groups = 4, 6
	var opened, published atomic.Int64
	var over atomic.Bool
	defer over.Store(true)
	since := make([][]int64, publishers) // by publisher and event: how many groups there were
	failed := make(chan error, 1)
	go func() {
		failed <- together(publishers, func(p int) error {
			for !over.Load() {
				since[p] = append(since[p], opened.Load())
				number := p*1_000_000 + len(since[p])
				if err := durable.Publish(k.timely(), k.engine, k.topic, order{Number: number}); err != nil {
					return err
				}
				published.Add(1)
				time.Sleep(100 * time.Microsecond) // some engines are quick
			}
			return nil
		})
	}()
	for g := range groups {
		begun := published.Load()
		k.eventually("publishers are at work", func() bool { return published.Load() >= begun+2*publishers })
		if err := durable.Declare(k.timely(), k.engine, k.topic.Name(), fmt.Sprint("group ", g)); err != nil {
			k.Fatal(err)
		}
		opened.Add(1)
	}
	over.Store(true)
	if err := <-failed; err != nil {
		k.Fatal(err)
	}
	for g := range groups {
		missing := make(map[int]bool)
		for p := range publishers {
			for i, there := range since[p] {
				if there > int64(g) {
					missing[p*1_000_000+i+1] = true
				}
			}
		}
		got, sub := k.group(fmt.Sprint("group ", g), nil, durable.WithPrefetch(100))
		seen := make(map[int]bool)
		for len(missing) > 0 {
			h := k.next(got)
			if seen[h.Number] {
				k.Errorf("group %d got event %d twice", g, h.Number)
			}
			seen[h.Number] = true
			delete(missing, h.Number)
		}
		k.close(sub)
	}
}

// thousandGroups has a topic with many of them, of which few listen.
func thousandGroups(k *kit) {
	const groups, atOnce, heard, n = 1000, 20, 5, 10
	name := func(g int) string { return fmt.Sprint("group ", g) }
	k.together(atOnce, func(i int) error {
		ctx := k.timely()
		for g := i; g < groups; g += atOnce {
			if err := durable.Declare(ctx, k.engine, k.topic.Name(), name(g)); err != nil {
				return err
			}
		}
		return nil
	})
	k.publish(count(n)...)
	for _, g := range rand.Perm(groups)[:heard] {
		got, _ := k.group(name(g), nil)
		numbers := k.take(n, got)
		slices.Sort(numbers)
		k.wantSame("one of a thousand groups", numbers, count(n))
	}
}
