# Shared by the scripts of this folder: where things are kept, and how a server is started and stopped.
# Sourced, not run. Needs bash, Linux (/proc) and curl.
# shellcheck shell=bash
set -euo pipefail

# shellcheck disable=SC2034 # for who sources this
servers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FHIRSYNC_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fhirsync-ci}
runs=${FHIRSYNC_CI_RUNS:-$cache/run} # of the servers that run: pid, settings, log
mkdir -p "$cache" "$runs"

fail() {
  echo "$*" >&2
  exit 1
}

# digest FILE...: a short name for exactly these contents.
digest() { cat -- "$@" | sha256sum | cut -c1-16; }

# classpath_whole FILE: whether every jar that FILE names is still where Maven put it.
classpath_whole() {
  [ -s "$1" ] || return 1
  local jars jar
  IFS=: read -ra jars <"$1" || true # no newline at its end
  for jar in "${jars[@]}"; do [ -e "$jar" ] || return 1; done
}

# locked NAME COMMAND...: one at a time on this machine, so that servers may be started side by side.
locked() {
  local name=$1
  shift
  (
    flock 9
    "$@"
  ) 9>"$cache/$name.lock"
}

# pid_of NAME: the pid, but only while it is still our server and not a stranger that was given the same number.
pid_of() {
  local pid
  pid=$(cat "$runs/$1.pid" 2>/dev/null) && [ -r "/proc/$pid/cmdline" ] || return 1
  grep -zqxE -- "(-D|--)?fhirsync-ci=$1" "/proc/$pid/cmdline" 2>/dev/null || return 1
  echo "$pid"
}

# serve NAME SETTINGS COMMAND...: runs COMMAND in the background until it has written "listening URL" and URL/metadata
# answers; prints URL. A server of that name with the same SETTINGS is used as it is; with others it is an error.
# COMMAND must hold the argument fhirsync-ci=NAME (or -Dfhirsync-ci=NAME): pid_of knows it by that.
serve() {
  local name=$1 settings=$2 log=$runs/$1.log pid url='' deadline
  shift 2
  if pid=$(pid_of "$name"); then
    [ "$settings" = "$(cat "$runs/$name.settings")" ] ||
      fail "$name runs already (pid $pid) with other settings: stop it first, or give this one another name"
  else
    printf '%s\n' "$settings" >"$runs/$name.settings"
    : >"$log"
    setsid nohup "$@" >"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    echo "$pid" >"$runs/$name.pid"
  fi
  deadline=$((SECONDS + ${FHIRSYNC_CI_START_SECONDS:-240}))
  until [ -n "$url" ] && curl -sf -m 60 -o /dev/null "$url/metadata"; do
    if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      echo "$name did not start; the end of $log:" >&2
      tail -n 40 "$log" >&2
      halt "$name"
      exit 1
    fi
    sleep 0.3
    url=$(sed -n 's/^listening //p' "$log")
  done
  echo "$url"
}

# halt NAME: ends the server; nothing to do is fine.
halt() {
  local pid n=0
  if pid=$(pid_of "$1"); then
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [ $((n += 1)) -le 100 ]; do sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  fi
  rm -f "$runs/$1.pid" "$runs/$1.settings"
}
