package pattern_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/pattern"
)

func parse(t testing.TB, text string) pattern.Pattern {
	t.Helper()
	p, err := pattern.Parse(text)
	require.NoError(t, err)
	return p
}

// collect returns sorted what a tree yields for a name.
func collect(tree *pattern.Tree[int], name string) []int {
	var values []int
	tree.Match(name, func(v int) bool {
		values = append(values, v)
		return true
	})
	slices.Sort(values)
	return values
}

// requireNothingHeld requires that no memory is kept by a tree: it is zero.
func requireNothingHeld[V comparable](t *testing.T, tree *pattern.Tree[V]) {
	t.Helper()
	require.True(t, reflect.ValueOf(tree).Elem().IsZero(), "%+v", tree)
}

func TestTree(t *testing.T) {
	patterns := []string{"a", "a.b", "*", "a.*", "*.b", "a.*.c", ">", "a.>", "*.>", "a.b.>", "*.*.c", "a.b.c"}
	var tree pattern.Tree[int]
	require.False(t, tree.Matches("a"))
	require.False(t, tree.Remove(parse(t, "a.*"), 0))
	for i, text := range patterns {
		tree.Insert(parse(t, text), i)
	}
	require.Equal(t, len(patterns), tree.Len())

	for name, want := range map[string][]string{
		"":        {"*", ">"},
		"a":       {"a", "*", ">"},
		"b":       {"*", ">"},
		"*":       {"*", ">"},
		">":       {"*", ">"},
		"a.b":     {"a.b", "a.*", "*.b", ">", "a.>", "*.>"},
		"a.*":     {"a.*", ">", "a.>", "*.>"},
		"a.>":     {"a.*", ">", "a.>", "*.>"},
		"a.":      {"a.*", ">", "a.>", "*.>"},
		".b":      {"*.b", ">", "*.>"},
		"*.b":     {"*.b", ">", "*.>"},
		"a.b.c":   {"a.*.c", ">", "a.>", "*.>", "a.b.>", "*.*.c", "a.b.c"},
		"a..c":    {"a.*.c", ">", "a.>", "*.>", "*.*.c"},
		"x.b.c":   {">", "*.>", "*.*.c"},
		"a.b.c.d": {">", "a.>", "*.>", "a.b.>"},
	} {
		var got []string
		for _, v := range collect(&tree, name) {
			got = append(got, patterns[v])
		}
		require.ElementsMatch(t, want, got, name)
		require.True(t, tree.Matches(name))
	}

	require.False(t, tree.Remove(parse(t, "a.*"), 0), "another value")
	require.False(t, tree.Remove(parse(t, "a.b.*"), 0), "no such pattern")
	require.Equal(t, len(patterns), tree.Len())
	for i, text := range patterns {
		require.True(t, tree.Remove(parse(t, text), i), text)
		require.False(t, tree.Remove(parse(t, text), i), text)
	}
	requireNothingHeld(t, &tree)
}

func TestTreeIsASetOfPairs(t *testing.T) {
	var tree pattern.Tree[string]
	tree.Insert(parse(t, "a.>"), "x")
	tree.Insert(parse(t, "a.>"), "x")
	tree.Insert(parse(t, "a.**"), "x") // the same pattern
	require.Equal(t, 1, tree.Len())
	tree.Insert(parse(t, "a.>"), "y")
	tree.Insert(parse(t, "*"), "x")
	require.Equal(t, 3, tree.Len())
	require.ElementsMatch(t, []string{"x", "x", "y"}, slices.Collect(tree.All))
	require.True(t, tree.Remove(parse(t, "a.**"), "x"))
	require.ElementsMatch(t, []string{"x", "y"}, slices.Collect(tree.All))
}

func TestTreeWithZeroPattern(t *testing.T) {
	var tree pattern.Tree[int]
	tree.Insert(pattern.Pattern{}, 1)
	require.Equal(t, []int{1}, collect(&tree, ""))
	require.False(t, tree.Matches("a"))
	require.False(t, tree.Matches("."))
	require.True(t, tree.Remove(pattern.Pattern{}, 1))
	requireNothingHeld(t, &tree)
}

