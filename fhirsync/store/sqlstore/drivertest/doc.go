// Package drivertest runs the tests of sqlstore against real databases and drivers, which package sqlstore itself does not import. Nobody
// imports it.
package drivertest
