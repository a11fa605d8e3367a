// Package jsonrepair makes JSON of what is nearly JSON, where only one reading is possible.
//
// It is for input that a strict reader has refused, and costs good input nothing because that never comes here. What it repairs is listed
// under [Kind]. It does not guess: a comma that is missing between two values, NaN, an escape that JSON does not have, a quote of another
// kind are refused, and the bytes are for a person to look at. Input that ends early is refused as well, with io.ErrUnexpectedEOF, because
// it is better asked for again.
//
// What it gives out is JSON by RFC 8259 in correct UTF-8 without lone surrogates, and repairing that once more changes nothing.
//
// No function of this package recurses. Memory is bounded by a few times the size of the input. Errors hold nothing of the input.
package jsonrepair
