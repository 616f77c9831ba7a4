package events

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// field is a struct's field under the name that encoding/json gives it.
type field struct {
	name      string
	index     []int
	tagged    bool
	omitEmpty bool
	omitZero  bool
}

// fieldsOf caches the fields of struct types, as encoding/json does.
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
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get("json") == "-" {
				continue
			}
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			place := append(slices.Clip(index), i)
			if embedded := structOf(f.Type); f.Anonymous && tag == "" && embedded != nil {
				collect(embedded, place, within)
				continue
			}
			if !f.IsExported() {
				continue
			}
			name := cmp.Or(tag, f.Name)
			flags := strings.Split(options, ",")
			byName[name] = append(byName[name], field{
				name: name, index: place, tagged: tag != "",
				omitEmpty: slices.Contains(flags, "omitempty"),
				omitZero:  slices.Contains(flags, "omitzero"),
			})
		}
	}
	collect(t, nil, nil)

	var fields []field
	for _, same := range byName {
		slices.SortFunc(same, field.rank)
		if len(same) == 1 || same[0].rank(same[1]) != 0 {
			fields = append(fields, same[0])
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return fields
}

func (f field) rank(other field) int {
	if f.tagged != other.tagged && len(f.index) == len(other.index) {
		if f.tagged {
			return -1
		}
		return 1
	}
	return cmp.Compare(len(f.index), len(other.index))
}

// structOf returns the struct that t is or points to, or nil.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

func isMap(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Key().Kind() == reflect.String
}

// readMap sets the fields of target from a map by their JSON names. At least
// one key must name a field, and every value that does must fit it.
func readMap(target, source reflect.Value, depth int) error {
	fields := fieldsOf(target.Type())
	names := make(map[string]bool, len(fields)) // those of fields, and keys read for one in another case
	for _, f := range fields {
		names[f.name] = true
	}
	read := 0
	for _, f := range fields {
		value, found := lookUp(source, f.name, names)
		if !found {
			continue
		}
		place, err := reach(target, f.index)
		if err == nil {
			err = fit(place, value, depth+1)
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", f.name, err)
		}
		read++
	}
	if read == 0 {
		return fmt.Errorf("no key names a field of %v", target.Type())
	}
	return nil
}

// lookUp finds a key as encoding/json would: as it is, or else in another case
// if that is not taken, which it then is.
func lookUp(source reflect.Value, name string, taken map[string]bool) (value reflect.Value, found bool) {
	keyType := source.Type().Key()
	if value = source.MapIndex(reflect.ValueOf(name).Convert(keyType)); value.IsValid() {
		return value, true
	}
	key := ""
	for entries := source.MapRange(); entries.Next(); {
		candidate := entries.Key().String()
		// Of several spellings the first in byte order, for a fixed answer.
		if strings.EqualFold(candidate, name) && !taken[candidate] && (!found || candidate < key) {
			key, value, found = candidate, entries.Value(), true
		}
	}
	if found {
		taken[key] = true
	}
	return value, found
}

// reach returns the field at index, making the embedded structs on the way.
func reach(target reflect.Value, index []int) (reflect.Value, error) {
	for depth, i := range index {
		if depth > 0 && target.Kind() == reflect.Pointer {
			if target.IsNil() {
				if !target.CanSet() {
					return target, fmt.Errorf("embedded %v is not exported", target.Type())
				}
				target.Set(reflect.New(target.Type().Elem()))
			}
			target = target.Elem()
		}
		target = target.Field(i)
	}
	return target, nil
}

// maxDepth is how deep the values of a map may be nested.
const maxDepth = 100

// fit sets target to value: as it is where Go would assign it, structs from
// maps by these same rules, lists and maps by their elements, and single
// values as encoding/json would read what it writes.
func fit(target, value reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("values are nested more than %d deep", maxDepth)
	}
	if value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	if !value.IsValid() {
		switch target.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
			target.SetZero()
			return nil
		}
		return fmt.Errorf("nothing does not fit %v", target.Type())
	}
	misfit := fmt.Errorf("%v does not fit %v", value.Type(), target.Type())
	switch from, to := value.Kind(), target.Kind(); {
	case value.Type().AssignableTo(target.Type()):
		target.Set(value)
		return nil

	case from == reflect.Pointer:
		if value.IsNil() {
			return fmt.Errorf("%w: the pointer is nil", misfit)
		}
		return fit(target, value.Elem(), depth+1)

	case reads[json.Unmarshaler](target) || reads[encoding.TextUnmarshaler](target):
		return fitByJSON(target, value, misfit)

	case to == reflect.Pointer:
		pointer := reflect.New(target.Type().Elem())
		if err := fit(pointer.Elem(), value, depth+1); err != nil {
			return err
		}
		target.Set(pointer)
		return nil

	case to == reflect.Struct && isMap(value.Type()):
		return readMap(target, value, depth)

	case to == reflect.Slice && from == reflect.Slice:
		return fitElements(target, reflect.MakeSlice(target.Type(), value.Len(), value.Len()), value, depth)

	case to == reflect.Array && from == reflect.Slice && value.Len() == target.Len():
		return fitElements(target, reflect.New(target.Type()).Elem(), value, depth)

	case isMap(target.Type()) && isMap(value.Type()):
		return fitEntries(target, value, depth)

	case isNumber(to) && isNumber(from):
		if !fitNumber(target, value) {
			return fmt.Errorf("%w: %v is out of its range", misfit, value)
		}
		return nil

	case isSingle(to) && (isSingle(from) || from == reflect.Struct):
		return fitByJSON(target, value, misfit)
	}
	return misfit
}

