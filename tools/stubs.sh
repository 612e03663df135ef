#!/usr/bin/env bash
# Writes python/cutaway/_core.pyi, the compiled module's signatures, from the installed package.
# Usage: tools/stubs.sh [--check]      --check writes nothing and fails where the committed file is out of date
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
committed=python/cutaway/_core.pyi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m pybind11_stubgen cutaway._core --exit-code --output-dir "$scratch" >"$scratch/log" 2>&1 ||
  { cat "$scratch/log" >&2; exit 1; }
generated=$scratch/cutaway/_core.pyi
# The version is pyproject.toml's to say; lines follow the tree's own format.
sed -i "s/^__version__: str = .*/__version__: str/" "$generated"
"$python" -m ruff check --quiet --fix --config pyproject.toml --ignore E501 "$generated" || true
"$python" -m ruff format --quiet --config pyproject.toml "$generated"

if [ "${1:-}" != --check ]; then
  cp "$generated" "$committed"
elif ! diff -u "$committed" "$generated"; then
  echo "$committed is out of date: run tools/stubs.sh and commit what it writes" >&2
  exit 1
fi
