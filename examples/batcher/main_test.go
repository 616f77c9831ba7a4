package main

import (
	"bytes"
	"testing"
	"testing/synctest"
)

func TestBatchesGoOutFullInTimeAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		const want = `after 0s: [{attic 31} {cellar 12} {attic 32}]
after 200ms: [{cellar 13}]
after 300ms: [{attic 30} {cellar 12}]
`
		if got := out.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}
