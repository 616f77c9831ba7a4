// Flushqueue keeps what happens on a wiki until somebody asks for the digest.
// By hand that is
//
//	type Queue struct {
//		mu      sync.Mutex
//		pending []Edit // grows until somebody flushes
//	}
//
//	func (q *Queue) Add(e Edit)   // appends
//	func (q *Queue) Flush() error // takes pending and handles it
//
// Here it is SubscribeBatch with a long wait: Add is Publish, and Flush is a
// fresh subscription and a Drain of the one before. Unsubscribe in place of
// Drain would drop what was kept.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/typedbus/events"
)

type Edit struct{ Author, Page string }

var PageEdited = events.NewTopic[Edit]("page.edited")

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "flushqueue:", err)
		os.Exit(1)
	}
}

// digest is flushed by one goroutine; edits may come from any.
type digest struct {
	bus     *events.Bus
	log     *log.Logger
	pending *events.Subscription
}

// collect keeps edits until the flush, or for a day, or until there are 1000.
func (d *digest) collect() (*events.Subscription, error) {
	return PageEdited.SubscribeBatch(d.bus, d.send, events.WithBatch(1000, 24*time.Hour))
}

func (d *digest) send(_ context.Context, edits []Edit) error {
	d.log.Printf("digest: %v", edits)
	return nil
}

// flush returns when what was kept is sent. An edit made in the middle of it
// may be in two digests; with Drain first, it could be in none.
func (d *digest) flush(ctx context.Context) error {
	fresh, err := d.collect()
	if err != nil {
		return err
	}
	kept := d.pending
	d.pending = fresh
	return kept.Drain(ctx)
}

func run(ctx context.Context, out io.Writer) error {
	d := &digest{bus: events.New(), log: log.New(out, "", 0)}
	var err error
	if d.pending, err = d.collect(); err != nil {
		return err
	}
	for _, edits := range [][]Edit{{{"ada", "Engines"}, {"bob", "Looms"}}, {}, {{"cleo", "Asps"}}} {
		for _, edit := range edits {
			d.log.Printf("%s edits %s", edit.Author, edit.Page)
			if err := PageEdited.Publish(ctx, d.bus, edit); err != nil {
				return err
			}
		}
		d.log.Print("-- flush")
		if err := d.flush(ctx); err != nil {
			return err
		}
	}
	if err := PageEdited.Publish(ctx, d.bus, Edit{"dan", "Ferries"}); err != nil {
		return err
	}
	d.log.Print("-- close")
	return d.bus.Close(ctx)
}
