package conform

import "slices"

// meta does what Options.Versions says. What it says about profiles is done with these.
func (p *pass) meta(root *node) {
	typ, _ := root.get("resourceType").str(p.raw)
	at := (&frame{name: typ, index: -1}).in("meta")
	meta := root.get("meta")
	if meta == nil || meta.kind != '{' || p.c.opts.Versions == KeepVersions {
		return
	}
	for _, x := range [...]struct{ name, url string }{{"versionId", VersionIDExtension}, {"lastUpdated", LastUpdatedExtension}} {
		v := meta.get(x.name)
		if v == nil {
			continue
		}
		if s, ok := v.str(p.raw); ok && p.c.opts.Versions == VersionsExtension {
			if !p.extend(meta, object(field{"url", str(x.url)}, field{"valueString", str(s)})) {
				continue
			}
		}
		p.changed(RuleMeta, at.in(x.name), v)
		meta.drop(x.name)
		meta.drop("_" + x.name)
	}
	dropEmpty(root, "meta")
}

// inner does to a resource inside of another what Options.Claims says: its claims are never tried, so they stay with KeepClaims alone.
func (p *pass) inner(n *node, f *frame) {
	meta := n.get("meta")
	if f.outer == nil || p.c.opts.Claims == KeepClaims || meta == nil || meta.kind != '{' {
		return
	}
	if v := meta.get("profile"); v != nil {
		p.changed(RuleMeta, f.in("meta").in("profile"), v)
		meta.drop("profile")
		meta.drop("_profile")
		dropEmpty(n, "meta")
	}
}

// dropEmpty takes a member away if there is nothing left in it.
func dropEmpty(n *node, name string) {
	if v := n.get(name); v != nil && v.live() == 0 {
		n.drop(name)
	}
}

// extend adds an extension; it gives false where there is no place for one.
func (p *pass) extend(n *node, extension node) bool {
	list := n.get("extension")
	switch {
	case list == nil:
		n.add("extension", node{kind: '['}).push(extension)
	case list.kind != '[':
		return false
	default:
		list.push(extension)
	}
	return true
}

// claims does what Options.Claims says, and makes the claims of what is met. candidates are the profiles that the resource might meet.
func (p *pass) claims(root *node, candidates []*profile) {
	typ, _ := root.get("resourceType").str(p.raw)
	at := (&frame{name: typ, index: -1}).in("meta").in("profile")
	meta := root.get("meta")
	if meta != nil && meta.kind != '{' {
		return
	}
	var list *node
	if meta != nil {
		list = meta.get("profile")
	}
	if list != nil && list.kind != '[' {
		return
	}
	var want []string
	if p.c.opts.Claims != RemoveClaims {
		want = p.met
	}
	held := map[string]bool{}
	for i := 0; list != nil && i < len(list.items); i++ {
		it := &list.items[i]
		s, ok := it.val.str(p.raw)
		if it.gone {
			continue
		}
		keep := slices.Contains(want, s)
		if p.c.opts.Claims == KeepClaims {
			keep = keep || !ok || !unmet(s, p.met, candidates)
		}
		if keep {
			held[s] = true
			continue
		}
		p.changed(RuleMeta, at.at(i), &it.val)
		it.gone = true
		if beside := meta.get("_profile"); beside != nil && i < len(beside.items) {
			beside.items[i].gone = true
		}
	}
	for _, claim := range want {
		if held[claim] {
			continue
		}
		if meta == nil {
			meta = root.add("meta", node{kind: '{'})
		}
		if list == nil {
			list = meta.add("profile", node{kind: '['})
		}
		p.profile = claim
		p.changed(RuleProfile, at, &node{})
		p.profile = ""
		list.push(str(claim))
	}
	if meta != nil {
		dropEmpty(meta, "profile")
		if beside := meta.get("_profile"); beside != nil && beside.kind == '[' {
			dropEmpty(meta, "_profile")
		}
		dropEmpty(root, "meta")
	}
}

// unmet tells whether a claim is that of a profile that was tried and not met.
func unmet(claim string, met []string, candidates []*profile) bool {
	for _, c := range candidates {
		if (claim == c.URL || claim == c.name()) && !slices.Contains(met, c.name()) {
			return true
		}
	}
	return false
}
