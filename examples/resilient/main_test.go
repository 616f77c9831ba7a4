package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		const want = `parcel easy
   label: 12 Byron Row
parcel busy
   tried in vain
   tried in vain
   label: 3 Canal Walk
parcel silent
   tried in vain
   tried in vain
   tried in vain
   dead letter: context deadline exceeded
parcel nowhere
   dead letter: parcel has no address
parcel buggy
   tried in vain
   tried in vain
   tried in vain
   dead letter: panic: label of no size
parcel unpaid
   dead letter: panic: interface conversion: interface {} is nil, not string
dead letters: 4; the carrier has mended its own, they go out again
again silent
   label: 8 Mill Lane
again nowhere
   dead letter: parcel has no address
again buggy
   label: 5 Loop Road
again unpaid
   label: 1 Free Street
dead letters left: 1
`
		if got := out.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}

		// Three silent tries, and three times the two waits between tries, of
		// 5 to 10 and of 10 to 20 milliseconds.
		if took := time.Since(start); took < 195*time.Millisecond || took > 240*time.Millisecond {
			t.Errorf("took %v, want 195 to 240 milliseconds", took)
		}
	})
}
