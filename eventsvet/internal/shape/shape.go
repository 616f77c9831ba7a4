// Package shape says at compile time what the bus finds out at run time: which
// keys a map needs to read as a struct, and which values fit its fields.
package shape

import (
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"strings"
)

// Field is a field of a struct under its JSON name.
type Field struct {
	Key  string // the JSON name
	Name string // the Go name
	Type types.Type
}

// Shape is how a payload type reads from a map and writes to one.
type Shape struct {
	Fields []Field
	// Plain is false when the fields alone do not tell the map that the
	// struct is written to: it embeds, hides or leaves out some of them.
	Plain bool
	// Open is true when fields may exist that Fields lacks.
	Open bool
}

// Of returns the shape of a struct type, or of what a pointer to one points to.
func Of(t types.Type) (Shape, bool) {
	if pointer, ok := t.Underlying().(*types.Pointer); ok {
		t = pointer.Elem()
	}
	structure, ok := t.Underlying().(*types.Struct)
	if !ok {
		return Shape{}, false
	}
	result := Shape{Plain: true}
	for i := range structure.NumFields() {
		field := structure.Field(i)
		tag, options, _ := strings.Cut(reflect.StructTag(structure.Tag(i)).Get("json"), ",")
		switch {
		case field.Embedded():
			result.Plain, result.Open = false, true
			continue
		case !field.Exported() || tag == "-":
			result.Plain = false
			continue
		case options != "":
			result.Plain = false
		}
		key := tag
		if key == "" {
			key = field.Name()
		}
		result.Fields = append(result.Fields, Field{Key: key, Name: field.Name(), Type: field.Type()})
	}
	return result, true
}

// Field finds the field that a key names, in any case as encoding/json does.
func (s Shape) Field(key string) (Field, bool) {
	if field, ok := s.Exact(key); ok {
		return field, true
	}
	for _, field := range s.Fields {
		if strings.EqualFold(field.Key, key) {
			return field, true
		}
	}
	return Field{}, false
}

// Exact finds the field of exactly this key.
func (s Shape) Exact(key string) (Field, bool) {
	for _, field := range s.Fields {
		if field.Key == key {
			return field, true
		}
	}
	return Field{}, false
}

// class is the kind of JSON that a type is written as or read from.
type class int

const (
	unknown class = iota // decided at run time
	number
	text
	boolean
	list
	object
	never // what JSON cannot hold
)

// Fits reports whether a value can fit a field of type target. It is false
// only when no value of that type, or not this constant, ever does.
func Fits(value types.TypeAndValue, target types.Type) bool {
	if value.IsNil() {
		return nilFits(target)
	}
	return typeFits(value.Type, value.Value, target)
}

func nilFits(target types.Type) bool {
	switch target.Underlying().(type) {
	case *types.Pointer, *types.Interface, *types.Map, *types.Slice:
		return true
	}
	return isParameterised(target)
}

func typeFits(source types.Type, value constant.Value, target types.Type) bool {
	source = types.Default(source)
	if isParameterised(source) || isParameterised(target) || types.AssignableTo(source, target) {
		return true
	}
	if _, ok := source.Underlying().(*types.Interface); ok {
		return true
	}
	if pointer, ok := source.Underlying().(*types.Pointer); ok {
		return typeFits(pointer.Elem(), nil, target)
	}
	if has(source, "MarshalJSON") || has(source, "MarshalText") || has(target, "UnmarshalJSON") || has(target, "UnmarshalText") {
		return true
	}
	if pointer, ok := target.Underlying().(*types.Pointer); ok {
		return typeFits(source, value, pointer.Elem())
	}
	from, to := classOf(source), classOf(target)
	switch {
	case from == never || to == never:
		return false
	case from == unknown || to == unknown:
		return true
	case from != to:
		return false
	case from == number:
		return numberFits(source, value, target)
	}
	return true
}

func classOf(t types.Type) class {
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil &&
		named.Obj().Pkg().Path() == "encoding/json" {
		return unknown // json.Number, json.RawMessage
	}
	switch t := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case t.Info()&types.IsComplex != 0 || t.Kind() == types.UnsafePointer:
			return never
		case t.Info()&types.IsNumeric != 0:
			return number
		case t.Info()&types.IsString != 0:
			return text
		case t.Info()&types.IsBoolean != 0:
			return boolean
		}
	case *types.Slice:
		if element, ok := t.Elem().Underlying().(*types.Basic); ok && element.Kind() == types.Uint8 {
			return unknown // bytes are text to JSON, and a list to the bus
		}
		return list
	case *types.Array:
		return list
	case *types.Struct, *types.Map:
		return object
	case *types.Chan, *types.Signature:
		return never
	}
	return unknown
}

// numberFits looks at constants only: any number type may hold a value that
// fits any other.
func numberFits(source types.Type, value constant.Value, target types.Type) bool {
	basic := target.Underlying().(*types.Basic)
	if value == nil || basic.Info()&types.IsInteger == 0 {
		return true
	}
	if from := source.Underlying().(*types.Basic); from.Info()&types.IsFloat != 0 {
		value = constant.ToInt(value)
	}
	if value.Kind() != constant.Int {
		return false
	}
	if basic.Info()&types.IsUnsigned != 0 && constant.Sign(value) < 0 {
		return false
	}
	size := types.SizesFor("gc", "amd64").Sizeof(basic) * 8
	if basic.Info()&types.IsUnsigned == 0 {
		size--
	}
	limit := constant.Shift(constant.MakeInt64(1), token.SHL, uint(size))
	if constant.Sign(value) < 0 {
		return constant.Compare(constant.UnaryOp(token.SUB, value, 0), token.LEQ, limit)
	}
	return constant.Compare(value, token.LSS, limit)
}

func has(t types.Type, method string) bool {
	object, _, _ := types.LookupFieldOrMethod(types.NewPointer(t), true, nil, method)
	_, ok := object.(*types.Func)
	return ok
}

func isParameterised(t types.Type) bool {
	_, ok := types.Unalias(t).(*types.TypeParam)
	return ok
}
