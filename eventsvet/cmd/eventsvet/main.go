// Eventsvet checks programs that use the events package, and migrates those
// that use the map-based dispatcher which it replaces.
//
//	eventsvet ./...                             report
//	eventsvet -fix ./...                        apply the fixes
//	go vet -vettool=$(which eventsvet) ./...    report, as a part of go vet
//	eventsvet -migrate ./...                    show what a migration would change
package main

import (
	"fmt"
	"os"

	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/typedbus/events/eventsvet"
)

func main() {
	if len(os.Args) > 1 && (os.Args[1] == "-migrate" || os.Args[1] == "--migrate") {
		os.Exit(migrateMain(os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) == 1 || os.Args[1] == "help" {
		fmt.Fprint(os.Stderr, "To migrate a program from the map-based dispatcher see: eventsvet -migrate -h\n\n")
	}
	multichecker.Main(eventsvet.Analyzers()...)
}
