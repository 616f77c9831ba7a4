// Command forward hands events on: a shop stores them in its own database, with its
// orders, and a relay brings them to that of the warehouse, where they are handled.
// While the warehouse is away they stay in the shop, and nothing is lost.
//
//	go run .
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/sqlite"
)

// Parcel is the payload of ParcelPacked.
type Parcel struct {
	Order  int    `json:"order"`
	Street string `json:"street"`
}

// ParcelPacked is published in the shop, and handled in the warehouse.
var ParcelPacked = events.NewTopic[Parcel]("parcel.packed")

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime})))
	if err := forward(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// line is the way to the warehouse, which is down at first.
type line struct {
	durable.Publisher
	up atomic.Bool
}

func (l *line) Publish(ctx context.Context, messages ...durable.Message) error {
	if !l.up.Load() {
		return errors.New("no route to the warehouse")
	}
	return l.Publisher.Publish(ctx, messages...)
}

const parcels = 5

func forward(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "forward")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	shop, err := sqlite.Open(ctx, filepath.Join(folder, "shop.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close(ctx)) }()
	warehouse, err := sqlite.Open(ctx, filepath.Join(folder, "warehouse.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, warehouse.Close(ctx)) }()

	sent := make(chan struct{})
	sub, err := durable.Subscribe(ctx, warehouse, ParcelPacked, "dispatch", func(ctx context.Context, p Parcel) error {
		fmt.Fprintf(out, "warehouse: parcel of order %d leaves for %s\n", p.Order, p.Street)
		if p.Order == parcels {
			close(sent)
		}
		return nil
	}, durable.WithOrderByKey())
	if err != nil {
		return err
	}
	way := &line{Publisher: warehouse}
	relay, err := durable.Forward(ctx, shop, way, "relay", ParcelPacked.Name())
	if err != nil {
		return errors.Join(err, sub.Close(ctx))
	}
	err = packParcels(ctx, out, shop)
	fmt.Fprintln(out, "shop: all are packed, and kept here until the warehouse is there")
	way.up.Store(true)
	select {
	case <-sent:
	case <-ctx.Done():
		err = errors.Join(err, context.Cause(ctx))
	}
	err = errors.Join(err, relay.Close(ctx), sub.Close(ctx))
	fmt.Fprintf(out, "relay: %d events forwarded\n", relay.Forwarded())
	return err
}

func packParcels(ctx context.Context, out io.Writer, shop *sqlite.Store) error {
	for order := 1; order <= parcels; order++ {
		p := Parcel{Order: order, Street: fmt.Sprintf("Long Street %d", 10*order)}
		if err := durable.Publish(ctx, shop, ParcelPacked, p, durable.WithKey("long street")); err != nil {
			return err
		}
		fmt.Fprintf(out, "shop: parcel of order %d is packed\n", order)
	}
	return nil
}
