package migrate

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The sample application has the shape of the old documentation's, and its
// inconsistencies. Each step of its migration has to build against the real
// events package, pass the application's tests and print what it printed.
func TestSampleApplication(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Skipf("needs the events package beside this module: %v", err)
	}
	app := filepath.Join(t.TempDir(), "app")
	if err := os.CopyFS(app, os.DirFS("../../testdata/sampleapp")); err != nil {
		t.Fatal(err)
	}
	before := goCommand(t, app, "run", "./cmd/server")
	if lines := strings.Count(before, "\n"); lines < 50 {
		t.Fatalf("the application prints %d lines", lines)
	}

	first := migrate(t, Options{Directory: app, Write: true})
	goMod := "module neonex\n\ngo 1.26.0\n\nrequire github.com/typedbus/events v0.0.0\n\nreplace github.com/typedbus/events => " + root + "\n"
	write(t, filepath.Join(app, "go.mod"), goMod)
	write(t, filepath.Join(app, "go.sum"), string(sums))
	compare := func(step string) {
		t.Helper()
		goCommand(t, app, "vet", "./...")
		goCommand(t, app, "test", "./...")
		if after := goCommand(t, app, "run", "./cmd/server"); after != before {
			t.Errorf("%s changes what the application prints:\n%s", step, diff("output", []byte(before), []byte(after)))
		}
	}
	compare("changing the import and declaring topics")
	if uses(t, app, "neonex/core/pkg/events") {
		t.Error("the old import is still there")
	}
	if !uses(t, app, "dispatcher.Dispatch(") || uses(t, app, ".Publish(") {
		t.Error("calls are rewritten without being asked for")
	}

	migrate(t, Options{Directory: app, Write: true, Rewrite: true})
	compare("rewriting calls and handlers")
	for _, moved := range []string{
		"topics.OrderPlaced.Publish(ctx, o.dispatcher, topics.OrderPlacedPayload{",
		"topics.OrderPlaced.Subscribe(dispatcher, o.reserve)",
		"func archive(ctx context.Context, invoice topics.InvoiceWrittenPayload) error {",
		"user.UserPasswordReset.Subscribe(dispatcher, func(ctx context.Context, reset user.PasswordReset) error {",
		"topics.ModuleInstalled.Publish(ctx, events.Default(), topics.ModuleInstalledPayload{Name: name, Version: version})",
		"topics.DigestRequested.PublishAsync(ctx, dispatcher, topics.DigestRequestedPayload{Days: days})",
	} {
		if !uses(t, app, moved) {
			t.Errorf("not moved: %s", moved)
		}
	}
	if again := migrate(t, Options{Directory: app, Rewrite: true}); !strings.HasPrefix(again, "nothing to change") {
		t.Errorf("a migrated program is changed again:\n%s", again)
	}

	for _, want := range []string{
		`internal/user/service.go:50: user.created: "id", "name" is not sent here, elsewhere it is`,
		`internal/notify/notify.go:40: user.deleted: "id" is read here and never sent; sent are "user_id", "soft"`,
		`internal/billing/billing.go:29: order.paid: "amount" is asserted as float64 here and sent as int`,
		`internal/modules/modules.go:88: system.started: "boot_ms" is sent as int here and as int64 at internal/modules/modules.go:82: declared as int64`,
		`module.uninstalled: string is sent here and a map at internal/modules/modules.go:73: no topic is declared`,
		`internal/audit/audit.go:22: the name of the events handled here is not constant`,
		`internal/modules/modules.go:49: the name of the event made here is not constant`,
		`user.logged_out: nothing tells what the payload is: no topic is declared`,
	} {
		if !strings.Contains(first, want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if t.Failed() {
		t.Logf("the first step reported:\n%s", first)
	}
}

// migrate runs the tool on all packages and returns its report.
func migrate(t *testing.T, options Options) string {
	t.Helper()
	options.Patterns = []string{"./..."}
	if options.From == "" {
		options.From = "neonex/core/pkg/events"
	}
	var out, report bytes.Buffer
	if err := Run(options, &out, &report); err != nil {
		t.Fatal(err)
	}
	return report.String()
}

func goCommand(t *testing.T, directory string, arguments ...string) string {
	t.Helper()
	command := exec.Command("go", arguments...)
	command.Dir = directory
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var errors strings.Builder
	command.Stderr = &errors
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(arguments, " "), err, out, errors.String())
	}
	return string(out)
}

// uses reports whether a file outside the old dispatcher contains text.
func uses(t *testing.T, directory, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*", "*", "*.go"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(source), text)
	})
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
