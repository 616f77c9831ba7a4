package events_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// page is what the samples of a page take for granted, and what comes of it.
type page struct {
	given string   // declarations: what a reader would have
	end   string   // statements after the last sample
	want  []string // lines that the program prints, in any order
}

var pages = map[string]page{
	"README.md": {
		given: `
			var ctx = context.Background()
			func told(handler string, o Order) error { fmt.Println(handler, o.ID); return nil }
			func checkStock(_ context.Context, o Order) error { return told("stock", o) }
			func charge(_ context.Context, o Order) error { return told("charge", o) }
			func mailReceipt(_ context.Context, o Order) error { return told("receipt", o) }
			func showLive(_ context.Context, o Order) error { return told("live", o) }
			func book(_ context.Context, o Order) error { return told("book", o) }
			func export(context.Context, []Order) error { return nil }
			func byCustomer(o Order) string { return o.Customer }
			func audit(_ context.Context, e events.Event) error { fmt.Println("audit", e.Name); return nil }
			func welcome(email string) error { fmt.Println("welcome", email); return nil }`,
		want: []string{
			"paid: A-1",
			"audit order.placed", "stock A-2", "charge A-2", "audit order.paid",
			"welcome ada@example.com", "welcome ada@example.com", "welcome ada@example.com",
		},
	},
	"docs/migration.md": {
		given: "type User struct { ID int `json:\"id\"`; Email string `json:\"email\"` }" + `
			var ctx = context.Background()
			var d = events.NewEventDispatcher()
			var u = User{ID: 7, Email: "ada@example.com"}
			func mail(address string) error { fmt.Println("mail", address); return nil }`,
		end:  "err := UserCreated.Publish(ctx, d, u)",
		want: []string{"mail ada@example.com", "mail ada@example.com"},
	},
	"docs/eventsvet.md": {
		given: "type User struct { ID int `json:\"id\"`; Email string `json:\"email\"` }" + `
			var ctx = context.Background()
			var bus = events.New()
			var byPointer = events.NewTopic[*User]("user.changed")
			func welcome(string) error { return nil }
			func store(context.Context, *User) error { return nil }`,
	},
}

// TestSamples builds and runs what the documentation shows: the Go blocks of
// each page, in their order, as one program. A block that is marked as a
// fragment, by ```go fragment, is left out. Declarations are put at package
// level. Any other block is put into the scope of the one before it, so that it
// may use that one's variables or declare its own of the same name, and so is
// what follows the comment "before" or "after" in a block. No err may be one.
func TestSamples(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the samples need the go command: ", err)
	}
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	files = append(files, "README.md")

	program := samples{t: t, folder: t.TempDir(), files: make(map[string]string)}
	var imports, calls strings.Builder
	want := make(map[string][]string)
	for i, file := range files {
		run := program.add(file, pages[file], fmt.Sprintf("page%d", i))
		if !run {
			require.NotContains(t, pages, file, "pages without samples")
			continue
		}
		want[file] = pages[file].want
		fmt.Fprintf(&imports, "import page%d %q\n", i, samplesPath+fmt.Sprintf("/page%d", i))
		fmt.Fprintf(&calls, "fmt.Println(\"== %s\"); page%d.Run()\n", file, i)
	}
	program.write("main.go", "package main\n\nimport \"fmt\"\n"+imports.String()+"\nfunc main() {\n"+calls.String()+"}\n")

	overlay, err := json.Marshal(map[string]any{"Replace": program.files})
	require.NoError(t, err)
	list := filepath.Join(program.folder, "overlay.json")
	require.NoError(t, os.WriteFile(list, overlay, 0o600))
	command := exec.CommandContext(t.Context(), "go", "run", "-overlay", list, samplesPath)
	var logged strings.Builder
	command.Stderr = &logged
	out, err := command.Output()
	require.NoError(t, err, "a sample does not build or does not run:\n%s", logged.String())
	require.Empty(t, logged.String(), "what the samples log")
	for part := range strings.SplitSeq(string(out), "== ") {
		file, printed, _ := strings.Cut(part, "\n")
		require.ElementsMatch(t, want[file], strings.FieldsFunc(printed, func(r rune) bool { return r == '\n' }), file)
	}
}

