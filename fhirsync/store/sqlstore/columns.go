package sqlstore

// columns are many rows as one parameter per column. Bodies and digests are one after the other in one binary value each: arrays of
// binary values are different in every driver, or twice as long as text.
type columns struct {
	server, typ, id, version, updated, offset, length, nos list
	digests, bodies, bodyDigests                           []byte
}

func (p *putting) columns(rows []*row) *columns {
	c := &columns{}
	size := 0
	for _, r := range rows {
		size += len(r.Raw)
	}
	single := len(rows) == 1
	if !single {
		c.bodies = make([]byte, 0, size)
	}
	for _, l := range []*list{&c.server, &c.typ, &c.id, &c.version, &c.updated, &c.offset, &c.length, &c.nos} {
		l.dialect = p.s.dialect
	}
	at := int64(1)
	for _, r := range rows {
		c.server.text(r.server)
		c.typ.text(r.typ)
		c.id.text(r.id)
		c.version.text(toText(r.VersionID))
		c.updated.text(timestamp(r.LastUpdated))
		c.offset.int(at)
		c.length.int(int64(len(r.Raw)))
		c.nos.int(r.no)
		c.digests = append(c.digests, r.Digest[:]...)
		c.bodyDigests = append(c.bodyDigests, r.body[:]...)
		if single {
			c.bodies = r.Raw // it may be large: no copy.
		} else {
			c.bodies = append(c.bodies, r.Raw...)
		}
		at += int64(len(r.Raw))
	}
	if c.bodies == nil {
		c.bodies = []byte{}
	}
	return c
}

// inserted gives the parameters of an insert, without those that are the same for all rows.
func (c *columns) inserted() []any {
	return []any{
		c.server.String(), c.typ.String(), c.id.String(), c.version.String(), c.updated.String(), c.offset.String(), c.length.String(),
		c.digests, c.bodyDigests, c.bodies,
	}
}

// chunks cuts rows into what one statement takes.
func chunks(rows []*row, most int) [][]*row {
	var out [][]*row
	from, size := 0, 0
	for i, r := range rows {
		if i > from && (i-from == most || size+len(r.Raw) > chunkBytes) {
			out = append(out, rows[from:i])
			from, size = i, 0
		}
		size += len(r.Raw)
	}
	if from < len(rows) {
		out = append(out, rows[from:])
	}
	return out
}