func TestTreeStopsWhenAsked(t *testing.T) {
	var tree pattern.Tree[int]
	for i, text := range []string{">", "a.>", "*.>", "a.b", "*.b", "a.*", "*.*", "a.b"} {
		tree.Insert(parse(t, text), i)
	}
	for wanted := 1; wanted <= tree.Len(); wanted++ {
		for what, iterate := range map[string]func(func(int) bool){
			"Match": func(yield func(int) bool) { tree.Match("a.b", yield) },
			"All":   tree.All,
		} {
			yielded := 0
			iterate(func(int) bool {
				yielded++
				return yielded < wanted
			})
			require.Equal(t, wanted, yielded, what)
		}
	}
}

// agree runs a script of changes on a tree and on a list: each byte is a pair of
// a pattern and a value, which comes if it is not there, and goes if it is.
func agree(t *testing.T, script []byte) {
	type pair struct {
		pattern pattern.Pattern
		value   int
	}
	texts := []string{
		"a", "b", "*", ">", "a.a", "a.b", "a.*", "a.>", "b.a", "b.*", "*.a", "*.b", "*.*", "*.>", "a.a.a", "a.*.a",
		"a.a.*", "a.*.*", "a.*.>", "*.a.a", "*.a.>", "*.*.a", "*.*.*", "*.*.>", "a.a.>", "b.b.b", "b.b.>", "b.*.b", "a.b.a.b", "a.**", "**", "*.**",
	}
	var names []string
	for _, first := range []string{"a", "b", "c", ""} {
		names = append(names, first)
		for _, second := range []string{"a", "b", "*"} {
			names = append(names, first+"."+second, first+"."+second+".a", first+"."+second+".c", first+"."+second+".a.b")
		}
	}

	var tree pattern.Tree[int]
	var list []pair
	for i, change := range script {
		p := pair{parse(t, texts[change%32]), int(change / 32)}
		if at := slices.Index(list, p); at < 0 {
			list = append(list, p)
			tree.Insert(p.pattern, p.value)
		} else {
			list = slices.Delete(list, at, at+1)
			if !tree.Remove(p.pattern, p.value) {
				t.Fatalf("change %d: %q lost value %d", i, texts[change%32], p.value)
			}
		}
		if tree.Len() != len(list) {
			t.Fatalf("change %d: %d values, want %d", i, tree.Len(), len(list))
		}
		if name := names[i%len(names)]; i%8 == 0 || i == len(script)-1 {
			var want, all []int
			for _, p := range list {
				all = append(all, p.value)
				if p.pattern.Match(name) {
					want = append(want, p.value)
				}
			}
			slices.Sort(want)
			slices.Sort(all)
			if got := collect(&tree, name); !slices.Equal(want, got) || tree.Matches(name) != (len(want) > 0) {
				t.Fatalf("change %d: %q leads to %v, want %v", i, name, got, want)
			}
			if got := slices.Sorted(tree.All); !slices.Equal(all, got) {
				t.Fatalf("change %d: all are %v, want %v", i, got, all)
			}
		}
	}
	for _, p := range list {
		require.True(t, tree.Remove(p.pattern, p.value))
	}
	requireNothingHeld(t, &tree)
}

func TestTreeAgreesWithMatch(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for length := range 60 {
		script := make([]byte, length*length/4)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		agree(t, script)
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte("abcabc"))
	f.Add([]byte{2, 34, 66, 98, 130, 162, 194, 226, 2, 226, 34})
	f.Fuzz(agree)
}

