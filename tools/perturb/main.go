// Command perturb runs tests on a copy of the library in which goroutines often
// let others run where that matters: before and after locks are taken and
// released, and before atomic operations. What needs two goroutines to meet at
// one instant then happens in seconds and not in days.
//
// It is called in the root of the module, with arguments for go test:
//
//	go -C tools run ./perturb -root .. -run TestQueuesAgreeWithModel -timeout 0 . -queue.model=1h
//
// The copy stays if a test fails, for its stacks to make sense.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const here = `// Package perturb lets other goroutines run.
package perturb

import (
	"math/rand/v2"
	"runtime"
)

// Here is a place where another goroutine may come in between.
func Here() {
	if rand.IntN(%d) > 0 {
		return
	}
	for range 1 + rand.IntN(8) {
		runtime.Gosched()
	}
}
`

// perturbed are the packages, by their folders.
var perturbed = []string{".", "internal/topiclog", "internal/queue", "internal/pool", "internal/waitgraph"}

// operations are the methods before which others are let in.
var operations = map[string]bool{
	"Lock": true, "Unlock": true, "RLock": true, "RUnlock": true,
	"Load": true, "Store": true, "Swap": true, "CompareAndSwap": true, "Add": true, "Or": true,
}

func main() {
	root := flag.String("root", ".", "the module to copy")
	every := flag.Int("every", 16, "one in so many places, on average, lets others run")
	// What follows the flags of this command is for go test.
	own := slices.IndexFunc(os.Args[1:], func(arg string) bool { return arg == "-run" || arg == "-race" })
	if own < 0 {
		own = len(os.Args) - 1
	}
	_ = flag.CommandLine.Parse(os.Args[1 : 1+own])
	if err := run(*root, *every, os.Args[1+own:]); err != nil {
		fmt.Fprintln(os.Stderr, "perturb:", err)
		os.Exit(1)
	}
}

func run(root string, every int, args []string) error {
	folder, err := os.MkdirTemp("", "perturbed-")
	if err != nil {
		return err
	}
	if err := copyModule(root, folder); err != nil {
		return err
	}
	module, err := moduleOf(folder)
	if err != nil {
		return err
	}
	places := 0
	for _, name := range perturbed {
		files, err := filepath.Glob(filepath.Join(folder, name, "*.go"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			n, err := perturb(file, module)
			if err != nil {
				return err
			}
			places += n
		}
	}
	if places == 0 {
		return fmt.Errorf("found no place in %s", folder)
	}
	if err := os.MkdirAll(filepath.Join(folder, "internal/perturb"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "internal/perturb/here.go"), fmt.Appendf(nil, here, every), 0o644); err != nil {
		return err
	}
	fmt.Printf("%d places in %s\n", places, folder)
	test := exec.Command("go", append([]string{"test"}, args...)...)
	test.Dir, test.Stdout, test.Stderr = folder, os.Stdout, os.Stderr
	test.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if err := test.Run(); err != nil {
		return fmt.Errorf("in %s: %w", folder, err)
	}
	return os.RemoveAll(folder)
}

// copyModule copies a module without those nested in it.
func copyModule(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if entry.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if name != "." && (nested == nil || strings.HasPrefix(entry.Name(), ".")) {
				return filepath.SkipDir
			}
			return os.MkdirAll(target, 0o755)
		}
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), "go.work") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

func moduleOf(folder string) (string, error) {
	content, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if module, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(module), nil
		}
	}
	return "", fmt.Errorf("%s/go.mod names no module", folder)
}

// perturb builds the places into a file, without moving a line.
func perturb(file, module string) (places int, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, content, parser.SkipObjectResolution)
	if err != nil {
		return 0, err
	}
	type insertion struct {
		at   int
		text string
	}
	var all []insertion
	insert := func(at token.Pos, text string) {
		all = append(all, insertion{set.Position(at).Offset, text})
		places++
	}
	each := func(list []ast.Stmt) {
		for _, statement := range list {
			switch statement.(type) {
			case *ast.BlockStmt, *ast.LabeledStmt, *ast.CaseClause, *ast.CommClause, *ast.DeferStmt:
				continue
			}
			if uses, releases := looksAt(statement); uses {
				insert(statement.Pos(), "perturb.Here(); ")
				if releases {
					insert(statement.End(), "; perturb.Here()")
				}
			}
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch block := node.(type) {
		case *ast.BlockStmt:
			each(block.List)
		case *ast.CaseClause:
			each(block.Body)
		case *ast.CommClause:
			each(block.Body)
		}
		return true
	})
	if places == 0 {
		return 0, nil
	}
	insert(parsed.Name.End(), fmt.Sprintf("; import %q", module+"/internal/perturb"))
	// From behind, so that the places before stay where they are.
	slices.SortStableFunc(all, func(a, b insertion) int { return cmp.Compare(b.at, a.at) })
	text := string(content)
	for _, each := range all {
		text = text[:each.at] + each.text + text[each.at:]
	}
	return places, os.WriteFile(file, []byte(text), 0o644)
}

// looksAt reports whether a statement itself, and not one within it, calls one
// of the operations, and whether it does nothing but release a lock.
func looksAt(statement ast.Stmt) (uses, releases bool) {
	ast.Inspect(statement, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BlockStmt, *ast.FuncLit:
			return false
		case *ast.CallExpr:
			if method, ok := node.Fun.(*ast.SelectorExpr); ok && operations[method.Sel.Name] {
				uses = true
			}
		}
		return true
	})
	if call, ok := statement.(*ast.ExprStmt); ok {
		if call, ok := call.X.(*ast.CallExpr); ok {
			if method, ok := call.Fun.(*ast.SelectorExpr); ok {
				releases = strings.HasSuffix(method.Sel.Name, "Unlock")
			}
		}
	}
	return uses, releases
}