func fitElements(target, elements, value reflect.Value, depth int) error {
	for i := range value.Len() {
		if err := fit(elements.Index(i), value.Index(i), depth+1); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	target.Set(elements)
	return nil
}

func fitEntries(target, value reflect.Value, depth int) error {
	entries := reflect.MakeMapWithSize(target.Type(), value.Len())
	for source := value.MapRange(); source.Next(); {
		entry := reflect.New(target.Type().Elem()).Elem()
		if err := fit(entry, source.Value(), depth+1); err != nil {
			return fmt.Errorf("key %q: %w", source.Key().String(), err)
		}
		entries.SetMapIndex(source.Key().Convert(target.Type().Key()), entry)
	}
	target.Set(entries)
	return nil
}

func isNumber(kind reflect.Kind) bool {
	return kind >= reflect.Int && kind <= reflect.Float64
}

// fitNumber sets target to the same number, if it can be that.
func fitNumber(target, value reflect.Value) bool {
	number := new(big.Float)
	switch {
	case value.CanInt():
		number.SetInt64(value.Int())
	case value.CanUint():
		number.SetUint64(value.Uint())
	case math.IsNaN(value.Float()):
		return false
	default:
		number.SetFloat64(value.Float())
	}
	switch {
	case target.CanInt():
		n, accuracy := number.Int64()
		if !number.IsInt() || accuracy != big.Exact || target.OverflowInt(n) {
			return false
		}
		target.SetInt(n)
	case target.CanUint():
		n, accuracy := number.Uint64()
		if !number.IsInt() || accuracy != big.Exact || target.OverflowUint(n) {
			return false
		}
		target.SetUint(n)
	default:
		n, _ := number.Float64() // as near as a float comes, as in Go
		if target.OverflowFloat(n) {
			return false
		}
		target.SetFloat(n)
	}
	return true
}

// isSingle reports whether JSON has one token for values of the kind.
func isSingle(kind reflect.Kind) bool {
	return kind >= reflect.Bool && kind <= reflect.Float64 || kind == reflect.String
}

func fitByJSON(target, value reflect.Value, misfit error) error {
	text, err := json.Marshal(value.Interface())
	if err != nil {
		return fmt.Errorf("%w: %w", misfit, err)
	}
	if string(text) == "null" {
		return misfit
	}
	if err := json.Unmarshal(text, target.Addr().Interface()); err != nil {
		if _, mismatch := errors.AsType[*json.UnmarshalTypeError](err); mismatch {
			return misfit
		}
		return fmt.Errorf("%w: %w", misfit, err)
	}
	return nil
}

// reads reports whether the value reads itself through the interface I.
func reads[I any](target reflect.Value) bool {
	_, ok := reflect.TypeAssert[I](target.Addr())
	return ok
}

// writeMap returns the fields of a struct, or of what a pointer points to, by
// their JSON names. Anything else it returns as it is.
func writeMap(payload any) any {
	source := reflect.ValueOf(payload)
	if source.Kind() == reflect.Pointer {
		source = source.Elem()
	}
	if source.Kind() != reflect.Struct {
		return payload
	}
	result := make(map[string]any)
	for _, f := range fieldsOf(source.Type()) {
		value, err := source.FieldByIndexErr(f.index)
		if err != nil || f.omitZero && value.IsZero() || f.omitEmpty && isEmpty(value) {
			continue
		}
		result[f.name] = value.Interface()
	}
	return result
}

// isEmpty reports what encoding/json calls empty.
func isEmpty(value reflect.Value) bool {
	switch value.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return value.Len() == 0
	case reflect.Struct:
		return false
	default:
		return value.IsZero()
	}
}
