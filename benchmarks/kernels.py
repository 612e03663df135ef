"""One product kernel alone, through ops: `python benchmarks/kernels.py matmul -f q4_1 q8_0 -s 1536x576 -t 1 128`.

For each format, shape N x K and number of tokens T: nanoseconds per (16 rows x 32 columns, token) of one core, GOP/s
(two operations per weight and token), GB/s of packed weights, and the shares of --gops and --gbs, this machine's
peaks per core as measured elsewhere. With T = 1 the weight is at least --stream bytes, more than any cache holds.
"""

import argparse
import os
import sys
import time

import numpy as np
from cutaway import _core, ops
from cutaway.kernels.formats import format as formats
from cutaway.plan import packed_bytes

# Large pages for weights, as the engine has them, and outputs in memory that was used before.
TUNABLES = ":".join(
    f"glibc.malloc.{name}" for name in ("hugetlb=1", "mmap_threshold=4294967296", "trim_threshold=17179869184")
)
Q8_FORMATS = "q4_0 q4_1 q5_0 q5_1 q8_0 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs mxfp4"


def raw_rows(name, N, K, rng):
    """Random stored rows with scales near 2^-7: speed must not depend on infinities."""
    f = formats.module(name)
    if f.BLOCK == 1:
        return formats.pack(name, rng.standard_normal((N, K)).astype(np.float32))
    some = f.pack(rng.standard_normal((64, K)).astype(np.float32) * np.float32(0.1))
    return np.ascontiguousarray(np.tile(some, (-(-N // 64), 1))[:N])


def times(op, reads, weights, target, threads, seconds):
    """The fastest of the runs that fit into `seconds`, and their median."""
    out = []
    started = time.perf_counter()
    while len(out) < 3 or (time.perf_counter() - started < seconds and len(out) < 1000):
        begin = time.perf_counter()
        _core.run_op(op, reads, weights, {}, target, threads)
        out.append(time.perf_counter() - begin)
    return min(out), float(np.median(out))


def measure(op, name, N, K, T, args, rng):
    stored = {f["name"]: f for f in _core.formats()}[name]
    matrices = 2 if op == "gated_matmul" else 1
    experts = op == "experts_matmul"
    if T == 1 and not experts:  # longer than the caches; rows are independent
        N *= max(1, round(args.stream / (matrices * packed_bytes(stored, [N, K]))))
    raw = raw_rows(name, N, K, rng)
    if experts:
        raw = np.broadcast_to(raw, (args.experts, *raw.shape)).copy()
    weights = [_core.pack_weight(name, raw, K) for _ in range(matrices)]
    x = rng.standard_normal((T, K)).astype(np.float32)
    if formats.module(name).BLOCK > 1 and not args.exact:
        x = ops.quantize_q8(x)
    reads, A = [x], 1
    if experts:
        A = args.active
        reads.append(np.argsort(rng.random((T, args.experts)), axis=-1)[:, :A].astype(np.int32))
        weights.append(None)
    elif op == "matmul":
        weights.append(None)
    best, median = times(op, reads, weights, args.target, args.threads, args.seconds)
    used = len(np.unique(reads[1])) if experts else matrices
    nbytes = used * packed_bytes(stored, [N, K])
    blocks = matrices * A * T * (-(-N // 16)) * (K / 32)
    ns, gops = best * 1e9 * args.threads / blocks, 2e-9 * matrices * A * T * N * K / best
    print(
        f"{op:14} {name:6} {N:7} x {K:5}  T {T:4}  {best * 1e6:10.1f} us (median {median * 1e6:10.1f})  {ns:6.2f} ns  "
        f"{gops:7.1f} GOP/s {100 * gops / (args.gops * args.threads):4.0f} %  "
        f"{nbytes / best / 1e9:6.1f} GB/s {100 * nbytes / best / 1e9 / (args.gbs * args.threads):4.0f} %  "
        f"{8 * packed_bytes(stored, [16, K]) / (16 * K):5.2f} bits",
        flush=True,
    )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("op", choices=("matmul", "gated_matmul", "experts_matmul"))
    p.add_argument("-f", "--formats", nargs="+", default=Q8_FORMATS.split())
    p.add_argument("-s", "--shapes", nargs="+", default=["1536x576"], help="N x K")
    p.add_argument("-t", "--tokens", nargs="+", type=int, default=[1, 128])
    p.add_argument("--target", default="")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--exact", action="store_true", help="float activations")
    p.add_argument("--experts", type=int, default=32)
    p.add_argument("--active", type=int, default=4)
    p.add_argument("--seconds", type=float, default=0.5)
    p.add_argument("--stream", type=float, default=64e6)
    p.add_argument("--gops", type=float, default=470.0, help="integer peak of one core")
    p.add_argument("--gbs", type=float, default=31.0, help="memory peak of one core")
    args = p.parse_args()
    if "GLIBC_TUNABLES" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "GLIBC_TUNABLES": TUNABLES})
    rng = np.random.default_rng(0)
    for name in args.formats:
        for shape in args.shapes:
            N, K = map(int, shape.split("x"))
            if K % formats.module(name).BLOCK:
                continue
            for T in args.tokens:
                measure(args.op, name, N, K, T, args, rng)


if __name__ == "__main__":
    main()