// TestManyValuesUnderOnePattern compares the values of one pattern with a map, of
// which they are more and fewer by turns.
func TestManyValuesUnderOnePattern(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var tree pattern.Tree[int]
	p := parse(t, "a.*")
	want := map[int]bool{}
	for change := range 3_000 {
		v := random.IntN(200)
		if grow := change/500%2 == 0; random.IntN(4) > 0 == grow {
			tree.Insert(p, v)
			want[v] = true
		} else {
			require.Equal(t, want[v], tree.Remove(p, v))
			delete(want, v)
		}
		require.Equal(t, len(want), tree.Len())
		require.Equal(t, len(want) > 0, tree.Matches("a.b"))
		if change%10 == 0 {
			require.Equal(t, slices.Sorted(maps.Keys(want)), collect(&tree, "a.b"))
		}
	}
	for v := range want {
		require.True(t, tree.Remove(p, v))
	}
	requireNothingHeld(t, &tree)
}

// allocated returns the bytes that f allocates, whether they are freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestCostOfAPatternDoesNotGrow(t *testing.T) {
	for what, text := range map[string]func(i int) string{
		"many patterns": func(i int) string { return fmt.Sprintf("user.%d.*", i) },
		"one pattern":   func(int) string { return "user.*" },
	} {
		t.Run(what, func(t *testing.T) {
			perPattern := func(count int) uint64 {
				patterns := make([]pattern.Pattern, count)
				for i := range patterns {
					patterns[i] = parse(t, text(i))
				}
				order := rand.Perm(count)
				var tree pattern.Tree[int]
				bytes := allocated(func() {
					for i, p := range patterns {
						tree.Insert(p, i)
					}
					for _, i := range order {
						tree.Remove(patterns[i], i)
					}
				})
				requireNothingHeld(t, &tree)
				return bytes / uint64(count)
			}
			few, many := perPattern(1_000), perPattern(16_000)
			t.Log("bytes a pattern that comes and goes:", few, "of 1,000,", many, "of 16,000")
			require.LessOrEqual(t, many, 2*few)
		})
	}
}

func TestMemoryOfRemovedPatterns(t *testing.T) {
	live := func() int64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	var tree pattern.Tree[*string]
	kept := new(string)
	before := live()
	tree.Insert(parse(t, "user.*"), kept)
	tree.Insert(parse(t, "user.1.*"), kept)

	// Patterns beside them, and values under one of them.
	var values []*string
	for i := range 10_000 {
		values = append(values, new(string))
		tree.Insert(parse(t, fmt.Sprintf("user.%d.*.%s", i, strings.Repeat("x", 50))), values[i])
		tree.Insert(parse(t, "user.*"), values[i])
	}
	removed := weak.Make(values[0])
	for _, i := range rand.Perm(len(values)) {
		tree.Remove(parse(t, fmt.Sprintf("user.%d.*.%s", i, strings.Repeat("x", 50))), values[i])
		tree.Remove(parse(t, "user.*"), values[i])
	}
	clear(values)
	require.LessOrEqual(t, live()-before, int64(20_000), "of some megabytes")
	require.Nil(t, removed.Value())
	require.Equal(t, 2, tree.Len())
	runtime.KeepAlive(&tree)
}

// TestTreeDoesNotKeepTexts has a short segment that outlives the long text from
// which it came.
func TestTreeDoesNotKeepTexts(t *testing.T) {
	var tree pattern.Tree[int]
	text := func() weak.Pointer[byte] {
		text := "user." + strings.Repeat("x", 1_000) + ".*"
		tree.Insert(parse(t, text), 1)
		tree.Insert(parse(t, "user.*"), 2)
		tree.Remove(parse(t, text), 1)
		return weak.Make(unsafe.StringData(text))
	}()
	runtime.GC()
	require.Nil(t, text.Value())
	require.True(t, tree.Matches("user.1"))
}

