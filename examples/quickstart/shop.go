package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
)

type shop struct {
	bus                *events.Bus
	terminal           *log.Logger
	accepted, rejected int
	calls              int // to the payment gateway

	// Counted by handlers that run beside the requests.
	placed, paid, handling, mailed, failures atomic.Int64
}

// audit is untyped: it counts events of any payload.
func (s *shop) audit(_ context.Context, event events.Event) error {
	switch event.Name {
	case OrderPlaced.Name():
		s.placed.Add(1)
	case OrderPaid.Name():
		s.paid.Add(1)
	}
	return nil
}

func (s *shop) checkStock(ctx context.Context, order Order) error {
	if len(order.Items) == 0 {
		return errors.New("nothing was ordered")
	}
	for _, item := range order.Items {
		if left := stock[item.SKU]; left < item.Quantity {
			return fmt.Errorf("%d %s wanted, %d in stock", item.Quantity, item.SKU, left)
		}
	}
	s.show(ctx, "order.placed", "stock", "all of it in stock")
	return nil
}

// charge runs again when the gateway fails, but not when the card does.
func (s *shop) charge(ctx context.Context, order Order) error {
	if err := wait(ctx, 70*time.Millisecond); err != nil {
		return err
	}
	if s.calls++; s.calls%5 == 0 {
		s.show(ctx, "order.placed", "payment", "try failed: no answer from the gateway")
		return errors.New("no answer from the gateway")
	}
	if order.Card == "4000000000000002" {
		return events.Permanent(errors.New("card declined"))
	}
	s.show(ctx, "order.placed", "payment", "charged %d.%02d EUR", order.Total()/100, order.Total()%100)

	// The customer gets the answer now; picking and receipt go on behind it.
	// Whatever goes wrong from here on, the card is not to be charged again.
	s.handling.Add(1)
	return events.Permanent(OrderPaid.PublishAsync(ctx, s.bus, order))
}

func (s *shop) pick(ctx context.Context, order Order) error {
	if err := wait(ctx, 30*time.Millisecond); err != nil {
		return err
	}
	for _, item := range order.Items {
		// Nobody thought of what has no shelf, and the nil pointer panics.
		s.show(ctx, "order.paid", "picking", "%d %s from aisle %s", item.Quantity, item.SKU, shelves[item.SKU].aisle)
	}
	return nil
}

func (s *shop) mailReceipt(ctx context.Context, order Order) error {
	defer s.handling.Add(-1)
	if err := wait(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	if !strings.Contains(order.Email, "@") {
		return fmt.Errorf("%q is no address", order.Email)
	}
	s.mailed.Add(1)
	s.show(ctx, "order.paid", "receipt", "mailed to %s", order.Email)
	return nil
}

// failed is told of the errors of requests, and by the bus of those that no
// request waits for.
func (s *shop) failed(ctx context.Context, err error) {
	failure, ok := errors.AsType[*events.HandlerError](err)
	if !ok {
		s.show(ctx, "", "", "FAILED: %v", err)
		return
	}
	s.failures.Add(1)
	s.show(ctx, failure.Event, failure.Handler, "FAILED: %v", failure.Err)
}

func (s *shop) show(ctx context.Context, event, handler, format string, arguments ...any) {
	request := fmt.Sprintf("#%v", ctx.Value(requestKey{}))
	s.terminal.Printf("%-8s %-13s %-8s "+format, append([]any{request, event, handler}, arguments...)...)
}

type shelf struct{ aisle string }

var (
	stock   = map[string]int{"KETTLE-1L": 9, "MUG-BLUE": 60, "TEA-ASSAM": 48, "GRINDER": 7, "FILTER-100": 30, "GIFT-CARD": 999}
	shelves = map[string]*shelf{"KETTLE-1L": {"A"}, "MUG-BLUE": {"A"}, "TEA-ASSAM": {"C"}, "GRINDER": {"B"}, "FILTER-100": {"C"}}
)

// wait stands for work that takes a while and ends with its context.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
