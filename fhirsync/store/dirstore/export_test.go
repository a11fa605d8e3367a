package dirstore

// Small makes housekeeping happen all the time.
func Small(o Options) *Options {
	o.limits = limits{recent: 5, waste: 4 << 10, member: 2 << 10}
	return &o
}
