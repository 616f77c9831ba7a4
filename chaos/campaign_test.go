package main

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is a publisher or a worker when a test has started itself as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == actArgument {
		main()
		return
	}
	os.Exit(m.Run())
}

// A short run of the rig, whose processes are killed, finds nothing, and has seen events.
func TestMixed(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	sc, err := choose("scenario", "mixed", scenarios)
	require.NoError(t, err)
	s := stage{engine: onSQLite, program: program, duration: 3 * time.Second, saying: time.Hour, random: rand.New(rand.NewPCG(1, 1)), out: t.Output()}
	r, err := play(t.Context(), sc[0], s)
	require.NoError(t, err)
	assert.Empty(t, r.violations)
	assert.NotEmpty(t, r.blows)
	for _, one := range r.tallies {
		assert.NotZero(t, one.stored, one.group)
		assert.Equal(t, one.stored, min(one.stored, one.handled+one.dead), one.group)
	}
}
