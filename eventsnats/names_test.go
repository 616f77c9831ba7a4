package eventsnats

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestCovers has a filter be for the subjects that it is for.
func TestCovers(t *testing.T) {
	for _, c := range []struct {
		filter, subject string
		want            bool
	}{
		{"", "a.b", true},
		{"a.b", "a.b", true},
		{"a.*", "a.b", true},
		{"*.b", "a.b", true},
		{">", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.>", "a", false},
		{"a.*", "a.b.c", false},
		{"b.>", "a.b", false},
	} {
		assert.Equal(t, c.want, covers(c.filter, c.subject), "%q %q", c.filter, c.subject)
	}
}
