#!/usr/bin/env bash
# HAPI FHIR JPA R4 in memory, on loopback.
#   run.sh start    builds if needed, starts, waits until it answers; the base URL is the only line on stdout
#   run.sh stop
# Settings: HAPI_* in ../README.md. Several at once: give each its own HAPI_NAME.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

name=${HAPI_NAME:-hapi}
here=$servers/hapi
build=$cache/hapi-$(digest "$here/pom.xml" "$here/src/main/java/ci/Server.java")

build() {
  [ ! -s "$build/classes/ci/Server.class" ] || ! classpath_whole "$build/classpath" || return 0
  "$servers/install.sh" java
  rm -rf "$build"
  mvn -q -B -f "$here/pom.xml" -Dout="$build" compile >&2
}

case ${1:-} in
  start)
    locked hapi-build build
    # One compiler level and the serial collector: half the start time and half the memory of Java's defaults.
    # shellcheck disable=SC2086 # options, split at blanks
    serve "$name" "$(env | grep '^HAPI_' | sort || true)" \
      java ${HAPI_JAVA_OPTS:--Xmx1200m -XX:+UseSerialGC -XX:TieredStopAtLevel=1} "-Dfhirsync-ci=$name" \
      -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$build/classes:$(cat "$build/classpath")" ci.Server
    ;;
  stop) halt "$name" ;;
  *) fail "usage: run.sh {start|stop}" ;;
esac
