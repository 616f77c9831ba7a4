package main

import (
	"context"
	"errors"
	"log"

	"github.com/typedbus/events"
)

// carrier sells labels, once it is through with its troubles with a parcel.
type carrier struct {
	log      *log.Logger
	troubles map[string][]trouble // by the ID of the parcel
}

func (c *carrier) printLabel(ctx context.Context, parcel Parcel) error {
	if parcel.Address == "" {
		// No number of tries finds an address.
		return events.Permanent(errors.New("parcel has no address"))
	}
	if troubles := c.troubles[parcel.ID]; len(troubles) > 0 {
		c.troubles[parcel.ID] = troubles[1:]
		c.log.Print("   tried in vain")
		return troubles[0](ctx)
	}
	c.log.Printf("   label: %s", parcel.Address)
	return nil
}

// trouble is what a carrier may answer instead of a label.
type trouble func(ctx context.Context) error

func busy(context.Context) error { return errors.New("carrier is busy") }

func silent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func buggy(context.Context) error { panic("label of no size") }
