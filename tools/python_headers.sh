#!/usr/bin/env bash
# Prints the CMake arguments with which PYTHON's headers are found: nothing where they are installed.
# Debian's python3-venv comes without Python.h; then they are installed (as root) or unpacked into .cache/ (not root).
# Usage: tools/python_headers.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}

include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
[ -e "$include/Python.h" ] && exit 0

local_include=$PWD/.cache/python-headers/usr/include/$version
if [ ! -e "$local_include/Python.h" ]; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  # `include` is /usr/include/python3.N only for Debian's own Python: packages cannot help another one.
  if [ "$include" = "/usr/include/$version" ] && command -v apt-get >/dev/null; then
    echo "$include/Python.h is missing: getting lib$version-dev" >&2
    if [ "$(id -u)" = 0 ]; then
      { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "lib$version-dev"; } \
        </dev/null >"$log" 2>&1 || true
    else
      mkdir -p .cache/python-headers
      (cd .cache/python-headers && apt-get download "lib$version-dev" && dpkg -x lib"$version"-dev_*.deb .) \
        </dev/null >"$log" 2>&1 || true
    fi
    [ -e "$include/Python.h" ] && exit 0
  fi
  if [ ! -e "$local_include/Python.h" ]; then
    tail -n 5 "$log" >&2
    echo "cutaway needs Python's C headers, and $include/Python.h is missing." >&2
    echo "  Debian, Ubuntu: sudo apt-get install $version-dev    Fedora: sudo dnf install python3-devel" >&2
    exit 1
  fi
  # Debian's pyconfig.h only includes the one of the architecture, by a path relative to /usr/include.
  cp "$local_include"/../*-linux-gnu*/"$version"/pyconfig.h "$local_include/pyconfig.h"
fi
echo "-DPython_INCLUDE_DIR=$local_include"
