package billing

import "github.com/typedbus/events"

type Invoice struct{ Number int }

var InvoicePaid = events.NewTopic[Invoice]("invoice.paid")
