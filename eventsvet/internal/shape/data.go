package shape

import "go/types"

// Becomes reports whether a payload of static type data can reach a topic's
// handlers as want. It is false only when it never can.
func Becomes(data, want types.Type) bool {
	data = types.Default(data)
	if isParameterised(data) || isParameterised(want) || types.Identical(data, want) {
		return true
	}
	if _, ok := data.Underlying().(*types.Interface); ok {
		return true // holds anything
	}
	if contract, ok := want.Underlying().(*types.Interface); ok {
		return types.Implements(data, contract)
	}
	if pointer, ok := types.Unalias(data).(*types.Pointer); ok && types.Identical(pointer.Elem(), want) {
		return true
	}
	if pointer, ok := types.Unalias(want).(*types.Pointer); ok {
		return types.Identical(pointer.Elem(), data) || readsMap(data, pointer.Elem())
	}
	return readsMap(data, want)
}

// readsMap reports whether data is a map of which a struct can be read.
func readsMap(data, want types.Type) bool {
	_, isStruct := want.Underlying().(*types.Struct)
	return isStruct && IsMap(data)
}

// IsMap reports whether t is a map whose keys are strings.
func IsMap(t types.Type) bool {
	m, ok := t.Underlying().(*types.Map)
	if !ok {
		return false
	}
	key, ok := m.Key().Underlying().(*types.Basic)
	return ok && key.Info()&types.IsString != 0
}
