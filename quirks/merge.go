package quirks

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Merge gives what s says with what over says in its place, field by field: types, outcomes and timeouts by their keys, headers and
// parameters by their names. Error rules and silent filters add up, those of over first. Neither s nor over is changed or shared.
func (s Set) Merge(over Set) Set { return merge(s, over) }

// merge merges over into a copy of low.
func merge[T any](low, over T) T {
	out := clone(low)
	mergeInto(reflect.ValueOf(&out).Elem(), reflect.ValueOf(clone(over)))
	return out
}

func mergeInto(low, over reflect.Value) {
	switch low.Kind() {
	case reflect.Struct:
		for i := range low.NumField() {
			mergeInto(low.Field(i), over.Field(i))
		}
	case reflect.Map:
		if over.IsNil() {
			return
		}
		if low.IsNil() {
			low.Set(over)
			return
		}
		for _, k := range over.MapKeys() {
			v := over.MapIndex(k)
			old := low.MapIndex(k)
			if old.IsValid() && v.Kind() == reflect.Struct {
				merged := reflect.New(v.Type()).Elem()
				merged.Set(old)
				mergeInto(merged, v)
				v = merged
			}
			low.SetMapIndex(k, v)
		}
	case reflect.Slice:
		if over.IsNil() {
			return
		}
		switch a := low.Addr().Interface().(type) {
		case *[]ErrorRule:
			*a = append(over.Interface().([]ErrorRule), *a...) //nolint:forcetypeassert // over has the type of low.
		case *[]Filter:
			*a = append(over.Interface().([]Filter), *a...) //nolint:forcetypeassert // as above.
		case *[]Header:
			*a = byName(*a, over.Interface().([]Header), func(h Header) string { return strings.ToLower(h.Name) }) //nolint:forcetypeassert // as above.
		case *[]Param:
			*a = byName(*a, over.Interface().([]Param), func(p Param) string { return p.Name }) //nolint:forcetypeassert // as above.
		default:
			low.Set(over)
		}
	default:
		if !over.IsZero() {
			low.Set(over)
		}
	}
}

// byName replaces elements of the same name, and adds the others.
func byName[T any](low, over []T, name func(T) string) []T {
	out := slices.DeleteFunc(low, func(l T) bool {
		return slices.ContainsFunc(over, func(o T) bool { return name(o) == name(l) })
	})
	return append(out, over...)
}

// clone gives a deep copy of a value made of structs, pointers, slices, maps and plain values.
func clone[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	cloneInto(out, reflect.ValueOf(&v).Elem())
	return out.Interface().(T) //nolint:forcetypeassert // it was made of that type.
}

func cloneInto(to, from reflect.Value) {
	switch from.Kind() {
	case reflect.Struct:
		for i := range from.NumField() {
			cloneInto(to.Field(i), from.Field(i))
		}
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(from.Type().Elem()))
			cloneInto(to.Elem(), from.Elem())
		}
	case reflect.Slice:
		if !from.IsNil() {
			to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
			for i := range from.Len() {
				cloneInto(to.Index(i), from.Index(i))
			}
		}
	case reflect.Map:
		if !from.IsNil() {
			to.Set(reflect.MakeMapWithSize(from.Type(), from.Len()))
			for _, k := range from.MapKeys() {
				v := reflect.New(from.Type().Elem()).Elem()
				cloneInto(v, from.MapIndex(k))
				to.SetMapIndex(k, v)
			}
		}
	default:
		to.Set(from)
	}
}

// sorted gives the texts in order, each once, without the empty one.
func sorted(texts []string) []string {
	set := map[string]bool{}
	for _, t := range texts {
		if t != "" {
			set[t] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// fields calls yield for each field of a Set that says something, with its path in JSON names. Lists are one field, maps of structs one
// level.
func fields(v reflect.Value, path string, yield func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			fields(v.Field(i), join(path, name), yield)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			if e := v.MapIndex(k); e.Kind() == reflect.Struct {
				fields(e, join(path, k.String()), yield)
			} else {
				yield(join(path, k.String()), e)
			}
		}
	case reflect.Pointer, reflect.Slice:
		if !v.IsNil() {
			yield(path, v)
		}
	default:
		if !v.IsZero() {
			yield(path, v)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
