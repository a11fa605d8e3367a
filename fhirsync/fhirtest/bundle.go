package fhirtest

import (
	"bytes"
	"strconv"
)

// bundleStyle says how a searchset is written. Both are legal JSON and legal FHIR.
type bundleStyle int

const (
	usual   bundleStyle = iota
	unusual             // entries before links and total, resourceType last, search before resource, next before self, white space
)

// bundle writes a searchset. The bytes of the resources are copied as they are.
func (s *Server) bundle(p *page) []byte {
	next := p.nextURL
	if p.next != nil && next == "" {
		next = s.link(p.next)
	}
	if next != "" && p.relink != nil {
		next = p.relink(next)
	}
	if p.style == unusual {
		return unusualBundle(p, next)
	}
	size := 512 + p.padding
	for _, e := range p.entries {
		size += len(e.raw) + len(e.fullURL) + e.padding + 96
	}
	b := append(make([]byte, 0, size), `{"resourceType":"Bundle","type":"searchset"`...)
	if p.totals {
		b = append(b, `,"total":`...)
		b = strconv.AppendInt(b, int64(p.total), 10)
	}
	var links [][2]string
	for _, l := range [][2]string{{"self", p.self}, {"next", next}} {
		if l[1] != "" {
			links = append(links, l)
		}
	}
	b = appendEach(b, "link", links, func(b []byte, l [2]string) []byte {
		b = appendString(append(b, `{"relation":`...), l[0])
		b = append(b, `,"url":`...)
		return append(appendString(b, l[1]), '}')
	})
	b = pad(b, `,"_padding":"`, p.padding)
	for i, e := range p.entries {
		if i == 0 {
			b = append(b, `,"entry":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, "\n{"...)
		comma := ""
		if e.fullURL != "" {
			b = append(b, `"fullUrl":`...)
			b = appendString(b, e.fullURL)
			comma = ","
		}
		if e.raw != nil {
			b = append(append(b, comma...), `"resource":`...)
			b = append(b, e.raw...)
			comma = ","
		}
		if e.mode != "" {
			b = append(append(b, comma...), `"search":{"mode":`...)
			b = appendString(b, e.mode)
			b = append(b, '}')
			comma = ","
		}
		b = pad(b, comma+`"_padding":"`, e.padding)
		b = append(b, '}')
	}
	if len(p.entries) > 0 {
		b = append(b, "\n]"...)
	}
	return append(b, "}\n"...)
}

// pad adds a member of n bytes that means nothing.
func pad(b []byte, key string, n int) []byte {
	if n <= 0 {
		return b
	}
	b = append(b, key...)
	b = append(b, bytes.Repeat([]byte("x"), n)...)
	return append(b, '"')
}

func unusualBundle(p *page, next string) []byte {
	b := []byte("\r\n{\t\"entry\" : [ ")
	if len(p.entries) == 0 {
		b = []byte("\r\n{ \"id\" : \"0\"")
	}
	for i, e := range p.entries {
		if i > 0 {
			b = append(b, " , "...)
		}
		b = append(b, "{ \"search\" : { \"score\" : 1.00 , \"mode\" : "...)
		b = appendString(b, e.mode)
		b = append(b, " }"...)
		if e.raw != nil {
			b = append(b, " ,\r\n\"resource\"  :  "...)
			b = append(b, e.raw...)
		}
		if e.fullURL != "" {
			b = append(b, "\t,\"fullUrl\" : "...)
			b = appendQuoted(b, e.fullURL, escapeSlash)
		}
		b = append(b, " }"...)
	}
	if len(p.entries) > 0 {
		b = append(b, " ]"...)
	}
	b = append(b, " , \"link\" : [ "...)
	if next != "" {
		b = append(b, "{ \"url\" : "...)
		b = appendQuoted(b, next, escapeSlash)
		b = append(b, " , \"relation\" : \"next\" } ,\n"...)
	}
	b = append(b, "{ \"url\" : "...)
	b = appendString(b, p.self)
	b = append(b, " , \"relation\" : \"self\" } ]"...)
	if p.totals {
		b = append(b, " , \"total\" : "...)
		b = strconv.AppendInt(b, int64(p.total), 10)
	}
	return append(b, " , \"meta\" : { \"lastUpdated\" : \"2020-01-01T00:00:00Z\" } , \"type\" : \"searchset\" , \"resourceType\" : \"Bundle\" }\n \n"...)
}
