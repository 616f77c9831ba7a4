package pattern_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/pattern"
)

func TestParse(t *testing.T) {
	t.Run("valid", func(t *testing.T) {
		for text, literal := range map[string]bool{
			"a": true, "a.b": true, "user.logged_in": true, "a b": true, "ünï.çødé": true, "a/b-c": true, "a<": true, "?": true,
			"*": false, ">": false, "**": false, "*.*": false, "a.*": false, "*.a": false, "a.*.c": false, "a.>": false, "a.**": false,
			"*.>": false, "*.**": false,
		} {
			p, err := pattern.Parse(text)
			require.NoError(t, err, text)
			require.Equal(t, literal, p.IsLiteral(), text)
		}
	})
	t.Run("invalid", func(t *testing.T) {
		for text, says := range map[string]string{
			"":       "pattern has an empty segment",
			".":      "pattern has an empty segment",
			"a.":     "pattern has an empty segment",
			".a":     "pattern has an empty segment",
			"a..b":   "pattern has an empty segment",
			"*.":     "pattern has an empty segment",
			".>":     "pattern has an empty segment",
			">.a":    "pattern has > before its end",
			"**.a":   "pattern has ** before its end",
			"a.>.b":  "pattern has > before its end",
			"a.**.*": "pattern has ** before its end",
			">.>":    "pattern has > before its end",
			"a*":     `pattern has a wildcard within segment "a*"`,
			"a.*b":   `pattern has a wildcard within segment "*b"`,
			"a.b>.c": `pattern has a wildcard within segment "b>"`,
			"***":    `pattern has a wildcard within segment "***"`,
			">>":     `pattern has a wildcard within segment ">>"`,
			"a.*>":   `pattern has a wildcard within segment "*>"`,
		} {
			p, err := pattern.Parse(text)
			require.ErrorContains(t, err, says, "%q", text)
			require.ErrorContains(t, err, "want", "%q", text)
			require.Zero(t, p, "%q", text)
		}
	})
}

func TestMatch(t *testing.T) {
	for text, names := range map[string]struct{ match, other []string }{
		"a":     {[]string{"a"}, []string{"", "A", "a.", "a.b", "aa", ".a"}},
		"a.b":   {[]string{"a.b"}, []string{"a", "a.bb", "a.b.c", "x.a.b"}},
		"*":     {[]string{"a", "abc", "", "*"}, []string{"a.b", "."}},
		"a.*":   {[]string{"a.b", "a.*", "a."}, []string{"a", "a.b.c", "b.a", "ab.c"}},
		"*.b":   {[]string{"a.b", ".b"}, []string{"b", "a.bb", "a.b.", "a.a.b"}},
		"a.*.c": {[]string{"a.b.c", "a..c"}, []string{"a.c", "a.b.b.c", "a.b.c.d"}},
		">":     {[]string{"a", "a.b", "a.b.c", ""}, nil},
		"**":    {[]string{"a", "a.b", "a.b.c", ""}, nil},
		"a.>":   {[]string{"a.b", "a.b.c", "a."}, []string{"a", "ab", "b.a", "ab.c", ""}},
		"a.**":  {[]string{"a.b", "a.b.c", "a."}, []string{"a", "ab", "b.a", "ab.c", ""}},
		"*.>":   {[]string{"a.b", "a.b.c", "."}, []string{"a", ""}},
		"*.*.>": {[]string{"a.b.c", "a.b.c.d"}, []string{"a", "a.b"}},
		"a.*.>": {[]string{"a.b.c", "a.b.c.d"}, []string{"a.b", "b.b.c"}},
	} {
		p, err := pattern.Parse(text)
		require.NoError(t, err)
		for _, name := range names.match {
			require.True(t, p.Match(name), "%q hears %q", text, name)
		}
		for _, name := range names.other {
			require.False(t, p.Match(name), "%q does not hear %q", text, name)
		}
	}
}

func TestZeroPattern(t *testing.T) {
	var p pattern.Pattern
	require.True(t, p.IsLiteral())
	require.True(t, p.Match(""))
	require.False(t, p.Match("a"))
}

func TestMatchDoesNotAllocate(t *testing.T) {
	p, err := pattern.Parse("a.*.c.>")
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !p.Match("a.b.c.d.e") || p.Match("a.b.x.d.e") {
			t.Fail()
		}
	}))
}

// valid is what patterns may look like, by definition.
func valid(text string) bool {
	segments := strings.Split(text, ".")
	for i, segment := range segments {
		switch segment {
		case "":
			return false
		case "*":
		case ">", "**":
			if i != len(segments)-1 {
				return false
			}
		default:
			if strings.ContainsAny(segment, "*>") {
				return false
			}
		}
	}
	return true
}

// matches is what patterns mean, by definition.
func matches(pattern, name []string) bool {
	switch {
	case len(pattern) == 0 || len(name) == 0:
		return len(pattern) == len(name)
	case pattern[0] == ">" || pattern[0] == "**":
		return true
	default:
		return (pattern[0] == "*" || pattern[0] == name[0]) && matches(pattern[1:], name[1:])
	}
}

func check(t *testing.T, text, name string) {
	t.Helper()
	p, err := pattern.Parse(text)
	if (err == nil) != valid(text) {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	if err != nil {
		return
	}
	if got, want := p.Match(name), matches(strings.Split(text, "."), strings.Split(name, ".")); got != want {
		t.Fatalf("pattern %q, name %q: match %t, want %t", text, name, got, want)
	}
	if p.IsLiteral() && p.Match(name) != (text == name) {
		t.Fatalf("pattern %q is not literal, it hears %q", text, name)
	}
}

// TestAgreesWithDefinition checks random patterns and names that have much in
// common; FuzzPattern looks for others.
func TestAgreesWithDefinition(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	text := func(alphabet ...string) string {
		var segments []string
		for range 1 + random.IntN(4) {
			segments = append(segments, alphabet[random.IntN(len(alphabet))])
		}
		return strings.Join(segments, ".")
	}
	for range 20_000 {
		check(t, text("a", "b", "*", "*", ">", "**", "", "a*"), text("a", "b", "ab", "", "*"))
	}
}

func FuzzPattern(f *testing.F) {
	for _, text := range []string{"a", "a.b", "*", "a.*", "*.b", "a.>", "**", "*.>", "a..b", ">.a", "a*", ""} {
		for _, name := range []string{"a", "a.b", "a.b.c", "", ".", "a."} {
			f.Add(text, name)
		}
	}
	f.Fuzz(check)
}
