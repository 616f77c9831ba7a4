package main

import (
	"bytes"
	"testing"
)

func TestChannelsAreIndependent(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `-- Ada's parcel ships
mail to ada@example.com: on its way to 12 Byron Row
text to +44 20 7946 0018: on its way
-- Ada's parcel arrives, texts are down
bell rings at 12 Byron Row
mail to ada@example.com: 10% off
the team drinks to its first parcel
not told by text of parcel.delivered: text messages are down
-- Bob's parcel ships
mail to bob@example.com: on its way to 3 Canal Walk
-- Ada's next one arrives, texts are up, the campaign is over
bell rings at 12 Byron Row
text to +44 20 7946 0018: at your door
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
