#!/usr/bin/env bash
# Medplum's FHIR router with its in-memory repository, on loopback.
#   run.sh start    installs its packages if needed, starts, waits until it answers; the base URL is the only line on stdout
#   run.sh stop
# Settings: MEDPLUM_* in ../README.md. Several at once: give each its own MEDPLUM_NAME.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

name=${MEDPLUM_NAME:-medplum}
here=$servers/medplum
build=$cache/medplum-$(digest "$here/package.json" "$here/package-lock.json" "$here/server.mjs")

build() {
  [ ! -e "$build/whole" ] || return 0
  "$servers/install.sh" node
  rm -rf "$build"
  mkdir -p "$build"
  cp "$here/package.json" "$here/package-lock.json" "$here/server.mjs" "$build"
  npm ci --prefix "$build" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch "$build/whole"
}

case ${1:-} in
  start)
    locked medplum-build build
    serve "$name" "$(env | grep '^MEDPLUM_' | sort || true)" node "$build/server.mjs" "fhirsync-ci=$name"
    ;;
  stop) halt "$name" ;;
  *) fail "usage: run.sh {start|stop}" ;;
esac
