#!/usr/bin/env bash
# Synthetic patients by Synthea: FHIR R4 transaction bundles, the same bytes every time.
#   run.sh    makes them unless they are there; the folder is the only line on stdout
# Settings: SYNTHEA_* in ../README.md. Each set of settings has a folder of its own.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

here=$servers/synthea
count=${SYNTHEA_PATIENTS:-3}
seed=${SYNTHEA_SEED:-20261122}
ages=${SYNTHEA_AGES:-1-40}
limit=${SYNTHEA_SECONDS:-300}
out=$cache/synthea-$(digest "$here/pom.xml" "$here/run.sh")-$count-$seed-$ages
classpath=$cache/synthea-$(digest "$here/pom.xml").classpath

generate() {
  [ ! -e "$out/whole" ] || return 0
  "$servers/install.sh" java
  classpath_whole "$classpath" ||
    mvn -q -B -f "$here/pom.xml" dependency:build-classpath -Dmdep.outputFile="$classpath" >&2
  rm -rf "$out"
  mkdir -p "$out"
  # -r and -e fix "today"; one thread keeps the order, and with it the providers, the same.
  timeout "$limit" java -Xmx2g -XX:+UseSerialGC -cp "$(cat "$classpath")" App \
    -p "$count" -s "$seed" -cs "$seed" -r 20260101 -e 20260101 -a "$ages" \
    --exporter.baseDirectory="$out/" --exporter.pretty_print=false --exporter.years_of_history=0 \
    --exporter.fhir.export=true --exporter.fhir.transaction_bundle=true --exporter.fhir.us_core_version=6.1.0 \
    --exporter.metadata.export=false --generate.thread_pool_size=1 --generate.only_alive_patients=true \
    Massachusetts >"$out/log" 2>&1 </dev/null || {
    tail -n 20 "$out/log" >&2
    fail "synthea ended with an error, or took longer than $limit seconds"
  }
  # It ends with 0 even where it could not write a patient: count them.
  local n
  n=$(find "$out/fhir" -name '*.json' ! -name 'hospitalInformation*' ! -name 'practitionerInformation*' | wc -l)
  [ "$n" -eq "$count" ] || fail "asked synthea for $count patients, got $n: see $out/log"
  touch "$out/whole"
}

[ $# -eq 0 ] || fail "usage: run.sh"
locked synthea generate
echo "$out/fhir"
