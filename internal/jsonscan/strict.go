package jsonscan

import "unicode/utf8"

// numberEnd gives the index after the number that begins at raw[i], -1 if
// there is none.
func numberEnd(raw []byte, i int) int {
	if i < len(raw) && raw[i] == '-' {
		i++
	}
	switch {
	case i >= len(raw):
		return -1
	case raw[i] == '0':
		i++
	case '1' <= raw[i] && raw[i] <= '9':
		i = digitsEnd(raw, i)
	default:
		return -1
	}
	if i < len(raw) && raw[i] == '.' {
		start := i + 1
		if i = digitsEnd(raw, start); i == start {
			return -1
		}
	}
	if i < len(raw) && raw[i]|0x20 == 'e' {
		i++
		if i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
			i++
		}
		start := i
		if i = digitsEnd(raw, start); i == start {
			return -1
		}
	}
	return i
}

func digitsEnd(raw []byte, i int) int {
	for i < len(raw) && raw[i]-'0' <= 9 {
		i++
	}
	return i
}

// numberError says why there is no number at raw[i].
func numberError(raw []byte, i int) error {
	start := i
	for i < len(raw) {
		switch c := raw[i]; {
		case c-'0' <= 9, c == '-', c == '+', c == '.', c|0x20 == 'e':
			i++
		default:
			if i == start {
				return syntaxAt(start, "value expected")
			}
			return syntaxAt(start, "bad number")
		}
	}
	// It reaches to the end. If one more digit would make it a number, it was
	// cut off.
	if raw[start] == '-' || raw[start]-'0' <= 9 {
		digit := append(raw[start:i:i], '1') //nolint:gocritic // a copy: the capacity ends at i.
		if numberEnd(digit, 0) == len(digit) {
			return endAt(len(raw))
		}
	}
	return syntaxAt(start, "bad number")
}

// literalEnd gives the index after true, false or null at raw[i], -1 if it is
// none of them.
func literalEnd(raw []byte, i int) int {
	rest := raw[i:]
	switch {
	case len(rest) >= 4 && (string(rest[:4]) == "true" || string(rest[:4]) == "null"):
		return i + 4
	case len(rest) >= 5 && string(rest[:5]) == "false":
		return i + 5
	}
	return -1
}

// literalError says why there is no literal at raw[i].
func literalError(raw []byte, i int) error {
	rest := raw[i:]
	for _, literal := range [...]string{"true", "false", "null"} {
		if len(rest) < len(literal) && string(rest) == literal[:len(rest)] {
			return endAt(len(raw))
		}
	}
	return syntaxAt(i, "bad literal")
}

// strictString finds the end of the string whose first byte after the quote is
// raw[i], and checks all of it. It gives the index after the closing quote, or
// -1 if something is wrong, and whether there are escapes.
func strictString(raw []byte, i int) (end int, escaped bool) {
	for {
		i = plainEnd(raw, i)
		if i >= len(raw) {
			return -1, escaped
		}
		switch c := raw[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i+1 >= len(raw) {
				return -1, true
			}
			if raw[i+1] == 'u' {
				if _, ok := hex4(raw[i+2:]); !ok {
					return -1, true
				}
				i += 6
				continue
			}
			if unescaped[raw[i+1]] == 0 {
				return -1, true
			}
			i += 2
		case c < ' ':
			return -1, escaped
		default:
			r, size := utf8.DecodeRune(raw[i:])
			if r == utf8.RuneError && size == 1 {
				return -1, escaped
			}
			i += size
		}
	}
}

// stringError says what is wrong with the string whose first byte after the
// quote is raw[i].
func stringError(raw []byte, i int) error {
	for i < len(raw) {
		i = plainEnd(raw, i)
		if i >= len(raw) {
			break
		}
		switch c := raw[i]; {
		case c == '\\':
			if i+1 >= len(raw) {
				return endAt(len(raw))
			}
			if raw[i+1] == 'u' {
				digits := raw[i+2:]
				if _, ok := hex4(digits); !ok {
					for n, c := range digits {
						if n == 4 || hexDigit(c) > 15 {
							return syntaxAt(i, "bad escape")
						}
					}
					return endAt(len(raw))
				}
				i += 6
				continue
			}
			if unescaped[raw[i+1]] == 0 {
				return syntaxAt(i, "bad escape")
			}
			i += 2
		case c < ' ':
			return syntaxAt(i, "control character in a string")
		default:
			r, size := utf8.DecodeRune(raw[i:])
			if r == utf8.RuneError && size == 1 {
				if !utf8.FullRune(raw[i:]) {
					return endAt(len(raw))
				}
				return syntaxAt(i, "bad UTF-8")
			}
			i += size
		}
	}
	return endAt(len(raw))
}
