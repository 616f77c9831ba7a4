package events_test

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// check compares what everyone got with what they should have.
func (w *town) check() {
	w.mu.Lock()
	sent := make(map[letter]*dispatched)
	for _, d := range w.sent {
		sent[d.letter] = d
	}
	w.mu.Unlock()
	for _, o := range w.offices {
		if len(o.others) > 0 {
			o.fail("%s: reported: %v", o.name, o.others)
		}
		for _, c := range o.customers {
			c.check(sent)
		}
	}
}

func (c *customer) hears(d *dispatched) bool {
	return c.office == d.office && (c.topic < 0 || c.topic == d.topic)
}

func (c *customer) wrong(format string, arguments ...any) {
	c.fail("%s, %s, %s, topic %d: %s", c.office.name, c.name, c.kind.name, c.topic, fmt.Sprintf(format, arguments...))
}

func (c *customer) check(sent map[letter]*dispatched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.checkGot(sent)
	stays, all := c.leaves == 0, !c.dropped
	missed, perhaps := 0, 0
	var first letter
	for p, d := range sent {
		switch {
		case !c.hears(d) || d.fate == refused || got[p]:
		case c.isOdd(p):
			if c.hasReplay() {
				perhaps++ // what is replayed is not asked for its key
			}
		case d.fate == unknown || d.end == 0 && c.gaveUp > 0 || d.begun < c.subscribed || !stays && !(all && d.end > 0 && d.end < c.leaves):
			perhaps++
		default:
			if missed++; missed == 1 {
				first = p
			}
		}
	}
	if c.kind.once {
		if len(got) > 1 {
			c.wrong("got %d", len(got))
		}
		return
	}
	queued, collected := c.leftAtClose()
	if missed > 0 && !c.kind.drops && queued+collected == 0 && !(c.kind.inline && c.office.err != nil) {
		c.wrong("missed %d, such as %+v; subscribed at %d to %d, left %d to %d", missed, *sent[first], c.called, c.subscribed, c.leaves, c.left)
	}
	if c.kind.inline {
		return
	}
	stats := c.handle.Stats()
	if stats.Capacity != c.capacity {
		c.wrong("a queue of %d, says %+v", c.capacity, stats)
	}
	if c.office.err != nil {
		if stays && missed > int(stats.Dropped)+queued+collected || missed+perhaps < queued {
			c.wrong("missed %d, such as %+v, perhaps %d more, after %v; subscribed at %d to %d, says %+v, %d queued, %d collected",
				missed, *sent[first], perhaps, c.office.err, c.called, c.subscribed, stats, queued, collected)
		}
		return
	}
	if c.dropped {
		if stats.Delivered < uint64(len(c.got)) {
			c.wrong("delivered %d, says %+v", len(c.got), stats)
		}
		return
	}
	if stats.Delivered != uint64(len(c.got)) || stats.Lag != 0 {
		c.wrong("got %d, says %+v", len(c.got), stats)
	}
	if reported := c.office.dropped[c.name]; stats.Dropped != reported || !c.kind.drops && stats.Dropped > 0 {
		c.wrong("reported %d dropped, says %+v", reported, stats)
	}
	if missed > int(stats.Dropped) || missed+perhaps < int(stats.Dropped) && !c.hasReplay() {
		c.wrong("missed %d, perhaps %d more, says %+v", missed, perhaps, stats)
	}
	if failed := c.office.failed[c.name]; failed != c.failures && !c.kind.loop {
		c.wrong("failed %d times, %d reported", c.failures, failed)
	}
}

// checkGot checks what was got, as such.
func (c *customer) checkGot(sent map[letter]*dispatched) (got map[letter]bool) {
	got = make(map[letter]bool)
	last := make(map[int]letter) // of each sender, in order
	for _, p := range c.got {
		d, ok := sent[p]
		switch {
		case !ok || d.fate == refused:
			c.wrong("got %v, which was not accepted", p)
			continue
		case got[p]:
			c.wrong("got %v twice", p)
		case !c.hears(d):
			c.wrong("got %v of topic %d", p, d.topic)
		case d.end > 0 && d.end < c.called && !c.hasReplay():
			c.wrong("got %v, published before it subscribed", p)
		case c.left > 0 && d.begun > c.left:
			c.wrong("got %v, published after it had left", p)
		}
		got[p] = true
		// A pattern hears several topics, among which there is an order, too, if
		// one publish happens before the other.
		if previous, ok := last[p.Sender]; ok && d.end > 0 && !c.kind.unordered && previous.Number > p.Number {
			c.wrong("got %v after %v", p, previous)
		}
		if d.end > 0 {
			last[p.Sender] = p
		}
	}
	return got
}

var leftText = regexp.MustCompile(`(?:\(|; )([^;(]+): (\d+) queued, (\d+) at work`)

// leftAtClose returns what the error of Close says of a customer.
func (c *customer) leftAtClose() (queued, collected int) {
	if c.office.err == nil {
		return 0, 0
	}
	text := c.office.err.Error()
	if strings.Contains(text, " more)") {
		return 1 << 30, 0 // it may be among those
	}
	for _, match := range leftText.FindAllStringSubmatch(text, -1) {
		if match[1] != c.name {
			continue
		}
		n, _ := strconv.Atoi(match[2])
		queued += n // in the queue, and in the log that is replayed to it
		if c.kind.batch {
			collected, _ = strconv.Atoi(match[3]) // may not have gone out
		}
	}
	return queued, collected
}

// checkGoroutines checks that no goroutine of the buses is left.
func (w *town) checkGoroutines() {
	for _, o := range w.offices {
		if o.err != nil {
			return // some are at work still
		}
	}
	stacks := make([]byte, 1<<20)
	for begun := time.Now(); ; {
		stacks = stacks[:runtime.Stack(stacks[:cap(stacks)], true)]
		left := 0
		for stack := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(stack, "typedbus/events") && !strings.Contains(stack, "testing.tRunner") {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Since(begun) > 10*time.Second {
			w.fail("%d goroutines are left:\n%s", left, stacks)
			return
		}
		runtime.Gosched()
	}
}
