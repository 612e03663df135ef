#!/usr/bin/env bash
# Builds the core in place for work on it: build/dev/_core*.so, linked into python/cutaway, no wheel in between.
# Run with PYTHONPATH=python; kernels/ is importable as cutaway.kernels through a link that git ignores.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
launcher=$(command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache || true)
headers=$(tools/python_headers.sh "$python")
[ -e build/dev/build.ninja ] || PATH="$(dirname "$python"):$PATH" cmake -S . -B build/dev -G Ninja $launcher \
  $headers \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(realpath -s "$python")" "$@"
PATH="$(dirname "$python"):$PATH" ninja -C build/dev
ln -sf "$PWD"/build/dev/_core*.so python/cutaway/
ln -sfn "$PWD/kernels" python/cutaway/kernels
