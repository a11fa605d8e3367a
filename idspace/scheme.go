package idspace

import (
	"crypto/sha1" //nolint:gosec // what a version 5 UUID is made of; the doc says what it is worth.
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// Scheme makes ids. Implementations must be safe for concurrent use, and the
// same arguments must give the same id in every process, for ever.
//
// An id should be legal in FHIR (1 to 64 of A-Z a-z 0-9 - .), hold no capital letters, not end in a dot, and
// differ for any two (space, typ, id) of one typ. All but the last is checked: a Space
// takes [Hash]'s id in the place of one that fails, and of one that could be
// mistaken for Hash's. The last nobody can check.
//
// A Scheme that cannot serve every space has a method Check(space string) error, which [New] asks.
type Scheme interface {
	// Name names the scheme and all that its ids depend on besides the arguments of ID. It becomes part of saved
	// states, so that an unfinished sync is not gone on with under another scheme.
	Name() string
	// ID makes the id for the resource typ/id in the space of this name. Any text may be given, of any length.
	ID(space, typ, id string) string
}

// Hash is the default scheme: SHA-256 over the parts, cut to 160 bits, in
// lower-case base32, which is 32 letters and digits. The parts are
// the text "fhirsync idspace 1", the name of the space, the type and the id, each after its length in
// bytes as 64 bits, big-endian: so that no two lists of parts give the same text.
//
// The chance that any two of n ids are the same is below n²/2^161.
func Hash() Scheme { return hashScheme{} }

// Prefix is a scheme for ids that people can read: payer-a and 123 give payer-a-123. The name
// of the space is the prefix and must be 1 to 20 of a-z 0-9 and "-", none of these at its ends.
//
// Where the id holds a "-" or ".", a dot stands between: payer-a.b-c is b-c of payer-a,
// and payer-a-b-c is c of payer-a-b. Prefixed ids are therefore never the same for different spaces or
// ids, without any chance in it; they are the same for different types, which in FHIR
// are different resources. Ids that do not fit into 64 characters, are not legal, hold
// capital letters or end in a dot get the id that [Hash] gives, which has neither "-" nor "." and is no prefixed one.
func Prefix() Scheme { return prefixScheme{} }

// UUIDv5 is a scheme for those who need UUIDs: version 5 by RFC 9562, with the namespace
// f502f7ba-21ad-5a0f-9f08-47579e3b15ef (that of the URL
// https://github.com/fhirsync/fhirsync-go/idspace) over the same text that [Hash] takes.
//
// A UUID has 122 bits for the hash: the chance that two of n ids are the same is below n²/2^123. Its hash is
// SHA-1, for which collisions can be made at great expense: a server can let two ids of its own meet,
// though not one of its own and one of another server.
func UUIDv5() Scheme { return uuidScheme{} }

type (
	hashScheme   struct{}
	prefixScheme struct{}
	uuidScheme   struct{}
)

func (hashScheme) Name() string   { return "sha256-160" }
func (prefixScheme) Name() string { return "prefix" }
func (uuidScheme) Name() string   { return "uuidv5" }

func (hashScheme) ID(space, typ, id string) string {
	return string(appendHashID(nil, appendPart(appendPart(nil, idLabel), space), typ, id))
}

// appendHashID appends Hash's ID in the space that what is hashed begins with.
func appendHashID(dst, space []byte, typ, id string) []byte {
	var buf [256]byte
	sum := sha256.Sum256(appendPart(appendPart(append(buf[:0], space...), typ), id))
	for i := range hashLen / 8 {
		dst = binary.LittleEndian.AppendUint64(dst, base32(uint64(sum[5*i])<<32|uint64(binary.BigEndian.Uint32(sum[5*i+1:]))))
	}
	return dst
}

// base32 makes eight letters of the forty bits of x, all at once. The first letter, which is that of the highest bits, is in the lowest byte.
func base32(x uint64) uint64 {
	const low, high = 0x0101010101010101, 0x8080808080808080
	x = x>>20 | x&0xfffff<<32                               // two halves of twenty bits
	x = x>>10&0x000003ff000003ff | x&0x000003ff000003ff<<16 // four of ten
	x = x>>5&0x001f001f001f001f | x&0x001f001f001f001f<<8   // eight of five
	digits := (x + (0x80-26)*low) & high >> 7               // 1 for those above z
	return x + 'a'*low - digits*('a'+26-'2')                // 2 to 7 follow on z
}

// hashLen is the length of an id that Hash makes.
const hashLen = 32

// idLabel is the first part of what is hashed.
const idLabel = "fhirsync idspace 1"

// appendParts appends what is hashed. It must never change: the ids of all stored resources depend on it.
func appendParts(dst []byte, space, typ, id string) []byte {
	for _, part := range [...]string{idLabel, space, typ, id} {
		dst = appendPart(dst, part)
	}
	return dst
}

func appendPart(dst []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(len(part))), part...)
}

// hashShaped tells whether an id could be one of Hash's.
func hashShaped(id string) bool {
	if len(id) != hashLen {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// maxPrefix is how long the name of a space may be that is a prefix. It also keeps prefixed ids apart from UUIDs, whose last hyphen is
// their 24th character.
const maxPrefix = 20

func (prefixScheme) Check(space string) error {
	bad := space == "" || len(space) > maxPrefix || space[0] == '-' || space[len(space)-1] == '-'
	for i := range len(space) {
		if c := space[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			bad = true
		}
	}
	if bad {
		return errors.New(`the name is no prefix for ids: 1 to 20 of a-z, 0-9 and "-" are, with no "-" at the ends`)
	}
	return nil
}

func (s prefixScheme) ID(space, typ, id string) string {
	if id == "" || id[len(id)-1] == '.' || len(space)+1+len(id) > maxID || s.Check(space) != nil {
		return hashScheme{}.ID(space, typ, id)
	}
	between := "-"
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-', c == '.':
			between = "."
		default:
			return hashScheme{}.ID(space, typ, id)
		}
	}
	return space + between + id
}

// uuidSpace is the namespace of all UUIDs that UUIDv5 makes.
var uuidSpace = [16]byte{0xf5, 0x02, 0xf7, 0xba, 0x21, 0xad, 0x5a, 0x0f, 0x9f, 0x08, 0x47, 0x57, 0x9e, 0x3b, 0x15, 0xef}

func (uuidScheme) ID(space, typ, id string) string {
	var buf [512]byte
	sum := sha1.Sum(appendParts(append(buf[:0], uuidSpace[:]...), space, typ, id)) //nolint:gosec // see the import.
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], sum[0:4])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	hex.Encode(out[9:13], sum[4:6])
	hex.Encode(out[14:18], sum[6:8])
	hex.Encode(out[19:23], sum[8:10])
	hex.Encode(out[24:36], sum[10:16])
	return string(out[:])
}

// maxID is how long a FHIR id may be.
const maxID = 64

// usable tells whether a Space takes an id of a scheme: legal in FHIR, and safe in the name of a file.
func usable(id string) bool {
	if id == "" || len(id) > maxID || id[len(id)-1] == '.' {
		return false // a dot at the end means something in a path, and nothing in a file name on Windows
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
