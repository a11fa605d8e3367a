package sqlstore

import (
	"context"
	"slices"

	"github.com/fhirsync/fhirsync-go/refs"
)

// edge is a row of the table of references.
type edge struct {
	no                  int64
	seq                 int
	path, text, typ, id string
	contained           bool
}

// edgesOf finds the references of a resource. Of one that cannot be read there are none: its bytes are kept all the same.
func edgesOf(no int64, raw []byte) []edge {
	var out []edge
	for f, err := range refs.All(raw, refs.FromReference) {
		if err != nil {
			return nil
		}
		e := edge{no: no, seq: len(out), path: toText(f.Path), text: toText(f.Text), contained: f.Contained}
		if f.Ref.Kind == refs.Relative || f.Ref.Kind == refs.Absolute {
			e.typ, e.id = toText(f.Ref.Type), toText(f.Ref.ID)
		}
		out = append(out, e)
	}
	return out
}

// edges replaces the references of what was written.
func (p *putting) edges(ctx context.Context) error {
	if !p.s.edges || len(p.written) == 0 {
		return nil
	}
	var all []edge
	nos := list{dialect: p.s.dialect}
	for _, r := range p.written {
		nos.int(r.no)
		all = append(all, edgesOf(r.no, r.Raw)...)
	}
	if _, err := p.tx.ExecContext(ctx, p.s.sql.dropEdges, nos.String()); err != nil {
		return err
	}
	return p.addEdges(ctx, all)
}

func (p *putting) addEdges(ctx context.Context, all []edge) error {
	if p.s.dialect == SQLite {
		return p.each(ctx, p.s.sql.addEdge, len(all), func(i int) []any {
			e := all[i]
			return []any{e.no, e.seq, e.path, e.text, e.typ, e.id, e.contained}
		}, nil)
	}
	for part := range slices.Chunk(all, 10*chunkRows) {
		var no, seq, path, text, typ, id, contained list
		for _, l := range []*list{&no, &seq, &path, &text, &typ, &id, &contained} {
			l.dialect = p.s.dialect
		}
		for _, e := range part {
			no.int(e.no)
			seq.int(int64(e.seq))
			path.text(e.path)
			text.text(e.text)
			typ.text(e.typ)
			id.text(e.id)
			contained.text(map[bool]string{false: "f", true: "t"}[e.contained])
		}
		_, err := p.tx.ExecContext(ctx, p.s.sql.addEdge, no.String(), seq.String(), path.String(), text.String(), typ.String(), id.String(),
			contained.String())
		if err != nil {
			return err
		}
	}
	return nil
}

// readEdges finds the references of all that is there already.
func (p *putting) readEdges(ctx context.Context) error {
	var after int64
	for {
		var all []edge
		more := false
		err := scan(ctx, p.tx, p.s.sql.bodies, []any{after}, func(scan func(...any) error) error {
			var body []byte
			if err := scan(&after, &body); err != nil {
				return err
			}
			more = true
			all = append(all, edgesOf(after, body)...)
			return nil
		})
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		if err := p.addEdges(ctx, all); err != nil {
			return err
		}
	}
}
