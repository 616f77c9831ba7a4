package events_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocs has every test that the contract names exist, and the README be as
// short as it is meant to be, with code at its beginning.
func TestDocs(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(text)
	}
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	exists := make(map[string]bool)
	for _, file := range files {
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(file), -1) {
			exists[match[1]] = true
		}
	}
	for _, doc := range []string{"doc.go", "docs/guarantees.md"} {
		named := regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(read(doc), -1)
		require.NotEmpty(t, named, doc)
		for _, name := range named {
			require.True(t, exists[name], "%s names %s, which is in no test file", doc, name)
		}
	}

	readme := strings.Split(strings.TrimSuffix(read("README.md"), "\n"), "\n")
	require.Less(t, len(readme), 150, "lines of README.md")
	require.Contains(t, readme[:25], "```go", "the first lines of README.md")
}
