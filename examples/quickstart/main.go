// Quickstart is an order service: it reads orders, one JSON object a line, and
// shows on the terminal which handler got which event and how that ended.
//
//	go run ./examples/quickstart [file | -]
//
// Without an argument it reads the orders that come with it, of which some go
// wrong on purpose; "-" is the standard input.
package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/typedbus/events"
)

//go:embed orders.jsonl
var sample []byte

func main() {
	if err := start(context.Background(), os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, out io.Writer, arguments []string) error {
	switch {
	case len(arguments) == 0:
		fmt.Fprintln(out, "Some of these orders go wrong on purpose: #4 has a card that is declined, #6 has a handler panic,")
		fmt.Fprint(out, "#8 does not read as an order, #9 wants more than there is, #11 has no address for its receipt.\n\n")
		return run(ctx, out, bytes.NewReader(sample))
	case len(arguments) > 1:
		return errors.New("want one argument at most: a file of orders, or - for the standard input")
	case arguments[0] == "-":
		return run(ctx, out, os.Stdin)
	}
	file, err := os.Open(arguments[0])
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read from
	return run(ctx, out, file)
}

func run(ctx context.Context, out io.Writer, orders io.Reader) error {
	s := &shop{terminal: log.New(out, "", 0)}
	s.bus = events.New(events.WithErrorHandler(s.failed))

	_, stock := OrderPlaced.Subscribe(s.bus, s.checkStock, events.WithName("stock"))
	_, payment := OrderPlaced.Subscribe(s.bus, s.charge, events.WithName("payment"),
		events.WithMiddleware(events.Retry(3, events.WithBackoff(20*time.Millisecond, time.Second))))
	_, picking := OrderPaid.Subscribe(s.bus, s.pick, events.WithName("picking"))
	_, receipt := OrderPaid.Subscribe(s.bus, s.mailReceipt, events.WithName("receipt"))
	// Before all others, to count also what these refuse.
	_, audit := s.bus.Subscribe("order.*", s.audit, events.WithPriority(1))
	if err := errors.Join(stock, payment, picking, receipt, audit); err != nil {
		return err
	}

	s.terminal.Printf("%-8s %-13s %-8s %s", "REQUEST", "EVENT", "HANDLER", "OUTCOME")
	unread := s.serve(ctx, orders)

	s.terminal.Printf("\nclosing the bus: %d paid orders are still being handled", s.handling.Load())
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	unhandled := s.bus.Close(ctx)

	s.terminal.Printf("closed: %d left\n\n%d orders accepted, %d rejected", s.handling.Load(), s.accepted, s.rejected)
	s.terminal.Printf("%d events order.placed, %d order.paid", s.placed.Load(), s.paid.Load())
	s.terminal.Printf("%d receipts mailed, %d handlers failed", s.mailed.Load(), s.failures.Load())
	return errors.Join(unread, unhandled)
}

// serve makes a request of every line.
func (s *shop) serve(ctx context.Context, orders io.Reader) error {
	lines := bufio.NewScanner(orders)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if !json.Valid(lines.Bytes()) {
			return fmt.Errorf("line %d is not JSON: %.40q", n, lines.Text())
		}
		s.request(ctx, n, lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading orders: %w", err)
	}
	return nil
}

type requestKey struct{}

// request has a context of its own, which ends with it.
func (s *shop) request(ctx context.Context, number int, body []byte) {
	ctx, end := context.WithTimeout(context.WithValue(ctx, requestKey{}, number), time.Second)
	defer end()
	if err := s.place(ctx, body); err != nil {
		s.failed(ctx, err)
		s.rejected++
		s.show(ctx, "", "", "rejected")
		return
	}
	s.accepted++
	s.show(ctx, "", "", "accepted")
}

func (s *shop) place(ctx context.Context, body []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return err
	}
	if fields["source"] == "import" {
		// The importer is older than the topics. Its maps reach the same
		// handlers, provided that they read as an Order.
		//eventsvet:ignore untyped the importer is older than the topics
		return s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: fields})
	}
	var order Order
	if err := json.Unmarshal(body, &order); err != nil {
		return err
	}
	return OrderPlaced.Publish(ctx, s.bus, order)
}
