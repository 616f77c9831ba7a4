package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCheck holds ledgers written by hand against the rules, with a lease of 1,000 ms.
// Their lines are "kind at process group key number since note", times in milliseconds.
func TestCheck(t *testing.T) {
	published := `
		intent 1 p - k 1 0 plain
		stored 2 p - k 1 0 -
		intent 3 p - k 2 0 plain
		stored 4 p - k 2 0 -
		`
	first := `
		begin 10 a ordered k 1 9 -
		end 20 a ordered k 1 10 ok
		`
	second := `
		begin 30 a ordered k 2 9 -
		end 40 a ordered k 2 30 ok
		`
	tests := []struct {
		name   string
		ledger string
		gentle bool
		forget bool
		want   []string
	}{
		{name: "clean", ledger: published + first + second, gentle: true},
		{name: "begun after a server was killed that forgets", ledger: published + first + "begin 25 b ordered k 2 9 -\noutage 27 - - - 0 0 -\nend 900 b ordered k 2 25 ok\n" + second, forget: true},
		{name: "begun before it was killed", ledger: published + first + "begin 25 b ordered k 2 9 -\noutage 50 - - - 0 0 -\nend 900 b ordered k 2 25 ok\n" + second, forget: true, want: []string{checkOverlap}},
		{name: "begun after a server was killed that does not", ledger: published + first + "begin 25 b ordered k 2 9 -\noutage 27 - - - 0 0 -\nend 900 b ordered k 2 25 ok\n" + second, want: []string{checkOverlap}},
		{name: "lost", ledger: published + first, want: []string{checkLost}},
		{name: "failed for good and not kept", ledger: published + first + "begin 30 a ordered k 2 9 -\nend 40 a ordered k 2 30 failed", want: []string{checkLost}},
		{name: "not known whether it was stored", ledger: published + first + second + "intent 5 p - k 3 0 plain"},
		{name: "not known, and handled", ledger: published + first + second + "intent 5 p - k 3 0 plain\nbegin 50 a ordered k 3 9 -\nend 60 a ordered k 3 50 ok"},
		{name: "rolled back", ledger: published + first + second + "intent 5 p - k 3 0 plain\nundone 6 p - k 3 0 -"},
		{name: "rolled back and handled", ledger: published + first + second + "intent 5 p - k 3 0 plain\nundone 6 p - k 3 0 -\nbegin 50 a ordered k 3 9 -\nend 60 a ordered k 3 50 ok", want: []string{checkInvented}},
		{name: "never published", ledger: published + first + second + "begin 50 a ordered k 3 9 -\nend 60 a ordered k 3 50 ok", want: []string{checkInvented}},
		{name: "handled twice", ledger: published + first + second + "begin 50 b ordered k 2 9 -\nend 60 b ordered k 2 50 ok"},
		{name: "handled twice where nothing was killed", ledger: published + first + second + "begin 50 b ordered k 2 9 -\nend 60 b ordered k 2 50 ok", gentle: true, want: []string{checkDoubled}},
		{name: "out of order", ledger: published + second + strings.NewReplacer("10", "50", "20", "60").Replace(first), want: []string{checkOrder}},
		{name: "begun before the retry of an earlier one", ledger: published + "begin 5 a ordered k 1 4 -\nend 8 a ordered k 1 5 failed\n" + second + "begin 50 a ordered k 1 9 -\nend 60 a ordered k 1 50 ok", want: []string{checkOrder}},
		{name: "a delayed one has no place", ledger: strings.Replace(published, "k 1 0 plain", "k 1 0 delayed", 1) + second + strings.NewReplacer("10", "50", "20", "60").Replace(first)},
		{name: "a dead letter lets others go on", ledger: strings.Replace(published, "k 1 0 plain", "k 1 0 refused", 1) + second + "begin 10 a ordered k 1 9 -\nend 20 a ordered k 1 10 refused\ndead 100 d ordered k 1 0 -"},
		{name: "a dead letter by mistake", ledger: published + first + "dead 100 d ordered k 2 0 -", want: []string{checkGivenUp}},
		{name: "both at once", ledger: published + "begin 10 a ordered k 1 9 -\nend 35 a ordered k 1 10 ok\n" + second, want: []string{checkOrder, checkOverlap}},
		{name: "begun beside one whose process is killed later", ledger: published + first + "begin 25 b ordered k 2 9 -\nslain 35 b - - 0 0 -\n" + second, want: []string{checkOverlap}},
		{name: "begun after one whose process was killed", ledger: published + first + "begin 25 b ordered k 2 9 -\nslain 27 b - - 0 0 -\n" + second},
		{name: "begun beside one that is held up", ledger: published + first + "begin 25 b ordered k 2 9 -\nstop 26 b - - 0 0 -\nresume 1500 b - - 0 0 -\nend 1501 b ordered k 2 25 lost\n" + second},
		{name: "held up, and took no notice", ledger: published + first + "begin 25 b ordered k 2 9 -\nstop 26 b - - 0 0 -\nresume 1500 b - - 0 0 -\nend 1501 b ordered k 2 25 ok\n" + second, want: []string{checkOverlap}},
		{name: "held up and killed", ledger: published + first + "begin 25 b ordered k 2 9 -\nstop 26 b - - 0 0 -\nslain 1500 b - - 0 0 -\n" + second},
		{name: "lost for no reason while others are at it", ledger: published + first + "begin 25 b ordered k 2 9 -\nend 900 b ordered k 2 25 lost\n" + second, want: []string{checkOverlap}},
		{name: "begun with a lost lease", ledger: published + first + second + "stop 50 a - - 0 0 -\nresume 1500 a - - 0 0 -\nbegin 1510 a ordered k 2 45 -\nend 1520 a ordered k 2 1510 ok", want: []string{checkStale}},
		{name: "just about to begin", ledger: published + first + second + "stop 50 a - - 0 0 -\nresume 1500 a - - 0 0 -\nbegin 1510 a ordered k 2 45 -\nend 1520 a ordered k 2 1510 void"},
		{name: "held up for less than the lease", ledger: published + first + second + "stop 50 a - - 0 0 -\nresume 900 a - - 0 0 -\nbegin 910 a ordered k 2 45 -\nend 920 a ordered k 2 910 ok"},
		{name: "crashed", ledger: published + first + second + "gone 50 a - - 0 0 crashed", want: []string{checkCrash}},
		{name: "hung", ledger: published + first + second + "gone 50 a - - 0 0 hung", want: []string{checkHang}},
		{name: "complained", ledger: published + first + second + "complaint 50 a - - 0 0 busy"},
		{name: "complained where nothing was killed", ledger: published + first + second + "complaint 50 a - - 0 0 busy", gentle: true, want: []string{checkComplaint}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			by := rules{lease: time.Second, groups: groups[:1], over: true, gentle: test.gentle, forget: test.forget}
			_, violations := check(newHistory(read(t, test.ledger)), by)
			var found []string
			for _, v := range violations {
				found = append(found, v.check)
			}
			assert.ElementsMatch(t, test.want, found, "%v", violations)
		})
	}
}

