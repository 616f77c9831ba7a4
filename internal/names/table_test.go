package names_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/names"
)

type topic struct {
	name  string
	made  int // tells values of one name apart
	entry names.Entry[*topic]
}

// table is a table of topics.
type table struct{ names.Table[*topic] }

func (t *table) Put(v *topic) {
	if v.entry.Value == nil { // readers may have found it before
		v.entry = names.Entry[*topic]{Name: v.name, Value: v}
	}
	t.Table.Put(&v.entry)
}

func (t *table) Get(name string) *topic {
	if v := t.Table.Get(name); v != nil {
		return *v
	}
	return nil
}

func (t *table) All(yield func(string, *topic) bool) {
	for name, v := range t.Table.All {
		if !yield(name, *v) {
			return
		}
	}
}

// requireNothingHeld requires that no memory is kept by a table: it is zero.
func requireNothingHeld(t *testing.T, topics *table) {
	t.Helper()
	require.True(t, reflect.ValueOf(topics).Elem().IsZero(), "%+v", topics)
}

func TestHash(t *testing.T) {
	require.Equal(t, names.Hash("a"), names.Hash(string([]byte{'a'})))
	require.NotEqual(t, names.Hash("a"), names.Hash("b"))
}

// TestHashOfEveryByte has names of each length that differ in one byte.
func TestHashOfEveryByte(t *testing.T) {
	seen := make(map[uint64]string)
	add := func(name string) {
		other, found := seen[names.Hash(name)]
		require.False(t, found, "%q has the hash of %q", name, other)
		seen[names.Hash(name)] = name
	}
	for length := range 50 {
		name := make([]byte, length)
		add(string(name))
		for i := range name {
			name[i] = 1
			add(string(name))
			name[i] = 0
		}
	}
}

func TestTable(t *testing.T) {
	var topics table
	none := func(t *testing.T) {
		require.Zero(t, topics.Len())
		require.Nil(t, topics.Get("a"))
		require.Nil(t, topics.Get(""))
		for range topics.All {
			t.Fatal("an empty table yields nothing")
		}
		topics.Delete("a")
		requireNothingHeld(t, &topics)
	}
	t.Run("zero", none)

	a, b, nameless := &topic{name: "a"}, &topic{name: "b"}, &topic{}
	for _, v := range []*topic{a, b, nameless} {
		topics.Put(v)
	}
	require.Equal(t, 3, topics.Len())
	require.Same(t, a, topics.Get("a"))
	require.Same(t, b, topics.Get("b"))
	require.Same(t, nameless, topics.Get(""))
	require.Nil(t, topics.Get("c"))
	require.Equal(t, map[string]*topic{"a": a, "b": b, "": nameless}, maps.Collect(topics.All))
	for range topics.All {
		break // does not panic
	}

	topics.Delete("b")
	topics.Delete("b")
	require.Equal(t, 2, topics.Len())
	require.Nil(t, topics.Get("b"))
	require.Same(t, a, topics.Get("a"))

	topics.Delete("")
	topics.Delete("a")
	t.Run("all deleted", none)

	topics.Put(a)
	topics.Clear()
	t.Run("cleared", none)
}

// agree runs a script of changes on a table and on a map: each byte pair is a
// name, which comes if it is not there, and goes if it is.
func agree(t *testing.T, script []byte) {
	var topics table
	want := map[string]*topic{}
	for i := 0; i+1 < len(script); i += 2 {
		name := fmt.Sprint(script[i]%4, ".", script[i+1])
		if want[name] == nil {
			want[name] = &topic{name: name, made: i}
			topics.Put(want[name])
		} else {
			delete(want, name)
			topics.Delete(name)
		}
		if got := topics.Get(name); got != want[name] || topics.Len() != len(want) {
			t.Fatalf("after change %d: %q is %p of %d, want %p of %d", i/2, name, got, topics.Len(), want[name], len(want))
		}
	}
	require.Equal(t, want, maps.Collect(topics.All))
	for first := range 4 {
		for second := range 256 {
			name := fmt.Sprint(byte(first), ".", byte(second))
			require.Same(t, want[name], topics.Get(name), name)
		}
	}
	for name := range want {
		topics.Delete(name)
	}
	requireNothingHeld(t, &topics)
}

func TestAgreesWithMap(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for length := range 60 {
		script := make([]byte, length*length)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		agree(t, script)
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("abcdabcd"))
	f.Add([]byte("a1a2a3a4a5a6a7a8a9a1a2a3a4a5a6a7a8a9"))
	f.Fuzz(agree)
}

// TestReadersBesideWriter has readers look for names that stay, which they must
// find through every growing and shrinking, and for others.
func TestReadersBesideWriter(t *testing.T) {
	var topics table
	stay, come := make([]*topic, 10), make([]*topic, 200)
	for i := range stay {
		stay[i] = &topic{name: fmt.Sprint("stays.", i)}
		topics.Put(stay[i])
	}
	for i := range come {
		come[i] = &topic{name: fmt.Sprint("comes.", i)}
	}

	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, v := range stay {
					if topics.Get(v.name) != v {
						t.Errorf("%s is gone", v.name)
						return
					}
				}
				for _, v := range come {
					if got := topics.Get(v.name); got != nil && got != v {
						t.Errorf("%s is %s", v.name, got.name)
						return
					}
				}
				seen := 0
				for name, v := range topics.All {
					if v.name != name {
						t.Errorf("%s is %s", name, v.name)
					}
					if v.name[0] == 's' {
						seen++
					}
				}
				if seen != len(stay) {
					t.Errorf("%d of %d are left", seen, len(stay))
					return
				}
			}
		})
	}
	for range 30 {
		for _, i := range rand.Perm(len(come)) {
			topics.Put(come[i])
		}
		for _, i := range rand.Perm(len(come)) {
			topics.Delete(come[i].name)
		}
	}
	close(done)
	readers.Wait()
	require.Equal(t, len(stay), topics.Len())
}

