package durabletest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// pages lists dead letters by pages, in the order in which they were stored, not in that
// in which they died, also when the last one of a page is gone by then.
func pages(k *kit) {
	const n, most = 23, 4
	k.group("g", func(h handled) error {
		if h.Number%2 == 0 && h.Attempt < 2 {
			return durable.RetryAfter(errFailed, 10*time.Millisecond)
		}
		return events.Permanent(errFailed)
	}, durable.WithWorkers(3))
	k.publish(count(n)...)
	letters, whole := k.dead(n)
	var paged []string
	for after, page := "", 0; ; page++ {
		list, err := letters.List(k.timely(), k.topic.Name(), "g", after, most)
		if err != nil {
			k.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, letter := range list {
			paged = append(paged, string(letter.Data))
		}
		after = list[len(list)-1].Ref
		if page%2 == 1 {
			if gone, err := letters.Discard(k.timely(), k.topic.Name(), "g", after); gone != 1 || err != nil {
				k.Fatalf("Discard: %d, %v, want 1", gone, err)
			}
		}
	}
	var want []string
	for i, letter := range whole {
		want = append(want, string(letter.Data))
		if !strings.HasPrefix(want[i], `{"Number":`+fmt.Sprint(i)+`,`) {
			k.Errorf("dead letter %d is %s", i, letter.Data)
		}
	}
	if !slices.Equal(paged, want) {
		k.Errorf("by pages: %v, want %v", paged, want)
	}
	for _, none := range []int{0, -1} {
		if list, err := letters.List(k.timely(), k.topic.Name(), "g", "", none); len(list) > 0 || err != nil {
			k.Errorf("List of up to %d: %d, %v, want none", none, len(list), err)
		}
	}
}

// references addresses what is no dead letter, any more or at all: that changes nothing,
// and counts as not there.
func references(k *kit) {
	var waits sync.Map // by number
	got, sub := k.group("g", func(h handled) error {
		_, waited := waits.LoadOrStore(h.Number, true)
		switch {
		case h.Number == 1 && !waited:
			return durable.RetryAfter(errFailed, shortLease)
		case h.Number >= 3 && !waited:
			return events.Permanent(errFailed)
		}
		return nil
	})
	other, _ := k.group("other", nil)
	k.publish(count(6)...)
	k.take(6, other)
	refs := make(map[int]string)
	came := 0 // more than six if the retry was quicker than all of this
	for ; len(refs) < 6; came++ {
		h := k.next(got)
		refs[h.Number] = h.Ref
	}
	letters, list := k.dead(3)
	one := list[0].Ref
	both := map[string]func(group string, refs ...string) (int, error){
		"Redrive": func(group string, refs ...string) (int, error) {
			return letters.Redrive(k.timely(), k.topic.Name(), group, refs...)
		},
		"Discard": func(group string, refs ...string) (int, error) {
			return letters.Discard(k.timely(), k.topic.Name(), group, refs...)
		},
	}
	garbage := []string{"no such ref", "", "-1", "0", "1.5", "999999", "99999999999999999999999999", one + "x", "' or 1=1 --", "\x00", "\xff"}
	for name, do := range both {
		for _, ref := range append(slices.Clone(garbage), refs[0], refs[1], refs[2]) {
			if n, err := do("g", ref); n != 0 || err != nil {
				k.Errorf("%s of %q: %d, %v, want 0", name, ref, n, err)
			}
		}
		if n, err := do("g"); n != 0 || err != nil {
			k.Errorf("%s of nothing: %d, %v, want 0", name, n, err)
		}
		if n, err := do("other", one); n != 0 || err != nil {
			k.Errorf("%s of a dead letter of another group: %d, %v, want 0", name, n, err)
		}
		if _, err := do("unknown", one); !errors.Is(err, durable.ErrUnknownGroup) {
			k.Errorf("%s in an unknown group: %v, want ErrUnknownGroup", name, err)
		}
	}
	if _, err := letters.List(k.timely(), k.topic.Name(), "g", "no such ref", 10); err == nil {
		k.Error("List from behind what is no reference returned no error")
	}
	if came == 6 {
		k.wantSame("the one that waited", k.take(1, got), []int{1})
	}
	k.dead(3)
	among := append(append([]string{one, one}, garbage...), list[1].Ref)
	if n, err := both["Redrive"]("g", among...); n != 2 || err != nil {
		k.Errorf("Redrive of two, one of them named twice: %d, %v, want 2", n, err)
	}
	k.take(2, got)
	k.eventually("what was redriven is handled", func() bool { return sub.Stats().Handled == 5 })
	if n, err := both["Discard"]("g", append(among, list[2].Ref)...); n != 1 || err != nil {
		k.Errorf("Discard of one, among two that were redriven: %d, %v, want 1", n, err)
	}
	k.dead(0)
	if n := len(got) + len(other); n > 0 {
		k.Errorf("%d events came that were not dead", n)
	}
}
