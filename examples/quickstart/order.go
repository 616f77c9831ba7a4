package main

import "github.com/typedbus/events"

// The topics are the contract between the parts of the service. A handler for
// another payload type does not compile.
var (
	// Fail-fast, because nobody is to be charged for what is out of stock.
	OrderPlaced = events.NewTopic[Order]("order.placed", events.WithFailFast())
	OrderPaid   = events.NewTopic[Order]("order.paid")
)

type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Email    string `json:"email"`
	Card     string `json:"card"`
	Items    []Item `json:"items"`
}

type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"cents"` // each
}

func (o Order) Total() (cents int) {
	for _, item := range o.Items {
		cents += item.Quantity * item.Cents
	}
	return cents
}