// samplesPath is that of the program. There is no such folder: go run is given
// its files as an overlay.
const samplesPath = "github.com/typedbus/events/internal/samples"

type samples struct {
	t      *testing.T
	folder string
	files  map[string]string // of the overlay
}

// write has the build find text in a file of the program.
func (s *samples) write(name, text string) {
	root, err := filepath.Abs("internal/samples")
	require.NoError(s.t, err)
	file := filepath.Join(s.folder, strings.ReplaceAll(name, "/", "_"))
	require.NoError(s.t, os.WriteFile(file, []byte(text), 0o600))
	s.files[filepath.Join(root, filepath.FromSlash(name))] = file
}

const sampleImports = `
import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/typedbus/events"
)

var _ = []any{context.Background, errors.New, fmt.Sprint, log.Print, strings.ToLower, time.Second, events.New}
`

// add makes a package of the samples of a page, and reports whether there are any.
func (s *samples) add(file string, p page, name string) bool {
	blocks := s.blocks(file)
	if len(blocks) == 0 {
		return false
	}
	header := "package " + name + "\n" + sampleImports
	var declarations, statements strings.Builder
	nested := 0
	for _, b := range blocks {
		at := fmt.Sprintf("\n//line %s:%d\n", file, b.line)
		if tree, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+b.code, parser.SkipObjectResolution); err == nil {
			declarations.WriteString(at + b.code)
			for _, declaration := range tree.Decls {
				if function, ok := declaration.(*ast.FuncDecl); ok && function.Name.Name == "main" {
					statements.WriteString("\nmain()\n")
				}
			}
			continue
		}
		statements.WriteString("\n{" + at + s.checked(file, b))
		nested++
	}
	if p.end != "" {
		statements.WriteString("\n{\n" + s.checked(file, block{code: p.end}))
		nested++
	}
	s.write(name+"/given.go", header+p.given+"\n\nfunc check(err error) {\n\tif err != nil {\n\t\tpanic(err)\n\t}\n}\n")
	s.write(name+"/page.go", header+declarations.String()+"\n\nfunc Run() {\n"+statements.String()+"\n"+strings.Repeat("}", nested)+"\n}\n")
	return true
}

// block is a sample, or what is to be a scope of its own within one.
type block struct {
	line int // its first in the page
	code string
}

var newScope = regexp.MustCompile(`^// (before|after)\b`)

// blocks returns the samples of a page.
func (s *samples) blocks(file string) (blocks []block) {
	text, err := os.ReadFile(file)
	require.NoError(s.t, err)
	var inside, skipped bool
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && inside:
			inside = false
		case isFence:
			inside = true
			kind := strings.Fields(fence)
			skipped = len(kind) == 0 || kind[0] != "go"
			if !skipped && len(kind) > 1 {
				require.Equal(s.t, []string{"go", "fragment"}, kind, "%s:%d", file, n)
				skipped = true
			}
			if !skipped {
				blocks = append(blocks, block{line: n + 1})
			}
		case !inside || skipped:
		default:
			if newScope.MatchString(line) {
				blocks = append(blocks, block{line: n})
			}
			blocks[len(blocks)-1].code += line
		}
	}
	return blocks
}

// checked returns the statements of a block, each err of which is looked at.
func (s *samples) checked(file string, b block) string {
	const before = "package p\nfunc _() {\n"
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, "", before+b.code+"\n}", parser.SkipObjectResolution)
	require.NoError(s.t, err, "the sample in line %d of %s", b.line, file)
	var code strings.Builder
	done := 0
	for _, statement := range tree.Decls[0].(*ast.FuncDecl).Body.List {
		assignment, ok := statement.(*ast.AssignStmt)
		if !ok {
			continue
		}
		for _, left := range assignment.Lhs {
			if variable, ok := left.(*ast.Ident); ok && variable.Name == "err" {
				end := set.Position(assignment.End()).Offset - len(before)
				code.WriteString(b.code[done:end] + "; check(err)")
				done = end
			}
		}
	}
	return code.String() + b.code[done:]
}
