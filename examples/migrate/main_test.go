package main

import (
	"bytes"
	"log"
	"testing"
)

func TestAllStatesBehaveTheSame(t *testing.T) {
	const want = `welcome, ada@example.com
3 seats sold
welcome, grace@example.com
sign-up refused: handler failed for event user.created: no seats bought
erased account 1
leaving refused: handler failed for event user.deleted: account is evidence
`
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := state.run(t.Context(), log.New(&out, "", 0)); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestRunShowsAllStates(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before   welcome, ada@example.com\n",
		"halfway  erased account 1\n",
		"after    leaving refused: handler failed for event user.deleted: account is evidence\n",
	} {
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
