package eventsvet

import (
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// ignored maps a file and a line to the checks whose findings there are taken
// back. Line 0 stands for the whole file.
type ignored map[string]map[int]string

const ignoreDirective = "//eventsvet:ignore "

func (ig ignored) read(fset *token.FileSet, file *ast.File) {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			rest, ok := strings.CutPrefix(comment.Text, ignoreDirective)
			if !ok {
				continue
			}
			checks, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			position := fset.Position(comment.Pos())
			if ig[position.Filename] == nil {
				ig[position.Filename] = make(map[int]string)
			}
			if comment.End() < file.Package {
				position.Line = 0
			}
			ig[position.Filename][position.Line] = checks
		}
	}
}

// covers reports whether a comment takes back the finding of check at pos.
func (ig ignored) covers(check string, position token.Position) bool {
	lines := ig[position.Filename]
	for _, line := range []int{position.Line, position.Line - 1, 0} {
		for name := range strings.SplitSeq(lines[line], ",") {
			if name == check {
				return true
			}
		}
	}
	return false
}

// report reports a finding unless a comment takes it back.
func (d *declarations) report(pass *analysis.Pass, finding analysis.Diagnostic) {
	if d.ignored.covers(pass.Analyzer.Name, pass.Fset.Position(finding.Pos)) {
		return
	}
	finding.Category = pass.Analyzer.Name
	pass.Report(finding)
}
