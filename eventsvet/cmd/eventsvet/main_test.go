package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// program declares a topic in one package, which reaches main only through
// another, and makes every mistake that the checks know.
const program = `
-- go.mod --
module app

go 1.26.0

require github.com/typedbus/events v0.0.0

replace github.com/typedbus/events => ./stub
-- stub/go.mod --
module github.com/typedbus/events

go 1.26.0
-- account/account.go --
package account

import "github.com/typedbus/events"

type User struct {
	ID int
}

var UserCreated = events.NewTopic[User]("user.created")
-- relay/relay.go --
package relay

import "app/account"

func User(id int) account.User { return account.User{ID: id} }
-- main.go --
package main

import (
	"context"

	"app/relay"

	"github.com/typedbus/events"
)

func main() {
	ctx, bus := context.Background(), events.New()
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: relay.User(7)})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: 7})
	bus.Register("Shouted", func(ctx context.Context, e events.Event) error {
		m := e.Data.(map[string]int)
		m["heard"]++
		return nil
	})
}

var created = events.NewTopic[string]("user.created")
`

var findings = []string{
	`main.go:16:8: unchecked assertion panics when the payload holds another type than map[string]int`,
	`main.go:17:3: handler writes to its payload, which other handlers see`,
	`main.go:15:15: event name "Shouted" is not of the form domain.action`,
	`main.go:22:15: topic "user.created" carries string here and app/account.User in app/account`,
}

var tool string // the command, built

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "eventsvet")
	if err != nil {
		panic(err)
	}
	tool = filepath.Join(directory, "eventsvet")
	if out, err := exec.Command("go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	if err := os.RemoveAll(directory); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func TestStandalone(t *testing.T) {
	out, code := run(t, unpack(t, program), tool, "./...")
	if code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	expect(t, out, findings...)
}

func TestVetTool(t *testing.T) {
	directory := unpack(t, program)
	out, code := run(t, directory, "go", "vet", "-vettool="+tool, "./...")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	expect(t, out, findings...)
	out, _ = run(t, directory, "go", "vet", "-vettool="+tool, "-name", "./...")
	expect(t, out, findings[2])
	if strings.Contains(out, findings[0]) {
		t.Errorf("with -name alone:\n%s", out)
	}
}

// Topics are known where only an import of an import declares them.
func TestTopicsOfIndirectImports(t *testing.T) {
	source, _, _ := strings.Cut(program, "var created")
	directory := unpack(t, source)
	for _, command := range [][]string{{tool, "./..."}, {"go", "vet", "-vettool=" + tool, "./..."}} {
		out, _ := run(t, directory, command...)
		expect(t, out,
			`main.go:14:61: event "user.created": int does not become the topic's app/account.User`,
			`main.go:13:2: event "user.created" is dispatched by name, past its topic UserCreated`)
	}
}

func TestFix(t *testing.T) {
	source, _, _ := strings.Cut(program, "var created")
	directory := unpack(t, source)
	if out, code := run(t, directory, tool, "-fix", "-untyped", "-assertion", "./..."); code != 0 && code != 3 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	fixed, err := os.ReadFile(filepath.Join(directory, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, string(fixed),
		`"app/account"`,
		`account.UserCreated.Publish(ctx, bus, relay.User(7))`,
		`m, ok := e.Data.(map[string]int)`,
		`return fmt.Errorf("payload is %T, want map[string]int", e.Data)`)
	if out, code := run(t, directory, "go", "build", "./..."); code != 0 {
		t.Errorf("the fixed program does not build:\n%s\n%s", out, fixed)
	}
}

func TestMigrate(t *testing.T) {
	directory := unpack(t, `
-- go.mod --
module neonex

go 1.26.0
-- core/pkg/events/events.go --
package events

type Event struct {
	Name string
	Data interface{}
}
-- main.go --
package main

import "neonex/core/pkg/events"

func main() { _ = events.Event{Name: "user.created", Data: map[string]interface{}{"id": 1}} }
`)
	out, code := run(t, directory, tool, "-migrate")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	expect(t, out, "--- a/main.go\n", "-import \"neonex/core/pkg/events\"\n", "+import \"github.com/typedbus/events\"\n",
		"+var UserCreated = events.NewTopic[UserCreatedPayload](events.EventUserCreated)\n")

	if out, code := run(t, directory, tool, "-migrate", "-w", "./..."); code != 0 || strings.Contains(out, "---") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if source, err := os.ReadFile(filepath.Join(directory, "main.go")); err != nil || !bytes.Contains(source, []byte("github.com/typedbus/events")) {
		t.Errorf("not written: %v\n%s", err, source)
	}
}

func TestMigrateRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		code      int
		want      string
	}{
		"an unknown flag":     {[]string{"-nothing"}, 2, "-nothing"},
		"a package not there": {[]string{"./nowhere"}, 1, "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := run(t, unpack(t, program), append([]string{tool, "-migrate"}, test.arguments...)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			expect(t, out, test.want)
		})
	}
}

// unpack writes the files of an archive, and the stub of the events package.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	directory := t.TempDir()
	if err := os.CopyFS(filepath.Join(directory, "stub"), os.DirFS("../../testdata/src/github.com/typedbus/events")); err != nil {
		t.Fatal(err)
	}
	for _, file := range txtar.Parse([]byte(archive)).Files {
		name := filepath.Join(directory, file.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// run returns what a command prints, and its exit code.
func run(t *testing.T, directory string, command ...string) (string, int) {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Dir = directory
	c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off")
	out, err := c.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return string(out), c.ProcessState.ExitCode()
}

func expect(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q", part)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
