package payload

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// field is a struct's field under the name that encoding/json gives it.
type field struct {
	name      string
	index     []int
	rank      int          // of two fields with one name, the lower wins
	quoted    reflect.Kind // its kind, if it has the option "string"
	omitEmpty bool
	omitZero  bool
}

// fieldsByType caches the fields of struct types, as encoding/json does.
var fieldsByType sync.Map // reflect.Type to []field

func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldsByType.Load(t); ok {
		return cached.([]field)
	}
	cached, _ := fieldsByType.LoadOrStore(t, listFields(t))
	return cached.([]field)
}

// listFields follows the rules of encoding/json: fields of untagged embedded
// structs are promoted, and of two with one name the shallower wins, then the
// tagged one, and else neither.
func listFields(t reflect.Type) []field {
	byName := make(map[string][]field)
	var collect func(t reflect.Type, index []int, within []reflect.Type)
	collect = func(t reflect.Type, index []int, within []reflect.Type) {
		if slices.Contains(within, t) {
			return
		}
		within = append(slices.Clip(within), t)
		for f := range t.Fields() {
			place := slices.Concat(index, f.Index)
			isEmbedded := f.Anonymous && StructOf(f.Type) != nil
			tag := f.Tag.Get("json")
			if tag == "-" || !f.IsExported() && !isEmbedded {
				continue
			}
			options := strings.Split(tag, ",")
			found := field{
				name: f.Name, index: place, rank: 2 * len(place),
				omitEmpty: slices.Contains(options[1:], "omitempty"),
				omitZero:  slices.Contains(options[1:], "omitzero"),
			}
			if name := options[0]; name != "" && !strings.ContainsFunc(name, isForbidden) {
				found.name = name
				found.rank--
			} else if isEmbedded {
				collect(StructOf(f.Type), place, within)
				continue
			}
			if kind := pointedTo(f.Type).Kind(); isSingle(kind) && slices.Contains(options[1:], "string") {
				found.quoted = kind
			}
			byName[found.name] = append(byName[found.name], found)
		}
	}
	collect(t, nil, nil)

	var fields []field
	for _, same := range byName {
		slices.SortFunc(same, func(a, b field) int { return cmp.Compare(a.rank, b.rank) })
		if len(same) == 1 || same[0].rank < same[1].rank {
			fields = append(fields, same[0])
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return fields
}

// isForbidden reports whether encoding/json ignores names with r in a tag.
func isForbidden(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r)
}

// find returns the place of the field to which a key belongs: the one of that
// name, or else the first whose name differs in case only, or else -1.
func find(fields []field, key string) int {
	place := slices.IndexFunc(fields, func(f field) bool { return f.name == key })
	if place < 0 {
		place = slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, key) })
	}
	return place
}

// StructOf returns the struct type that t is or points to, or nil.
func StructOf(t reflect.Type) reflect.Type {
	if t == nil || pointedTo(t).Kind() != reflect.Struct {
		return nil
	}
	return pointedTo(t)
}

// pointedTo returns what t points to, or t if it is no pointer.
func pointedTo(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}
