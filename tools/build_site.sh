#!/usr/bin/env bash
# Builds a variant of the package beside the installed one, for PYTHONPATH: build/NAME/site/cutaway.
# Usage: tools/build_site.sh NAME [CMake arguments]      PYTHON picks the interpreter, .venv/bin/python unless told
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
shift
python=${PYTHON:-.venv/bin/python}
PATH="$(cd "$(dirname "$python")" && pwd):$PATH"
headers=$(tools/python_headers.sh "$python")
mkdir -p build

# shellcheck disable=SC2086  # headers is empty or one argument
cmake -S . -B "build/$name" -G Ninja -DPython_EXECUTABLE="$(command -v python3)" \
  -Dpybind11_DIR="$(python3 -m pybind11 --cmakedir)" $headers "$@" >"build/$name.log" || { cat "build/$name.log" >&2; exit 1; }
ninja -C "build/$name"
rm -rf "build/$name/site"
cmake --install "build/$name" --prefix "build/$name/site" >/dev/null
(cd python && find cutaway -type f '(' -name '*.py*' -o -name '*.gguf' ')' -not -name '*.pyc' -exec cp --parents {} "../build/$name/site/" \;)
