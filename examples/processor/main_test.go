package main

import (
	"bytes"
	"testing"
	"testing/synctest"
)

func TestTakenIsHandledAndTooManyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		const want = `took ant
took bee
took cat
took dog
refused elk: try again later
made a thumbnail of ant
took fox
made a thumbnail of bee
closing
handler thumbnails failed for event image.uploaded: cat is empty
made a thumbnail of dog
made a thumbnail of fox
`
		if got := out.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}
