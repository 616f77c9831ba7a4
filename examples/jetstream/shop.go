package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventsnats"
)

// Order is the payload of OrderPaid.
type Order struct {
	ID    int   `json:"id"`
	Cents int64 `json:"cents"`
}

// OrderPaid is published by the shop, and handled by its workers.
var OrderPaid = events.NewTopic[Order]("order.paid")

// receipts is the group that sends receipts: each order gets one, from whichever worker.
const receipts = "mail.receipts"

// sent is the subject on which workers say that a receipt was sent.
const sent = "mail.sent"

// shop is a connection to the server, and the engine on it.
type shop struct {
	nc     *nats.Conn
	engine *eventsnats.Engine
}

// openShop connects to the server. The first process of all makes the streams.
func openShop(ctx context.Context, address string, first bool) (*shop, error) {
	nc, err := connect(address)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err == nil && first {
		err = eventsnats.Migrate(ctx, js)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	engine, err := eventsnats.New(ctx, js)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &shop{nc, engine}, nil
}

func (s *shop) close() error {
	err := s.engine.Close(context.Background())
	s.nc.Close()
	return err
}

// sendReceipt returns the handler of a worker. It takes the address of an order from a
// book, in which one is missing at first.
func (s *shop) sendReceipt(worker, book string) func(context.Context, Order) error {
	return func(ctx context.Context, o Order) error {
		if _, err := os.Stat(book); o.ID == unknown && err != nil {
			return events.Permanent(errors.New("the address is not known"))
		}
		select {
		case <-time.After(100 * time.Millisecond): // the mail server takes its time
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		receipt := nats.NewMsg(sent)
		receipt.Header.Set("order", strconv.Itoa(o.ID))
		receipt.Data = fmt.Appendf(nil, "worker %s receipt for order %d, %d.%02d EUR, attempt %d",
			worker, o.ID, o.Cents/100, o.Cents%100, durable.FromContext(ctx).Attempt)
		return errors.Join(s.nc.PublishMsg(receipt), s.nc.FlushTimeout(5*time.Second))
	}
}

// countReceipts shows the receipts that are sent, and tells for how many orders.
func (s *shop) countReceipts(out io.Writer) (<-chan int, error) {
	counts := make(chan int, 10*orders)
	have := make(map[string]bool)
	_, err := s.nc.Subscribe(sent, func(m *nats.Msg) {
		fmt.Fprintln(out, string(m.Data))
		have[m.Header.Get("order")] = true
		counts <- len(have)
	})
	return counts, err
}

// redrive lists the dead letters, mends what they have died of, and has them handled.
func (s *shop) redrive(ctx context.Context, out io.Writer, book string) error {
	letters, err := s.deadLetters(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(book, []byte("Lime Street 7"), 0o600); err != nil {
		return err
	}
	for _, letter := range letters {
		fmt.Fprintf(out, "shop     dead letter %s: %s\n", letter.Data, letter.Reason)
		n, err := s.engine.DeadLetters().Redrive(ctx, OrderPaid.Name(), receipts, letter.Ref)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "shop     %d redriven, now that the address is known\n", n)
	}
	return nil
}

// deadLetters returns them when there are some.
func (s *shop) deadLetters(ctx context.Context) ([]durable.DeadLetter, error) {
	for {
		letters, err := s.engine.DeadLetters().List(ctx, OrderPaid.Name(), receipts, "", 10)
		if len(letters) > 0 || err != nil {
			return letters, err
		}
		select {
		case <-time.After(50 * time.Millisecond): // a worker that was killed had it
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
