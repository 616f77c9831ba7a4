package eventsvet

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// The facts of a package hold what its imports declare, too.
func TestTopicsAcrossPackages(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), topics, "account", "relay")
}
