#!/usr/bin/env bash
# Runs a command with a Docker engine: the machine's own where it has one, else a private one for as long as it takes.
#
#   tests/compose/with-engine.sh make test-compose
#
# The private engine comes from ../shared/engine/engine.sh (root on Debian), with stand-ins for the base images under their
# own names; the one for Apache Kafka is made here, of the jars that the other tests use. docs/guides/deploy.md says what a green
# run on stand-ins does not prove.
set -euo pipefail
cd "$(dirname "$0")/../.."
ENGINE=../shared/engine/engine.sh

if ! docker compose version >/dev/null 2>&1 || ! docker info >/dev/null 2>&1; then
  if [ ! -f "$ENGINE" ]; then
    echo "no Docker engine answers here, and $ENGINE is not there to start one" >&2
    exec "$@" # which says what it cannot do, and fails where CI=true
  fi
  # shellcheck source=/dev/null
  . "$ENGINE"
  trap engine_down EXIT
  engine_up || exit 1
  jars=$(.venv/bin/python -m tests.compose.jars)
  image=$(sed -n 's/^ *image: \(apache\/kafka:.*\)/\1/p' deploy/compose.yaml)
  docker build --quiet --build-context "jars=$jars" --tag "$image" tests/compose/kafka >/dev/null
fi
"$@"
