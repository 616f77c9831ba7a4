// Server runs through the application's events once.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"neonex/core/pkg/events"
	"neonex/internal/audit"
	"neonex/internal/billing"
	"neonex/internal/modules"
	"neonex/internal/notify"
	"neonex/internal/order"
	"neonex/internal/user"
)

func main() {
	ctx := context.Background()
	dispatcher := events.NewEventDispatcher()
	var background sync.WaitGroup

	users := user.NewService(dispatcher)
	users.Listen()
	notify.Listen(dispatcher, &background)
	orders := order.New(dispatcher)
	billing.Listen(dispatcher)
	audit.Listen(dispatcher)
	modules.Listen()
	dispatcher.Register("health.checked", func(ctx context.Context, event events.Event) error {
		fmt.Println("server: healthy", event.Data.(bool))
		return nil
	})
	dispatcher.Register("user.created", stats{}.count)

	step := func(name string, err error) { fmt.Printf("-- %s: %v\n", name, err) }

	ada, err := users.Create(ctx, "Ada", "ada@example.com")
	step("create", err)
	step("import", users.Import(ctx, 4_000_000_000, "grace@example.com"))
	step("rename", users.Rename(ctx, ada.ID, "Ada L."))
	step("log in", users.LogIn(ctx, ada.ID, "127.0.0.1", time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)))
	step("log out", users.LogOut(ctx, ada.ID))
	step("reset", users.ResetPassword(ctx, ada.ID))
	step("delete", users.Delete(ctx, ada.ID))

	step("place", orders.Place(ctx, 7, 12.5, "tea", "milk"))
	step("place much", orders.Place(ctx, 8, 1250, "car"))
	step("sample", orders.Sample(ctx, 9))
	step("pay", orders.Pay(ctx, 7, 1250))
	step("ship", orders.Ship(ctx, 7, 0.5))
	step("cancel", orders.Cancel(ctx, 8, "too dear"))

	step("install", modules.Install(ctx, "shop", "v1"))
	step("update", modules.Update(ctx, "shop", "v2"))
	step("remove", modules.Remove(ctx, "shop"))
	step("start", modules.Start(ctx, 42))
	step("cache", modules.ClearCache(ctx))
	step("health", dispatcher.Dispatch(ctx, events.Event{Name: "health.checked", Data: true}))

	background.Add(1)
	notify.RequestDigest(ctx, dispatcher, 7)
	background.Wait()

	fmt.Println(dispatcher.HasHandlers("user.created"), dispatcher.HasHandlers("nobody.cares"))
}

type stats struct{}

// count wants what the old mobile client sent.
func (stats) count(ctx context.Context, event events.Event) error {
	data := event.Data.(map[string]interface{})
	id, ok := data["id"].(float64)
	if !ok {
		return fmt.Errorf("stats: id is %T", data["id"])
	}
	fmt.Println("stats: counted", id)
	return nil
}
