//go:build !unix

package pgtest

import (
	"errors"
	"os/exec"
)

func unprivileged() (*account, error) {
	return nil, errors.New("servers are started on Unix only, let " + Variable + " name one")
}

func lower(*exec.Cmd, *account) {}