// TestDeepNames has as many segments as would overflow the stack, or take
// forever, if each took a frame or a look at all that follow.
func TestDeepNames(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20))
	const depth = 100_000
	name := strings.Repeat("a.", depth) + "a"
	var tree pattern.Tree[int]
	tree.Insert(parse(t, "a.*.a.>"), 1)
	tree.Insert(parse(t, strings.Repeat("*.", depth)+"*"), 2)
	tree.Insert(parse(t, strings.Repeat("*.", depth)+"b"), 3)
	tree.Insert(parse(t, name), 4)
	require.Equal(t, []int{1, 2, 4}, collect(&tree, name))
	require.Equal(t, []int{1}, collect(&tree, name+".b"))
	require.Len(t, slices.Collect(tree.All), 4)
	require.True(t, tree.Remove(parse(t, name), 4))
	require.Equal(t, []int{1, 2}, collect(&tree, name))
}

// TestForks has at each segment a way by its text and one by *.
func TestForks(t *testing.T) {
	t.Run("on one way", func(t *testing.T) {
		const depth = 500
		var tree pattern.Tree[int]
		for i := range depth {
			tree.Insert(parse(t, strings.Repeat("a.", i)+strings.Repeat("*.", depth-i)+"*"), i)
		}
		require.Len(t, collect(&tree, strings.Repeat("a.", depth)+"a"), depth)
		require.Len(t, collect(&tree, strings.Repeat("a.", 10)+strings.Repeat("b.", depth-10)+"b"), 11)
	})
	t.Run("on all ways", func(t *testing.T) {
		const depth = 12
		var tree pattern.Tree[int]
		for i := range 1 << depth {
			segments := make([]string, depth)
			for bit := range segments {
				segments[bit] = []string{"a", "*"}[i>>bit&1]
			}
			tree.Insert(parse(t, strings.Join(segments, ".")), i)
		}
		require.Len(t, collect(&tree, strings.Repeat("a.", depth-1)+"a"), 1<<depth)
		require.Equal(t, []int{1<<depth - 1}, collect(&tree, strings.Repeat("b.", depth-1)+"b"))
	})
}

func TestTreeMatchDoesNotAllocate(t *testing.T) {
	var tree pattern.Tree[int]
	for i, text := range []string{"a.b.*", "a.*.c", "*.b.c", "a.>", "x.>"} {
		tree.Insert(parse(t, text), i)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		sum := 0
		tree.Match("a.b.c", func(v int) bool {
			sum += v
			return true
		})
		if sum != 6 || !tree.Matches("a.b.c") || tree.Matches("y.b.d") {
			t.Fail()
		}
	}))
}

func BenchmarkTreeMatch(b *testing.B) {
	for _, count := range []int{1, 1_000, 16_000} {
		var tree pattern.Tree[int]
		for i := range count {
			tree.Insert(parse(b, fmt.Sprintf("user.%d.*", i)), i)
		}
		for what, name := range map[string]string{"hit": "user.0.created", "miss": "user.x.created"} {
			b.Run(fmt.Sprintf("%s/%d", what, count), func(b *testing.B) {
				for b.Loop() {
					if tree.Matches(name) != (what == "hit") {
						b.Fatal(name)
					}
				}
			})
		}
	}
}

func BenchmarkTreeInsertRemove(b *testing.B) {
	for what, text := range map[string]func(i int) string{
		"many patterns": func(i int) string { return fmt.Sprintf("user.%d.*", i) },
		"one pattern":   func(int) string { return "user.*" },
	} {
		for _, count := range []int{1_000, 16_000} {
			b.Run(fmt.Sprintf("%s/%d", what, count), func(b *testing.B) {
				b.ReportAllocs()
				patterns := make([]pattern.Pattern, 2*count)
				for i := range patterns {
					patterns[i] = parse(b, text(i))
				}
				var tree pattern.Tree[int]
				for i, p := range patterns[:count] {
					tree.Insert(p, i)
				}
				oldest := 0
				for b.Loop() {
					tree.Remove(patterns[oldest], oldest)
					newest := (oldest + count) % len(patterns)
					tree.Insert(patterns[newest], newest)
					oldest = (oldest + 1) % len(patterns)
				}
			})
		}
	}
}
