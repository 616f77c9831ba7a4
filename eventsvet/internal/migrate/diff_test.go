package migrate

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestDiff(t *testing.T) {
	before := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"
	after := "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\n"
	want := `--- a/x.go
+++ b/x.go
@@ -1,5 +1,5 @@
 a
-b
+B
 c
 d
 e
@@ -8,3 +8,4 @@
 h
 i
 j
+k
`
	if got := diff("x.go", []byte(before), []byte(after)); got != want {
		t.Errorf("got:\n%s", got)
	}
	if got := diff("x.go", []byte(before), []byte(before)); got != "" {
		t.Errorf("of equal texts:\n%s", got)
	}
}

// The lines that stay and go are the old text, those that stay and come the
// new one, and the hunks hold every change.
func TestDiffIsComplete(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() []string {
		lines := make([]string, random.IntN(30))
		for i := range lines {
			lines[i] = string(rune('a' + random.IntN(4)))
		}
		return lines
	}
	for range 500 {
		a, b := text(), text()
		steps := compare(a, b)
		var old, new []string
		changes := 0
		for _, s := range steps {
			if s.old != len(old) || s.new != len(new) {
				t.Fatalf("%q to %q: step %+v behind %d and %d lines", a, b, s, len(old), len(new))
			}
			if s.mark != '+' {
				old = append(old, s.text)
			}
			if s.mark != '-' {
				new = append(new, s.text)
			}
			if s.mark != ' ' {
				changes++
			}
		}
		if !slices.Equal(old, a) || !slices.Equal(new, b) {
			t.Fatalf("%q to %q: %q to %q", a, b, old, new)
		}
		for _, h := range hunks(steps) {
			for _, s := range h {
				if s.mark != ' ' {
					changes--
				}
			}
		}
		if changes != 0 {
			t.Fatalf("%q to %q: %d changes outside the hunks", a, b, changes)
		}
	}
}
