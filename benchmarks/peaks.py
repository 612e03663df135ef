"""This machine's measured peaks: `python benchmarks/peaks.py [--json] [--threads N]`."""

import argparse
import json

from cutaway import _core
from cutaway.roofline import last_level_cache, measure_peak


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--json", action="store_true")
    p.add_argument("--threads", type=int, default=0)
    args, _ = p.parse_known_args()  # `make bench ARGS=..` gives every script the same words
    counts = [args.threads] if args.threads else sorted({1, _core.cores()})
    peaks = [measure_peak(n, target) for target in _core.targets() for n in counts]
    if args.json:
        print(json.dumps({"cpu": _core.cpu(), "cores": _core.cores(), "peaks": [peak.to_dict() for peak in peaks]}))
        return
    print(f"{_core.cpu()}, {_core.cores()} cores, last-level cache {last_level_cache() >> 20} MiB")
    print(f"{'target':12} threads  read GB/s  int8 GOP/s  float32 GFLOP/s")
    for p in peaks:
        print(f"{p.target:12} {p.threads:7}  {p.gbs:9.1f}  {p.int8 / 1e9:10.1f}  {p.float32 / 1e9:15.1f}")


if __name__ == "__main__":
    main()
