"""This machine's measured peaks: `python benchmarks/peaks.py [--json] [--threads N]`."""

import argparse
import json

from cutaway import _core
from cutaway.roofline import last_level_cache, read_bandwidth


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--json", action="store_true")
    p.add_argument("--threads", type=int, default=0)
    args, _ = p.parse_known_args()  # `make bench ARGS=..` gives every script the same words
    counts = [args.threads] if args.threads else sorted({1, _core.cores()})
    peaks = [read_bandwidth(n) for n in counts]
    if args.json:
        print(json.dumps({"cpu": _core.cpu(), "cores": _core.cores(), "read": [peak.to_dict() for peak in peaks]}))
        return
    print(f"{_core.cpu()}, {_core.cores()} cores, last-level cache {last_level_cache() >> 20} MiB")
    for peak in peaks:
        print(f"read  {peak.gbs:6.1f} GB/s  {peak.threads} threads, {peak.buffer_bytes >> 20} MiB, {peak.method}")


if __name__ == "__main__":
    main()
