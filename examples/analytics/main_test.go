package main

import (
	"bytes"
	"testing"
)

func TestEverythingIsCounted(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `/              8 views
/kettles       4 views
/mugs          4 views
cart.bought    2 carts
cart.opened    4 carts
revenue       56.90
not counted  [video.paused]
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