// read reads a ledger written by hand.
func read(t *testing.T, ledger string) (entries []entry) {
	t.Helper()
	for line := range strings.Lines(ledger) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var kind, process, group, key, note string
		var at, since, number int64
		_, err := fmt.Sscan(line, &kind, &at, &process, &group, &key, &number, &since, &note)
		require.NoError(t, err, line)
		const ms = int64(time.Millisecond)
		e, err := parseEntry(fmt.Sprintln(kind, at*ms, process, group, key, number, 1, since*ms, note))
		require.NoError(t, err, line)
		entries = append(entries, e)
	}
	return entries
}

// Without order by key, events of one key may be handled beside each other, and the same
// event may not.
func TestCheckWithoutOrder(t *testing.T) {
	entries := read(t, `intent 1 p - k 1 0 plain
		intent 2 p - k 2 0 plain
		begin 10 a free k 2 9 -
		begin 11 b free k 1 9 -
		end 20 a free k 2 10 ok
		end 21 b free k 1 11 ok`)
	by := rules{lease: time.Second, groups: groups[1:2], over: true}
	_, violations := check(newHistory(entries), by)
	assert.Empty(t, violations)
	entries = append(entries, read(t, "begin 15 b free k 2 9 -\nend 25 b free k 2 15 ok")...)
	_, violations = check(newHistory(entries), by)
	require.Len(t, violations, 1)
	assert.Equal(t, checkOverlap, violations[0].check)
}
