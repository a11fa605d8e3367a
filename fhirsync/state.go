package fhirsync

import "context"

// resume is the state of an unfinished sync.
type resume struct{}

func (r *run) resume(context.Context) error        { return nil }
func (r *run) saveLast(context.Context, bool) bool { return false }
func (r *run) checkpoint()                         {}
func (r *run) wasSettled(string) bool              { return false }
