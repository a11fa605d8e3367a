package strategytest

// Names of vendors stand in the vendors_*.go files and nowhere else in this package: a strategy must not know them.

// vendors gives all profiles.
func vendors() []*profile {
	return []*profile{
		epic(), oracleHealth(), athenahealth(), blueButton(), hapi(), azure(), medplum(), canvas(), eClinicalWorks(), oneUp(),
	}
}
