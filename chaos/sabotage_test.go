package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each break still finds what it changes, once, and what comes out compiles.
func TestSabotagesApply(t *testing.T) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			_, err := choose("scenario", s.scenario, scenarios)
			require.NoError(t, err)
			_, err = choose("engine", s.engine, engines)
			require.NoError(t, err)
			overlay, err := s.apply(root, t.TempDir())
			require.NoError(t, err)
			build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "github.com/typedbus/events/"+path.Dir(s.file))
			out, err := build.CombinedOutput()
			assert.NoError(t, err, "%s", out)
		})
	}
}

// A break whose source has moved on is an error, not a run that finds nothing.
func TestSabotageOfAnotherSourceFails(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "a.go"), []byte("package a // twice twice"), 0o600))
	for _, old := range []string{"never", "twice"} {
		s := &sabotage{name: "x", file: "a.go", old: old, new: "once"}
		_, err := s.apply(root, t.TempDir())
		assert.ErrorContains(t, err, "want once", old)
	}
}
