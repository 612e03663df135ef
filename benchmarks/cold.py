"""A model's first token in a fresh process: `python benchmarks/cold.py MODEL ID...` prints JSON, for report.py.

seconds: from the path to the first token's logits, without importing; peak: most bytes resident, with Python."""

import json
import sys
import time

import cutaway as ct
import numpy as np


def resident(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(key))


if __name__ == "__main__":
    imported = resident("VmRSS")
    started = time.perf_counter()
    model = ct.load(sys.argv[1])
    loaded = time.perf_counter()
    with model.session(n_ctx=256) as session:
        session.prefill(np.array(sys.argv[2:], np.int32))
    seconds = time.perf_counter() - started
    out = {"seconds": seconds, "load": loaded - started, "imported": imported, "peak": resident("VmHWM")}
    print(json.dumps(out))
