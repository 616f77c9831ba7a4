package main

import (
	"bytes"
	"testing"
	"testing/synctest"
)

func TestWhatEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		const want = `r1: found one kettle
r1: found a review of the kettle
r1: complete
r2: found one mug
r2: incomplete: no time left
r3: found one grinder
r3: incomplete: the visitor has gone
all requests are over
r1: ada searched for a kettle (deadline: false)
r2: bob searched for a mug (deadline: false)
r3: cleo searched for a grinder (deadline: false)
`
		if got := out.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}
