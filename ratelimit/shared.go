package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Shared keeps limits that several processes share. A [Limiter] with one asks it for permits, some at a time, before it sends; what the
// limiter has found out about the rate by itself stays its own, so that processes share a hidden limit like strangers do, and a declared
// one exactly.
//
// An implementation keeps a [State] per name and needs no arithmetic of its own. Over a database it is one row per name and one
// transaction per call: lock the row, read state and the time, call the method of State, write it back. Three things make it
// correct. The time is that of the database, never that of a process, whose clock may be wrong. All that crosses the border are lengths
// of time. And permits are leased for a short time and counted as used when they are leased, so that a process that dies takes nothing
// with it that others would have to wait for, nor can it use what it holds later.
//
// Its methods are called concurrently.
type Shared interface {
	// Lease takes permits of the limit of that name, like State.Lease.
	Lease(ctx context.Context, name string, a Ask) (Lease, error)
	// Pause tells all that nothing is to be sent for d, like State.Pause.
	Pause(ctx context.Context, name string, d time.Duration) error
}

// Memory is a [Shared] for limiters within one process, and the model of others. The zero value is ready to use.
type Memory struct {
	mu     sync.Mutex
	states map[string]*State
}

var _ Shared = (*Memory)(nil)

// Lease takes permits.
func (m *Memory) Lease(_ context.Context, name string, a Ask) (Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state(name).Lease(time.Now(), a), nil
}

// Pause holds all back.
func (m *Memory) Pause(_ context.Context, name string, d time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state(name).Pause(time.Now(), d)
	return nil
}

func (m *Memory) state(name string) *State {
	if m.states == nil {
		m.states = map[string]*State{}
	}
	s := m.states[name]
	if s == nil {
		s = new(State)
		m.states[name] = s
	}
	return s
}
