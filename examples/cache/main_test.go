package main

import (
	"bytes"
	"testing"
)

func TestCacheForgetsWhatChanged(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `   reading KETTLE
KETTLE costs 39.90
   reading MUG
MUG costs 8.50
   counting products
products: 2
-- nothing changed
KETTLE costs 39.90
MUG costs 8.50
products: 2
-- MUG gets dearer
   forgetting MUG
   product.updated: forgetting the size
KETTLE costs 39.90
   reading MUG
MUG costs 9.90
   counting products
products: 2
-- KETTLE goes
   forgetting KETTLE
   product.removed: forgetting the size
   reading KETTLE
KETTLE: no such product
MUG costs 9.90
   counting products
products: 1
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
