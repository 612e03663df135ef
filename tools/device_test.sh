#!/usr/bin/env bash
# Builds the package with CUDA and runs the CUDA tests with the Python packages that are already there: for a machine
# with a GPU and no network. `make test-cuda` does the same in an environment of its own.
# Usage: tools/device_test.sh [--sanitize TOOL] [pytest arguments]      PYTHON picks the interpreter, python3 unless told
#   --sanitize TOOL   only the tests called small, under compute-sanitizer: memcheck, racecheck, initcheck, synccheck
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${PYTHON:-python3}")
sanitizer=()
if [ "${1:-}" = --sanitize ]; then
  sanitizer=(compute-sanitizer --tool "$2" --error-exitcode 9)
  shift 2
  set -- -k small tests/cuda "$@"
fi
PYTHON=$python tools/build_site.sh cuda -DCUTAWAY_CUDA=ON
export CUTAWAY_TEST_PACKAGE=build/cuda/site PYTHONPATH=build/cuda/site${PYTHONPATH:+:$PYTHONPATH}
exec "${sanitizer[@]}" "$python" -m pytest -m cuda "$@"
