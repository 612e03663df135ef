"""What decode and prefill lose while other programs keep cores busy: `python benchmarks/stolen.py MODEL [-t 2] [-b 1]`.

Prints tokens per second with one thread and with all, with nothing beside them and with BUSY endless loops; at best all
threads lose as many cores as there are loops, and are never slower than one thread on a core of its own."""

import argparse
import subprocess
import sys
import time

import cutaway as ct
import numpy as np


def speeds(model, ids, seconds):
    """(decode behind 16 tokens, prefill of 128), tokens per second."""
    out = []
    for whole in (False, True):
        tokens, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            with model.session(n_ctx=256) as session:
                session.prefill(ids[: 128 if whole else 16])
                for i in ids[:0] if whole else ids[16:80]:
                    session.decode(i)
            tokens += 128 if whole else 64
        out.append(tokens / (time.perf_counter() - began))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-b", "--busy", type=int, default=1, help="endless loops beside")
    parser.add_argument("-s", "--seconds", type=float, default=2.5, help="of each measurement")
    args = parser.parse_args()
    models = [ct.load(args.model, threads=threads) for threads in (1, args.threads)]
    ids = np.random.default_rng(0).integers(0, models[0].cfg.d_vocab, 128).astype(np.int32)
    print(f"{'busy':>4} {'threads':>7} {'decode':>8} {'prefill':>8}  tok/s")
    for busy in (0, args.busy):
        beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            for model, threads in zip(models, (1, args.threads), strict=True):
                decode, prefill = speeds(model, ids, args.seconds)
                print(f"{busy:>4} {threads:>7} {decode:>8.0f} {prefill:>8.0f}", flush=True)
        finally:
            for program in beside:
                program.kill()
                program.wait()


if __name__ == "__main__":
    main()
