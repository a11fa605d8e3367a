#!/usr/bin/env bash
# Makes sure that the named tools are there; without names: java node go curl. Quick when they are.
# What is missing is installed by name with apt-get when root; otherwise the message says what to install.
set -euo pipefail

# version COMMAND...: the first number of what it says about itself.
version() { "$@" 2>&1 | grep -oE '[0-9]+(\.[0-9]+)*' | head -n 1; }
# least WANTED HAVE
least() { [ "$(printf '%s\n%s\n' "$1" "${2:-0}" | sort -V | head -n 1)" = "$1" ]; }

packages=()
for tool in "${@:-java node go curl}"; do
  for t in $tool; do
    case $t in
      java)
        command -v java >/dev/null && command -v javac >/dev/null || packages+=(default-jdk-headless)
        command -v mvn >/dev/null || packages+=(maven)
        ;;
      node)
        command -v node >/dev/null || packages+=(nodejs)
        command -v npm >/dev/null || packages+=(npm)
        ;;
      go) command -v go >/dev/null || packages+=(golang-go) ;;
      curl) command -v curl >/dev/null || packages+=(curl ca-certificates) ;;
      *)
        echo "install.sh: no such tool: $t" >&2
        exit 2
        ;;
    esac
  done
done
