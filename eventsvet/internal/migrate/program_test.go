package migrate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// legacy is the API that programs come from, in a package of any path and name.
const legacy = `
import "context"

type Event struct {
	Name string
	Data interface{}
}

type Handler func(ctx context.Context, event Event) error

type EventDispatcher struct{}

func NewEventDispatcher() *EventDispatcher                                 { return nil }
func (*EventDispatcher) Register(eventName string, handler Handler)         {}
func (*EventDispatcher) Dispatch(ctx context.Context, event Event) error    { return nil }
func (*EventDispatcher) DispatchAsync(ctx context.Context, event Event)     {}
func Register(eventName string, handler Handler)                            {}
func Dispatch(ctx context.Context, event Event) error                       { return nil }
func Reset()                                                                {}

const EventUserCreated = "user.created"
`

// Each archive in testdata holds a program, and what migrating it prints: the
// files diff and report. The comment is the command line.
func TestPrograms(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("%d archives: %v", len(archives), err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			directory := t.TempDir()
			want := make(map[string]string)
			write(t, filepath.Join(directory, "go.mod"), "module app\n\ngo 1.26.0\n")
			write(t, filepath.Join(directory, "old/events/events.go"), "package events\n"+legacy)
			write(t, filepath.Join(directory, "old/dispatch/dispatch.go"), "package bus\n"+legacy)
			for _, file := range archive.Files {
				if strings.HasSuffix(file.Name, ".go") {
					write(t, filepath.Join(directory, file.Name), string(file.Data))
				} else {
					want[file.Name] = string(file.Data)
				}
			}
			options := Options{Directory: directory, Patterns: []string{"./..."}, From: "app/old/events"}
			for flag := range strings.FieldsSeq(string(archive.Comment)) {
				switch key, value, _ := strings.Cut(flag, "="); key {
				case "-rewrite":
					options.Rewrite = true
				case "-from":
					options.From = value
				case "-topics":
					options.Topics = value
				default:
					t.Fatalf("unknown flag %s", flag)
				}
			}
			var out, report bytes.Buffer
			if err := Run(options, &out, &report); err != nil {
				report.WriteString("error: " + strings.ReplaceAll(err.Error(), directory+string(filepath.Separator), "") + "\n")
			}
			for name, got := range map[string]string{"diff": out.String(), "report": strings.TrimPrefix(report.String(), "\n")} {
				if got != want[name] {
					t.Errorf("%s:\n%s\ncompared with what is wanted:\n%s", name, got, diff(name, []byte(want[name]), []byte(got)))
				}
			}
			if os.Getenv("UPDATE") != "" {
				update(t, name, archive, out.String(), strings.TrimPrefix(report.String(), "\n"))
			}
		})
	}
}

// update writes what was printed to the archive.
func update(t *testing.T, name string, archive *txtar.Archive, diff, report string) {
	t.Helper()
	var files []txtar.File
	for _, file := range archive.Files {
		if strings.HasSuffix(file.Name, ".go") {
			files = append(files, file)
		}
	}
	archive.Files = append(files, txtar.File{Name: "diff", Data: []byte(diff)}, txtar.File{Name: "report", Data: []byte(report)})
	write(t, name, string(txtar.Format(archive)))
}
