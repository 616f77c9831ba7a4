package durabletest

import (
	"strings"
	"time"

	"github.com/typedbus/events/durable"
)

// loweredLimit has an event be tried more often than a later process allows.
func loweredLimit(k *kit) {
	got, before := k.group("g", func(h handled) error {
		if h.Number == 2 {
			return nil
		}
		return durable.RetryAfter(errFailed, 20*time.Millisecond)
	}, durable.WithAttempts(1000))
	k.publish(1)
	k.take(3, got)
	k.close(before)
	tried := 3 + len(got)
	k.publish(2)
	again, _ := k.group("g", nil, durable.WithAttempts(2))
	k.wantSame("with a lower limit", k.take(1, again), []int{2})
	_, list := k.dead(1)
	if list[0].Attempts != tried || !strings.Contains(list[0].Reason, "of 2 allowed") {
		k.Errorf("dead letter: %d attempts, reason %q, want %d, of 2 allowed", list[0].Attempts, list[0].Reason, tried)
	}
	if len(again) > 0 {
		k.Error("an event was run whose attempts were over")
	}
}

// tooOld has events be too old when a process comes for them.
func tooOld(k *kit) {
	if err := durable.Declare(k.timely(), k.engine, k.topic.Name(), "g"); err != nil {
		k.Fatal(err)
	}
	now := time.Now()
	for _, m := range []durable.Message{
		{ID: "old", Time: now.Add(-time.Hour), Data: []byte(`{"Number":1}`)},
		{ID: "young", Time: now.Add(-time.Minute), Data: []byte(`{"Number":2}`)},
	} {
		m.Topic = k.topic.Name()
		if err := k.engine.Publish(k.timely(), m); err != nil {
			k.Fatal(err)
		}
	}
	got, sub := k.group("g", nil, durable.WithMaxAge(30*time.Minute))
	k.wantSame("what is young enough", k.take(1, got), []int{2})
	letters, list := k.dead(1)
	if list[0].ID != "old" || list[0].Attempts != 0 || !strings.Contains(list[0].Reason, "of 30m0s allowed") {
		k.Errorf("dead letter %q: %d attempts, reason %q", list[0].ID, list[0].Attempts, list[0].Reason)
	}
	k.close(sub)
	if n, err := letters.Redrive(k.timely(), k.topic.Name(), "g", list[0].Ref); n != 1 || err != nil {
		k.Fatalf("Redrive: %d, %v, want 1", n, err)
	}
	again, _ := k.group("g", nil)
	k.wantSame("redriven, without a limit", k.take(1, again), []int{1})
}
