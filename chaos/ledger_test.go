package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is written is read, once, and not before its line is complete.
func TestLedgerIsReadAsItGrows(t *testing.T) {
	folder := t.TempDir()
	l, err := openLedger(folder, "w1")
	require.NoError(t, err)
	one := entry{Kind: isEnded, At: 7, Process: "w1", Group: "free", Key: "k", Number: 3, Attempt: 2, Since: 5, Note: outcomeOK}
	l.write(one, entry{Kind: isGone, Process: "w2", Note: "with a space"})
	read := newLibrary(folder)
	require.NoError(t, read.update())
	require.Len(t, read.entries, 2)
	assert.Equal(t, one, read.entries[0])
	assert.Equal(t, "with_a_space", read.entries[1].Note)
	assert.NotZero(t, read.entries[1].At)

	_, err = l.file.WriteString("slain 8 w1")
	require.NoError(t, err)
	require.NoError(t, read.update())
	assert.Len(t, read.entries, 2, "half a line")
	_, err = l.file.WriteString(" - - 0 0 0 -\n")
	require.NoError(t, err)
	require.NoError(t, read.update())
	assert.Len(t, read.entries, 3)
	require.NoError(t, l.close())

	require.NoError(t, os.WriteFile(filepath.Join(folder, "x.ledger"), []byte("a line of something else\n"), 0o600))
	assert.ErrorContains(t, read.update(), "x.ledger")
}
