#!/usr/bin/env bash
# One build runs on any x86-64: fails where code outside the avx folders of a build uses wider registers, or where an
# object built for AVX shares a function with the rest, because the linker may then keep the AVX copy for everyone.
# Usage: tools/baseline.sh BUILD_FOLDER...
set -euo pipefail
[ "$(uname -m)" = x86_64 ] || exit 0
status=0
objects=$(find "${@/%//CMakeFiles}" -name '*.o')
[ -n "$objects" ] || { echo "no objects under $*" >&2; exit 1; }

for object in $(grep -v '/cutaway_avx' <<<"$objects"); do
  wide=$(objdump -d --no-show-raw-insn "$object" | grep -c -E '%[yz]mm' || true)
  if [ "$wide" != 0 ]; then
    echo "$object: built for the baseline CPU, but $wide instructions use AVX registers" >&2
    status=1
  fi
done
for object in $(grep '/cutaway_avx' <<<"$objects"); do
  shared=$(nm -C --defined-only "$object" | awk '$2 ~ /^[WVu]$/' | grep -vE ' cutaway::avx[0-9a-z]*::| DW\.ref\.' || true)
  if [ -n "$shared" ]; then
    echo "$object: shares these with baseline code; keep library templates and inline functions out of it" >&2
    echo "$shared" >&2
    status=1
  fi
done
exit $status
