// Typecost prints how much a program grows with each payload type: it builds
// one program with 1 type and one with 41 types, each of which is used in every
// way that a topic offers. It fails when a type costs more than the budget.
//
// What counts is the program without debug information (-ldflags='-s -w'),
// that is, its code and what the runtime needs to know of it. The growth with
// debug information, as go build makes it if it is told nothing, is printed too.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
)

// budget is what a type may cost, in bytes. The aim is 40 KB, which is not
// reached: this is what it costs, so that it does not grow.
const budget = 62 << 10

// few and many are the types of the two programs.
const few, many = 1, 41

//go:embed program.go.tmpl
var source string

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "typecost:", err)
		os.Exit(1)
	}
}

func run() error {
	folder, err := os.MkdirTemp("", "typecost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // the system's own clean-up will
	fmt.Printf("building programs with %d and with %d payload types, with debug information and without\n", few, many)
	cost, err := costOf(folder, "-s -w")
	if err != nil {
		return err
	}
	withDebug, err := costOf(folder, "")
	if err != nil {
		return err
	}
	fmt.Printf("a payload type costs %.1f KB of binary, of at most %d KB (%.1f KB with debug information)\n",
		kilobytes(cost), budget>>10, kilobytes(withDebug))
	if cost > budget {
		return fmt.Errorf("%d bytes are over the budget of %d", cost, budget)
	}
	return nil
}

func kilobytes(bytes int64) float64 { return float64(bytes) / (1 << 10) }

// costOf returns the bytes of a type. It must run within the module, whose
// requirements the programs are built with.
func costOf(folder, linkerFlags string) (int64, error) {
	least, err := build(folder, linkerFlags, few)
	if err != nil {
		return 0, err
	}
	most, err := build(folder, linkerFlags, many)
	if err != nil {
		return 0, err
	}
	return (most - least) / (many - few), nil
}

// build returns the size of a program with n payload types.
func build(folder, linkerFlags string, n int) (int64, error) {
	program := filepath.Join(folder, fmt.Sprintf("types%d.go", n))
	file, err := os.Create(program)
	if err != nil {
		return 0, err
	}
	err = template.Must(template.New("program").Parse(source)).Execute(file, n)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return 0, err
	}
	binary := filepath.Join(folder, fmt.Sprintf("types%d", n))
	if output, err := exec.Command("go", "build", "-ldflags", linkerFlags, "-o", binary, program).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, output)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