// TestGetWhileDeleted has a reader find the tag of a value that has just gone.
func TestGetWhileDeleted(t *testing.T) {
	var topics table
	topics.Put(&topic{name: "stays"})
	v := &topic{name: "goes"}
	var done atomic.Bool
	var reader sync.WaitGroup
	reader.Go(func() {
		for !done.Load() {
			if got := topics.Get(v.name); got != nil && got != v {
				t.Error("found", got.name)
				return
			}
		}
	})
	for range 200_000 {
		topics.Put(v)
		topics.Delete(v.name)
	}
	done.Store(true)
	reader.Wait()
}

// live returns the bytes in use.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestMemory(t *testing.T) {
	values := make([]*topic, 100_000)
	for i := range values {
		values[i] = &topic{name: fmt.Sprint("topic.", i)}
	}
	var topics table
	before := live()
	limits := map[int]int64{
		30_000:  20,
		50_000:  12,
		60_000:  20,
		100_000: 12, // the bus's limit counts on it
	}
	for i, v := range values {
		topics.Put(v)
		if limit := limits[i+1]; limit > 0 {
			require.LessOrEqual(t, (live()-before)/int64(i+1), limit, "bytes a name of %d", i+1)
		}
	}

	for _, v := range values[100:] {
		topics.Delete(v.name)
	}
	require.LessOrEqual(t, live()-before, int64(20_000), "bytes for the last hundred names")
	for _, v := range values[:100] {
		require.Same(t, v, topics.Get(v.name))
		topics.Delete(v.name)
	}
	requireNothingHeld(t, &topics)
	runtime.KeepAlive(values)
}

// allocated returns the bytes that f allocates, whether they are freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestCostOfANameDoesNotGrow(t *testing.T) {
	perName := func(count int) uint64 {
		values := make([]*topic, 10*count)
		for i := range values {
			values[i] = &topic{name: fmt.Sprint("topic.", i)}
		}
		var topics table
		// At any time, count names are there.
		return allocated(func() {
			for i, v := range values {
				topics.Put(v)
				if i >= count {
					topics.Delete(values[i-count].name)
				}
			}
		}) / uint64(len(values))
	}
	few, many := perName(1_000), perName(16_000)
	t.Log("bytes a name that comes and goes:", few, "of 1,000,", many, "of 16,000")
	require.LessOrEqual(t, many, 2*few)
}

// TestNameThatComesAndGoes is what a bus does that has a subscription for each
// request: among many names there is one that leaves no traces.
func TestNameThatComesAndGoes(t *testing.T) {
	var topics table
	for i := range 5_000 {
		topics.Put(&topic{name: fmt.Sprint("topic.", i)})
	}
	reply := &topic{name: "reply"}
	const times = 50_000
	require.Zero(t, allocated(func() {
		for range times {
			topics.Put(reply)
			topics.Delete(reply.name)
		}
	})/times, "bytes a time")
}

func TestDeletedValuesAreFreed(t *testing.T) {
	var topics table
	topics.Put(&topic{name: "stays"})
	gone := func() weak.Pointer[topic] {
		v := &topic{name: "goes"}
		topics.Put(v)
		topics.Delete(v.name)
		return weak.Make(v)
	}()
	runtime.GC()
	require.Nil(t, gone.Value())
	require.NotNil(t, topics.Get("stays"))
}

func TestGetDoesNotAllocate(t *testing.T) {
	var topics table
	topics.Put(&topic{name: "a"})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if topics.Get("a") == nil || topics.Get("b") != nil {
			t.Fail()
		}
	}))
}

func BenchmarkGet(b *testing.B) {
	for _, count := range []int{1, 1_000, 100_000} {
		var topics table
		var syncMap sync.Map
		var hits, misses []string
		for i := range count {
			v := &topic{name: fmt.Sprintf("user.%d.created", i)}
			topics.Put(v)
			syncMap.Store(v.name, v)
			// Other strings than those of the values, as a publisher has.
			hits = append(hits, fmt.Sprintf("user.%d.created", i))
			misses = append(misses, fmt.Sprintf("user.%d.deleted", i))
		}
		rand.Shuffle(count, func(i, j int) { hits[i], hits[j] = hits[j], hits[i] })
		for what, asked := range map[string][]string{"hit": hits, "miss": misses} {
			run := func(kind string, found func(string) bool) {
				b.Run(fmt.Sprintf("%s/%s/%d", kind, what, count), func(b *testing.B) {
					next := 0
					for b.Loop() {
						if found(asked[next]) != (what == "hit") {
							b.Fatal(asked[next])
						}
						if next++; next == count {
							next = 0
						}
					}
				})
			}
			run("Table", func(name string) bool { return topics.Get(name) != nil })
			run("sync.Map", func(name string) bool {
				v, _ := syncMap.Load(name)
				return v != nil
			})
		}
	}
}

func BenchmarkPutDelete(b *testing.B) {
	for _, count := range []int{1_000, 16_000, 100_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			b.ReportAllocs()
			values := make([]*topic, 2*count)
			for i := range values {
				values[i] = &topic{name: fmt.Sprint("topic.", i)}
			}
			var topics table
			for _, v := range values[:count] {
				topics.Put(v)
			}
			oldest := 0
			for b.Loop() {
				topics.Delete(values[oldest].name)
				topics.Put(values[(oldest+count)%len(values)])
				oldest = (oldest + 1) % len(values)
			}
		})
	}
}
