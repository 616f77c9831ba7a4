// Package eventsvet checks programs that use the events package, and helps
// those that still pass maps around on their way to typed topics.
//
// A program is checked against the topics that it declares. A package knows
// its own and those of the packages that it imports, directly or not; a name
// that is dispatched where its topic is not imported is taken for untyped.
//
// Declarations count when they stand at package level. Tests declare odd
// topics and dispatch odd payloads on purpose, so files that end in _test.go
// are left out. A comment takes back single findings, on their line or on the
// line above, and may name several checks; above the package clause it holds for
// the file:
//
//	//eventsvet:ignore untyped this program shows both sides of the bridge
package eventsvet

import "golang.org/x/tools/go/analysis"

// Analyzers returns all checks.
func Analyzers() []*analysis.Analyzer {
	return []*analysis.Analyzer{Assertion, Conflict, Mutation, Name, Payload, Untyped}
}
