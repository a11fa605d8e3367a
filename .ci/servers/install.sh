#!/usr/bin/env bash
# Makes sure that the named tools are there; without names: java node go cc curl. Quick when they are.
#   install.sh [java|node|go|cc|curl|DEBIAN-PACKAGE]...
# What is missing is installed by name with apt-get when root; otherwise the message says what to install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# at_least WANTED COMMAND...: whether COMMAND is there, and the first number it prints is WANTED or more.
at_least() {
  local text
  command -v "$2" >/dev/null && text=$("${@:2}" 2>&1) && [[ $text =~ [0-9]+(\.[0-9]+)* ]] || return 1
  [ "$(printf '%s\n%s\n' "$1" "${BASH_REMATCH[0]}" | sort -V | sed -n 1p)" = "$1" ]
}

# examine TOOL: prints a line "PACKAGE REASON" for each thing that is missing or too old.
examine() {
  case $1 in
    java)
      at_least 17 javac -version && at_least 17 java -version ||
        echo "default-jdk-headless a JDK, 17 or newer (java and javac)"
      command -v mvn >/dev/null || echo "maven Maven (mvn)"
      ;;
    node)
      at_least 20.19 node --version || echo "nodejs Node.js, 20.19 or newer (node)"
      command -v npm >/dev/null || echo "npm npm"
      ;;
    # Asked from here, inside the module: an older Go that fetches the toolchain which go.mod asks for will do.
    go) at_least 1.26 go env GOVERSION || echo "golang-go Go, 1.26 or newer (go)" ;;
    # For the race detector.
    cc) command -v cc >/dev/null || printf '%s\n' "gcc a C compiler (cc)" "libc6-dev the C library's headers" ;;
    curl) command -v curl >/dev/null || echo "curl curl" ;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] || echo "$1 the package $1" ;;
  esac
}

missing() {
  local tool
  for tool in "${tools[@]}"; do examine "$tool"; done
}

# stop LINES: says what is missing, and ends.
stop() {
  {
    echo "missing; install these and start again:"
    printf '%s\n' "$1" | sed -E 's/^([^ ]+) (.*)$/  \2; Debian: \1/'
  } >&2
  exit 1
}

tools=("$@")
[ $# -gt 0 ] || tools=(java node go cc curl)

exec 8<"${BASH_SOURCE[0]##*/}"
flock 8 # one apt-get at a time
lines=$(missing)
[ -n "$lines" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then stop "$lines"; fi

mapfile -t packages < <(printf '%s\n' "$lines" | cut -d' ' -f1)
export DEBIAN_FRONTEND=noninteractive
{
  apt-get -q update
  # ca-certificates: without it every download from a registry fails.
  apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends ca-certificates "${packages[@]}"
} >&2 </dev/null 8>&-
hash -r
lines=$(missing)
[ -z "$lines" ] || stop "$lines" # a distribution can be too old
