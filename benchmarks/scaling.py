"""What more threads give beside what they give to this machine's peaks: `python benchmarks/scaling.py MODEL [-t 16]`.

In turns, with one thread and with THREADS: the int8 peak and the bandwidth (kernels/peaks_cpu.cpp), prefill of 128 and
of 512 tokens, decode behind 128. Prints the medians, their ratios, and each ratio's share of the peak's own: threads
that share cores, with each other or with strangers, gain less than their number, and so does any program."""

import argparse
import json
import statistics
import time

import cutaway as ct
import numpy as np
from cutaway.roofline import measure_peak

ROWS = {
    "int8 peak": "GOP/s", "bandwidth": "GB/s", "prefill 128": "tok/s", "prefill 512": "tok/s", "decode": "tok/s",
}  # fmt: skip


def prefill(model, ids):
    with model.session(n_ctx=len(ids)) as session:
        started = time.perf_counter()
        session.prefill(ids)
        return len(ids) / (time.perf_counter() - started)


def decode(model, ids):
    seconds = []
    with model.session(n_ctx=len(ids)) as session:
        session.prefill(ids[:-32])
        for i in ids[-32:]:
            started = time.perf_counter()
            session.decode(i)
            seconds.append(time.perf_counter() - started)
    return 1 / statistics.median(seconds)


def measure(model, ids, threads):
    """The numbers of ROWS once; the first prompts of each length warm up."""
    peak = measure_peak(threads, runs=2)
    out = {"int8 peak": peak.int8 / 1e9, "bandwidth": peak.gbs}
    for tokens in (128, 512):
        out[f"prefill {tokens}"] = statistics.median([prefill(model, ids[:tokens]) for _ in range(4)][1:])
    return out | {"decode": decode(model, ids[:160])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-t", "--threads", type=int, default=16)
    parser.add_argument("-r", "--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="every number instead of the table")
    args = parser.parse_args()
    models = {threads: ct.load(args.model, threads=threads) for threads in (1, args.threads)}
    ids = np.random.default_rng(0).integers(0, models[1].cfg.d_vocab, 512).astype(np.int32)
    runs = [{threads: measure(model, ids, threads) for threads, model in models.items()} for _ in range(args.runs)]
    if args.json:
        print(json.dumps(runs))
        return
    print(f"{args.model}, {args.runs} runs in turns, medians")
    print(f"{'':<12} {'1 thread':>10} {args.threads:>4} threads {'ratio':>7}  of the peak's")
    gained = {}
    for row, unit in ROWS.items():
        one, all_ = (statistics.median(run[threads][row] for run in runs) for threads in models)
        gained[row] = statistics.median(run[args.threads][row] / run[1][row] for run in runs)
        bound = "bandwidth" if row == "decode" else "int8 peak"
        share = f"{gained[row] / gained[bound]:>8.0%} ({bound})" if row not in ("int8 peak", "bandwidth") else ""
        print(f"{row:<12} {one:>10.1f} {all_:>12.1f} {gained[row]:>7.2f}  {share}  {unit}")


if __name__ == "__main__":
    main()
