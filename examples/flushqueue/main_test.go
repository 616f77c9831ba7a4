package main

import (
	"bytes"
	"testing"
)

func TestNothingGoesOutBeforeTheFlush(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `ada edits Engines
bob edits Looms
-- flush
digest: [{ada Engines} {bob Looms}]
-- flush
cleo edits Asps
-- flush
digest: [{cleo Asps}]
-- close
digest: [{dan Ferries}]
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
