package fhirsync_test

import (
	"os"
	"testing"
)

// startedBy says how each component that the tests do not bring along is started. .ci/servers/README.md has more.
var startedBy = map[string]string{
	"FHIRSYNC_HAPI":        "export FHIRSYNC_HAPI=$(.ci/servers/hapi/run.sh start)",
	"FHIRSYNC_HAPI_SMALL":  "export FHIRSYNC_HAPI_SMALL=$(HAPI_NAME=hapi-small HAPI_PAGE_DEFAULT=5 HAPI_PAGE_MAX=10 HAPI_SEARCH_EXPIRY_SECONDS=60 .ci/servers/hapi/run.sh start)",
	"FHIRSYNC_MEDPLUM":     "export FHIRSYNC_MEDPLUM=$(.ci/servers/medplum/run.sh start)",
	"FHIRSYNC_MEDPLUM_RAW": "export FHIRSYNC_MEDPLUM_RAW=$(MEDPLUM_NAME=medplum-raw MEDPLUM_BARE_IDS=raw .ci/servers/medplum/run.sh start)",
	"FHIRSYNC_SYNTHEA":     "export FHIRSYNC_SYNTHEA=$(.ci/servers/synthea/run.sh)",
}

// component gives what the environment variable names: the base URL of a server, or a folder. Where it is absent the test is skipped and
// says how to start it; in CI, where everything has to be there, it fails.
func component(t *testing.T, variable string) string {
	t.Helper()
	if v := os.Getenv(variable); v != "" {
		return v
	}
	command, ok := startedBy[variable]
	if !ok {
		t.Fatalf("%s is no component of these tests", variable)
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not set, and in CI nothing may be absent; it is started by: %s", variable, command)
	}
	t.Skipf("%s is not set; start it by: %s", variable, command)
	return ""
}
