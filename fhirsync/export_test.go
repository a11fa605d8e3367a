package fhirsync

// Poison makes page buffers be overwritten when they are released, so that a test sees whoever kept them.
func (c *Client) Poison() { c.pool.Poison() }

// Rate is how many requests per second the client allows itself towards a server at present.
func (c *Client) Rate(base string) float64 { return c.limiter(base).Stats().Rate }

// SeenInMemory makes syncs ask a SeenStore from so many resources on.
func (c *Client) SeenInMemory(n int) { c.seenInMemory = n }
