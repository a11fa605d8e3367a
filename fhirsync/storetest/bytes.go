package storetest

import (
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

var byteRules = []rule{
	{
		"bytes",
		"bytes are stored as given: not parsed, not pretty-printed, not written anew",
		func(c *check) {
			s := c.open()
			var rs []fhirsync.Resource
			for id, text := range oddBytes {
				rs = append(rs, raw(fhirsync.Key{Server: server, Type: "Observation", ID: id}, strings.ReplaceAll(text, "ID", id)))
			}
			// Each by itself: where one cannot be stored the others still tell something.
			for _, r := range rs {
				if err := s.Put(c.Context(), batchOf(r)); err != nil {
					c.Errorf("broken rule: %s\nPut of %s (%.200s) gave the error: %v", c.words, name(r.Key), r.Raw, err)
					continue
				}
				if fault := c.fault(s, r); fault != "" {
					c.Errorf("broken rule: %s\n%s", c.words, fault)
				}
			}
		},
	},
	{
		"large-resource",
		"one resource may be larger than a batch: 20 MB are stored as given",
		func(c *check) {
			s := c.open()
			data := strings.Repeat("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", 20<<20/32)
			key := fhirsync.Key{Server: server, Type: "Binary", ID: "large"}
			large := raw(key, `{"resourceType":"Binary","id":"large","contentType":"image/jpeg","data":"`+data+`"}`)
			small := observation("a", "beside a large one")
			c.put(s, large, small)
			c.holds(s, large, small)
		},
	},
}

// oddBytes is JSON that does not survive being read and written again, by the id of the resource; ID in it stands for that id.
var oddBytes = map[string]string{
	"decimals":     `{"resourceType":"Observation","id":"ID","valueQuantity":{"value":1.50},"component":[{"valueQuantity":{"value":0.10}},{"valueQuantity":{"value":100.0}}]}`,
	"exponents":    `{"resourceType":"Observation","id":"ID","x":[1e2,1E2,1e+2,1.0e-2,-0,-0.0,0e0,1e400,1e-400]}`,
	"digits":       `{"resourceType":"Observation","id":"ID","x":[123456789012345678901234567890,0.1000000000000000055511151231257827,9007199254740993]}`,
	"duplicates":   `{"resourceType":"Observation","id":"ID","dup":1,"dup":2,"dup":{"a":1,"a":2}}`,
	"order":        `{"z":1,"id":"ID","a":{"c":1,"b":2},"resourceType":"Observation","A":0}`,
	"nul":          `{"resourceType":"Observation","id":"ID","note":[{"text":"a\u0000b"}],"\u0000":1}`,
	"surrogates":   `{"resourceType":"Observation","id":"ID","note":[{"text":"\ud800"},{"text":"\udc00x"},{"text":"\ud83d\ude00"},{"text":"\ude00\ud83d"}]}`,
	"escapes":      `{"resourceType":"Observation","id":"ID","note":[{"text":"\/ \u002f \u00e9 \u00E9 \u003cb\u003e \b\f\n\r\t\"\\ \u2028"}]}`,
	"raw-chars":    "{\"resourceType\":\"Observation\",\"id\":\"ID\",\"note\":[{\"text\":\"<b>&'\u2028\u2029\u007f\u0085\ufeff\uffff\ufffd é e\u0301 患者 🩺 \U0010ffff\"}]}",
	"names":        `{"resourceType":"Observation","id":"ID","":1," ":2,"\u0061":3,"a":4,"$ref":5,"__proto__":{},"a.b":6}`,
	"space-inside": `{"resourceType":"Observation","id":"ID","note":[{"text":"  two  spaces  { \" : , \\\" } [ ]  "}]}`,
	"space":        "\n{ \"resourceType\" :\t\"Observation\" ,\r\n  \"id\": \"ID\",\n\n  \"note\" : [ { \"text\" : \" a , b \" } , { } , [ ] ]\n}\r\n",
	"empty":        `{"resourceType":"Observation","id":"ID","a":{},"b":[],"c":null,"d":"","e":[null,{}]}`,
	"deep":         `{"resourceType":"Observation","id":"ID","x":` + strings.Repeat(`[{"a":`, 100) + `1.0` + strings.Repeat(`}]`, 100) + `}`,
	"lines":        `{"resourceType":"Observation","id":"ID","text":{"div":"<div>\n<p>one</p>\r\n\\n<p>two</p>\n</div>"}}`,
}
