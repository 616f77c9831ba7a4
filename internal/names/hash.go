package names

import (
	"math/bits"
	"math/rand/v2"
)

// keys make the hashes differ from one process to the next, so that nobody can
// choose names that collide.
var keys = [2]uint64{rand.Uint64(), rand.Uint64()}

// Hash returns the hash by which tables find a name. It is the same for as long
// as the process runs.
//
// Every publish by name computes it. Names are short, and for those the calls
// below maphash.String take twice as long as all of this, which folds products
// of 16 bytes as wyhash does (github.com/wangyi-fudan/wyhash).
func Hash(name string) uint64 {
	h, length := keys[0], uint64(len(name))
	for len(name) > 16 {
		h = fold(h^word(name), keys[1]^word(name[8:]))
		name = name[16:]
	}
	var first, last uint64
	switch n := len(name); {
	case n >= 8:
		first, last = word(name), word(name[n-8:])
	case n >= 4:
		first, last = half(name), half(name[n-4:])
	case n > 0:
		first, last = uint64(name[0])|uint64(name[n/2])<<8, uint64(name[n-1])
	}
	// The length by itself, or names of two lengths could be chosen to collide.
	high, low := bits.Mul64(h^first, keys[1]^last)
	return fold(high^keys[0]^length, low^keys[1])
}

func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

// word returns the first 8 bytes.
func word(s string) uint64 { return half(s) | half(s[4:])<<32 }

// half returns the first 4.
func half(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}
