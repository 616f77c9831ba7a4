package eventsvet_test

import (
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/typedbus/events/eventsvet"
)

func TestAssertion(t *testing.T) { run(t, eventsvet.Assertion, "assertion") }
func TestConflict(t *testing.T)  { run(t, eventsvet.Conflict, "conflict") }
func TestMutation(t *testing.T)  { run(t, eventsvet.Mutation, "mutation") }
func TestName(t *testing.T)      { run(t, eventsvet.Name, "name") }
func TestPayload(t *testing.T)   { run(t, eventsvet.Payload, "payload") }
func TestUntyped(t *testing.T)   { run(t, eventsvet.Untyped, "untyped") }

func run(t *testing.T, analyzer *analysis.Analyzer, patterns ...string) {
	t.Helper()
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), analyzer, patterns...)
}

func TestAnalyzersAreValid(t *testing.T) {
	if err := analysis.Validate(eventsvet.Analyzers()); err != nil {
		t.Error(err)
	}
}
