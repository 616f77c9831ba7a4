package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/typedbus/events/eventsvet/internal/migrate"
)

const migrateUsage = `Usage: eventsvet -migrate [flags] [packages]

Migrate changes the import of the map-based dispatcher to the events package
and declares a topic for each event whose payload it can tell. It prints a diff,
and lists what it leaves unchanged and where publishers and handlers disagree.
`

// migrateMain runs eventsvet -migrate and returns its exit code.
func migrateMain(arguments []string, stdout, stderr io.Writer) int {
	options := migrate.Options{Directory: "."}
	flags := flag.NewFlagSet("eventsvet -migrate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&options.From, "from", "neonex/core/pkg/events", "import `path` of the package to replace")
	flags.StringVar(&options.Topics, "topics", "", "`directory` in the module for the topics (default: the only package with events, or topics)")
	flags.BoolVar(&options.Write, "w", false, "write the files in place of a diff")
	flags.BoolVar(&options.Rewrite, "rewrite", false, "move calls and handlers to the topics too, where that is certain to mean the same")
	flags.Usage = func() {
		fmt.Fprint(stderr, migrateUsage, "\nFlags:\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	options.Patterns = flags.Args()
	if len(options.Patterns) == 0 {
		options.Patterns = []string{"./..."}
	}
	if err := migrate.Run(options, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "eventsvet: %v\n", err)
		return 1
	}
	return 0
}
