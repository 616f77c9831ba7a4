package conflict

import (
	"github.com/typedbus/events"

	"account"
	"billing"
	"shop" // want `topic "invoice.paid" carries shop.Invoice in shop and billing.Invoice in billing`
)

type user struct{}

type sameUser = account.User

var (
	created = events.NewTopic[user]("user.created") // want `topic "user.created" carries conflict.user here and account.User in account`
	again   = events.NewTopic[account.Deletion]("user.deleted")
	alias   = events.NewTopic[sameUser]("user.renamed") // want `topic "user.renamed" carries account.User here and account.Renaming in account`
	first   = events.NewTopic[int]("count.changed")
	second  = events.NewTopic[int64]("count.changed") // want `topic "count.changed" carries int64 here and int in conflict`
	third   = events.NewTopic[int]("count.reset")
	fourth  = events.NewTopic[int]("count.reset")
	inside  = struct{ t *events.Topic[string] }{events.NewTopic[string]("count.reset")} // want `carries string here and int in conflict`
)

// Topics of a function are its own affair, and that of its bus.
func local() {
	events.NewTopic[bool]("count.changed")
}

var (
	_ billing.Invoice
	_ shop.Invoice
)
