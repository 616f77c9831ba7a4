package durabletest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/typedbus/events/durable"
)

// lives are what may happen to a delivery, so that it is in every state and comes to it
// from every other: what each process does that gets it, one after the other. An
// "expire" is that it does nothing, until the lease is over.
var lives = []string{
	"ack",
	"release ack",
	"retry ack",
	"renew ack",
	"expire ack",
	"expire expire ack",
	"expire release ack",
	"expire retry ack",
	"expire renew ack",
	"dead",
	"retry release dead",
	"dead discard",
	"dead redrive ack",
	"expire dead redrive ack",
	"dead redrive dead redrive expire ack",
	"retry release expire retry ack",
}

// biographies keeps what is still to happen to each delivery, by its id.
type biographies struct {
	*kit
	letters durable.DeadLetters

	mu   sync.Mutex // held while a delivery is settled, too: what is next is then known to who gets it
	left map[string][]string
	busy int // how many have something left
}

// everyState brings deliveries through all lives in a group that two processes share,
// with a key and without, and wants each to be handled once or to be a dead letter.
func everyState(k *kit) {
	const lease = 300 * time.Millisecond
	letters, err := durable.DeadLettersOf(k.engine)
	if err != nil {
		k.Fatal(err)
	}
	b := &biographies{kit: k, letters: letters, left: make(map[string][]string)}
	receivers := []durable.Receiver{
		k.receiveAs(durable.Consumer{Lease: lease, OrderByKey: true}),
		k.receiveAs(durable.Consumer{Lease: lease, OrderByKey: true}),
	}
	dead := make(map[string]bool)
	for i, life := range lives {
		for _, key := range []string{"", fmt.Sprint("key ", i%4)} {
			id := fmt.Sprintf("%s (%d, key %q)", life, i, key)
			m := durable.Message{ID: id, Topic: k.topic.Name(), Key: key, Time: time.Now(), Data: []byte("{}")}
			if i%3 == 1 {
				m.NotBefore = m.Time.Add(100 * time.Millisecond)
			}
			b.left[id] = strings.Fields(life)
			b.busy++
			dead[id] = strings.HasSuffix(life, "dead")
			if err := k.engine.Publish(k.timely(), m); err != nil {
				k.Fatal(err)
			}
		}
	}
	ctx, stop := context.WithCancelCause(k.timely())
	defer stop(nil)
	if err := together(len(receivers), func(i int) error {
		if err := b.play(ctx, receivers[i], stop); !errors.Is(err, errOver) {
			return err
		}
		return nil
	}); err != nil {
		k.Error(err)
	}
	for id, left := range b.left {
		if len(left) > 0 {
			k.Errorf("event %s did not come any more, with %v before it", id, left)
		}
	}
	if again := k.claimAtOnce(receivers[0], 10, lease+lease/2); len(again) > 0 {
		k.Errorf("event %s came once more", again[0].ID)
	}
	_, list := k.dead(2 * 2)
	for _, letter := range list {
		if !dead[letter.ID] {
			k.Errorf("event %s is a dead letter", letter.ID)
		}
	}
}

// errOver ends what waits for more when there will be none.
var errOver = errors.New("nothing is left to do")

// play is a process.
func (b *biographies) play(ctx context.Context, r durable.Receiver, stop context.CancelCauseFunc) error {
	for {
		batch, err := r.Receive(ctx, 1+rand.IntN(5))
		if err != nil {
			return err
		}
		over, err := b.handle(r, batch)
		if err != nil {
			stop(err)
			return err
		}
		if over {
			stop(errOver)
		}
	}
}

// handle does what is next with each delivery, as far as its key allows, and reports
// whether nothing is left to do.
func (b *biographies) handle(r durable.Receiver, batch []*durable.Delivery) (over bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	expires := make(map[string]bool) // the rest of the key, too
	returns := make(map[string]bool)
	for _, d := range batch {
		switch {
		case d.Key != "" && expires[d.Key]:
			continue
		case d.Key != "" && returns[d.Key]:
			if _, err := b.say(r, d, durable.OutcomeRelease); err != nil {
				return false, err
			}
			continue
		}
		word, err := b.live(r, d)
		if err != nil {
			return false, err
		}
		expires[d.Key] = word == "expire"
		returns[d.Key] = word == "retry" || word == "release"
	}
	return b.busy == 0, nil
}

// live does what is next with a delivery, and returns what that was: "" if it belongs to
// another.
func (b *biographies) live(r durable.Receiver, d *durable.Delivery) (word string, err error) {
	outcomes := map[string]durable.Outcome{
		"ack": durable.OutcomeAck, "retry": durable.OutcomeRetry, "release": durable.OutcomeRelease,
		"dead": durable.OutcomeDeadLetter, "renew": durable.OutcomeRenew,
	}
	if len(b.left[d.ID]) == 0 {
		return "", fmt.Errorf("event %s came once more", d.ID)
	}
	word = b.left[d.ID][0]
	if word == "expire" {
		b.advance(d.ID)
		return word, nil
	}
	lost, err := b.say(r, d, outcomes[word])
	if err != nil || lost {
		return "", err
	}
	b.advance(d.ID)
	switch {
	case word == "renew":
		return b.live(r, d)
	case word == "dead" && len(b.left[d.ID]) > 0:
		return word, b.address(d)
	}
	return word, nil
}

// address does what is next with a dead letter.
func (b *biographies) address(d *durable.Delivery) error {
	do := b.letters.Redrive
	if b.left[d.ID][0] == "discard" {
		do = b.letters.Discard
	}
	b.advance(d.ID)
	n, err := do(b.timely(), b.topic.Name(), "g", d.Ref)
	if err == nil && n != 1 {
		err = fmt.Errorf("event %s is dead, and was not there as a dead letter", d.ID)
	}
	return err
}

func (b *biographies) say(r durable.Receiver, d *durable.Delivery, outcome durable.Outcome) (lost bool, err error) {
	s := durable.Settlement{Delivery: d, Outcome: outcome, Reason: "on purpose"}
	if outcome == durable.OutcomeRetry {
		s.After = 50 * time.Millisecond
	}
	indices, err := r.Settle(b.timely(), []durable.Settlement{s})
	return len(indices) > 0, err
}

func (b *biographies) advance(id string) {
	if b.left[id] = b.left[id][1:]; len(b.left[id]) == 0 {
		b.busy--
	}
}
