package main

import (
	"bytes"
	"testing"
)

func TestOrdersEndWellOrAreUndone(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `order 1: order.placed > stock.reserved > payment.taken > order.shipped
order 2: order.placed > order.cancelled (GRINDER is out of stock)
order 3: order.placed > stock.reserved > payment.failed > stock.released > order.cancelled (card declined)
order 4: order.placed > stock.reserved > payment.taken > shipping.failed > payment.refunded > stock.released > order.cancelled (nobody ships to Antarctica)
order 5: order.placed > stock.reserved
stopped: handler reserve failed for event order.placed: handler charge failed for event stock.reserved: card is unreadable
in stock: 1 KETTLE, 1 MUG; in the bank: 39.90
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
