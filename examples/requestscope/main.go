// Requestscope publishes from within requests. Inline handlers live in the
// request: they see its values, its deadline and its end. Asynchronous ones
// outlive it: they keep the values and lose the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/typedbus/events"
)

// Query is what somebody searches for. Who does, and in which request, is no
// business of the event: that comes with the context.
type Query struct{ Text string }

var (
	SearchStarted = events.NewTopic[Query]("search.started")
	SearchDone    = events.NewTopic[Query]("search.done")
)

type request struct {
	ID   string
	User string
}

type requestKey struct{}

func (r request) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf returns the zero request outside of requests.
func requestOf(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "requestscope:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	s := &search{bus: events.New(), log: log.New(out, "", 0)}
	_, catalogue := SearchStarted.Subscribe(s.bus, s.catalogue, events.WithName("catalogue"))
	_, reviews := SearchStarted.Subscribe(s.bus, s.reviews, events.WithName("reviews"))
	_, history := SearchDone.Subscribe(s.bus, s.history, events.WithName("history"))
	if err := errors.Join(catalogue, reviews, history); err != nil {
		return err
	}

	s.serve(request{ID: "r1", User: "ada"}.in(ctx), 500*time.Millisecond, Query{"kettle"})
	s.serve(request{ID: "r2", User: "bob"}.in(ctx), 100*time.Millisecond, Query{"mug"})

	// This visitor has gone before the request began. The event is published
	// all the same: what a handler makes of a context is up to the handler.
	gone, leave := context.WithCancel(request{ID: "r3", User: "cleo"}.in(ctx))
	leave()
	s.serve(gone, 500*time.Millisecond, Query{"grinder"})

	s.log.Print("all requests are over")
	return s.bus.Close(ctx)
}

type search struct {
	bus *events.Bus
	log *log.Logger
}

// serve is one request, whose context ends with it.
func (s *search) serve(ctx context.Context, limit time.Duration, query Query) {
	ctx, end := context.WithTimeout(ctx, limit)
	defer end()

	switch err := SearchStarted.Publish(ctx, s.bus, query); {
	case err == nil:
		s.show(ctx, "complete")
	case errors.Is(err, context.DeadlineExceeded):
		s.show(ctx, "incomplete: no time left")
	case errors.Is(err, context.Canceled):
		s.show(ctx, "incomplete: the visitor has gone")
	default:
		s.show(ctx, "failed: %v", err)
	}
	if err := SearchDone.PublishAsync(ctx, s.bus, query); err != nil {
		s.show(ctx, "not in the history: %v", err)
	}
}

// catalogue is quick, and does not ask whether somebody still waits.
func (s *search) catalogue(ctx context.Context, query Query) error {
	time.Sleep(10 * time.Millisecond)
	s.show(ctx, "found one %s", query.Text)
	return nil
}

// reviews takes 200 milliseconds, or as long as the request.
func (s *search) reviews(ctx context.Context, query Query) error {
	if err := wait(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	s.show(ctx, "found a review of the %s", query.Text)
	return nil
}

// history takes longer than any request and still ends well. Of its context,
// only the bus can make an end, when Close runs out of time.
func (s *search) history(ctx context.Context, query Query) error {
	if err := wait(ctx, time.Second); err != nil {
		return err
	}
	_, limited := ctx.Deadline()
	s.show(ctx, "%s searched for a %s (deadline: %t)", requestOf(ctx).User, query.Text, limited)
	return nil
}

func (s *search) show(ctx context.Context, format string, arguments ...any) {
	s.log.Printf(requestOf(ctx).ID+": "+format, arguments...)
}

// wait stands for work that takes a while and ends with its context.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
