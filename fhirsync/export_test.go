package fhirsync

// Poison makes page buffers be overwritten when they are released, so that a test sees whoever kept them.
func (c *Client) Poison() { c.pool.Poison() }
