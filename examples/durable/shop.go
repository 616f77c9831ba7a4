package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/sqlite"
)

// Order is the payload of OrderPaid.
type Order struct {
	ID    int   `json:"id"`
	Cents int64 `json:"cents"`
}

// OrderPaid is published in the transaction in which the order is stored.
var OrderPaid = events.NewTopic[Order]("order.paid")

// receipts is the group that sends receipts.
const receipts = "mail.receipts"

// shop is the database of the shop.
type shop struct {
	db    *sql.DB
	store *sqlite.Store
}

func openShop(ctx context.Context, path string) (*shop, error) {
	db, err := openDB(path)
	if err != nil {
		return nil, err
	}
	store, err := sqlite.OpenDB(ctx, db)
	if err == nil {
		_, err = db.ExecContext(ctx, `create table if not exists orders (id integer primary key, cents integer not null);
			create table if not exists receipts (order_id integer not null, worker text not null)`)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &shop{db, store}, nil
}

func (s *shop) close() error {
	return errors.Join(s.store.Close(context.Background()), s.db.Close())
}

// placeOrder stores an order and its event, or neither.
func (s *shop) placeOrder(ctx context.Context, o Order, refusal error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // of no effect after the commit
	if _, err := tx.ExecContext(ctx, "insert into orders values (?, ?)", o.ID, o.Cents); err != nil {
		return err
	}
	if err := durable.Publish(ctx, s.store.Tx(tx), OrderPaid, o); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	return tx.Commit()
}

// sendReceipt handles OrderPaid. Its effect, a row, is made once however often an
// order comes: Once notes in the same transaction that it has been made.
func (s *shop) sendReceipt(out io.Writer, worker string) func(context.Context, Order) error {
	return func(ctx context.Context, o Order) error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		first, err := s.store.Once(ctx, tx)
		if err != nil {
			return err
		}
		if !first {
			fmt.Fprintf(out, "worker %s receipt for order %d was sent before\n", worker, o.ID)
			return nil
		}
		if _, err := tx.ExecContext(ctx, "insert into receipts values (?, ?)", o.ID, worker); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		fmt.Fprintf(out, "worker %s receipt for order %d, %.2f EUR\n", worker, o.ID, float64(o.Cents)/100)
		time.Sleep(50 * time.Millisecond) // the mail server is slow
		return nil
	}
}

// awaitReceipts waits until so many receipts were sent.
func (s *shop) awaitReceipts(ctx context.Context, want int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for sent := 0; sent < want; {
		if err := s.db.QueryRowContext(ctx, "select count(*) from receipts").Scan(&sent); err != nil {
			return fmt.Errorf("%d of %d receipts: %w", sent, want, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// report says what has become of the orders.
func (s *shop) report(ctx context.Context, out io.Writer, committed int) error {
	var placed, sent, distinct int
	if err := s.db.QueryRowContext(ctx, "select (select count(*) from orders), (select count(*) from receipts), (select count(distinct order_id) from receipts join orders on order_id = id)").Scan(&placed, &sent, &distinct); err != nil {
		return err
	}
	if placed != committed || sent != committed || distinct != committed {
		return fmt.Errorf("%d orders, %d receipts for %d of them, want %d", placed, sent, distinct, committed)
	}
	fmt.Fprintf(out, "\n%d orders, and one receipt for each of them\n", placed)
	return nil
}
