//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package dirstore_test

func fillDisk() {}
