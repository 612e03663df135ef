"""Every row of README's table of speeds: ours and its peer taking turns on one file, medians, the first run dropped.
The ratio is the median over the turns, as what the machine gives may change between two of them.

    python benchmarks/report.py [--only WORDS] [--runs 5] [--shapes DIR] [--gemma FILE]
                                [--peer PYTHON] [--peer-avx2 PYTHON] [--transformer-lens PYTHON]

Each PYTHON is an interpreter that has the peer: llama_cpp, llama_cpp for AVX2, transformer_lens: `make bench-peers`
makes them. Rows whose peer or file is missing stay as they were. What was measured goes to benchmarks/results.csv,
of which README's table is made, and with every run to benchmarks/results.json, which is not committed."""

from __future__ import annotations

import argparse
import csv
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import cutaway as ct
import numpy as np
from cutaway import _core
from cutaway.loading import find
from cutaway.peer import WORKER, Worker
from cutaway.speed import measure, ratio, take_turns

sys.path.insert(0, str(Path(__file__).parent))
import shapes

HERE = Path(__file__).parent
RESULTS, EVERYTHING, README = HERE / "results.csv", HERE / "results.json", HERE.parent / "README.md"
BEGIN, END = "<!-- speeds: made by benchmarks/report.py -->\n", "<!-- end of speeds -->\n"
WATCHED = "blocks.*.resid_post"


@dataclass
class Row:
    """One measured line."""

    work: str
    unit: str
    ours: float
    peer: float
    ratio: float  # above 1: ours is better; the median over the turns
    asked: str  # what we mean to reach
    share: float  # of the machine's peak; 0: not one that has a peak
    gbs: float  # bytes that the weights and the cache give, 1e9 a second; 0 as well
    against: str
    spread: float  # of a side's runs: largest over smallest, the worse of both
    machine: str
    day: str
    commit: str

    def cells(self) -> list[str]:
        """Of README's table."""
        share = f"{100 * self.share:.0f} %" if self.share else ""
        share += f" of {self.gbs / self.share:.0f} GB/s" if self.gbs else ""
        return [self.work, self.unit, number(self.ours), number(self.peer), f"{self.ratio:.2f}", self.asked, share]


def number(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.3g}"


def commit() -> str:
    """Of what is measured, with a + where the code is not as committed; the version where there is no git."""
    git = lambda *words: subprocess.run(
        ["git", "-C", str(HERE.parent), *words], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        return git("rev-parse", "--short", "HEAD") + "+" * bool(git("status", "--short", "csrc", "kernels", "python"))
    except (OSError, subprocess.CalledProcessError):
        return ct.__version__


# --- the work ---------------------------------------------------------------------------------------------------------


@dataclass
class Work:
    """A file, a prompt and new tokens; what is asked of prefill and of decode."""

    name: str
    file: str
    prefill: str
    decode: str
    prompt: int = 128
    new: int = 32
    target: str = ""
    watch: str = ""  # what is asked of decoding while watched

    @property
    def title(self) -> str:
        return f"{self.name}, {self.prompt} + {self.new}"


SPEEDS = [
    Work("SmolLM2 Q4_1", "smollm2", "4", "2", watch="0.97"),
    Work("SmolLM2 Q4_1", "smollm2", "4", "", prompt=512, new=1),
    Work("SmolLM2 Q4_1, both AVX2", "smollm2", "1", "1", target="avx2"),
    Work("qwen2.5-0.5b shape, Q8_0", "qwen2.5-0.5b-q8_0", "2", "1.3"),
    Work("qwen2.5-0.5b shape, Q4_K_M", "qwen2.5-0.5b-q4_k_m", "2", "1.3"),
    Work("Gemma-3-270m Q4_K_M", "gemma3-270m", "1.5", "1.3"),
    Work("gpt2-124m shape, F16", "gpt2-124m-f16", "1.2", "1.2"),
    Work("tiny gpt-oss shape, MXFP4", "tiny-moe-mxfp4", "2", "1.3"),
    Work("mid gpt-oss shape, MXFP4", "mid-moe-mxfp4", "2", "1.3"),
]


class Report:
    """What is measured, row by row."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.rows, self.all = args, [], {}
        self.commit = commit()
        self.machine = f"{_core.cores()} cores of {_core.cpu()} ({_core.targets()[0]})"

    def add(
        self, work: str, unit: str, ours: list[float], peer: list[float], asked: str, against: str,
        share: float = 0.0, gbs: float = 0.0,
    ) -> None:  # fmt: skip
        """A row from each side's runs, in the order of their turns."""
        more_is_better = unit != "s" and unit != "MB"
        row = Row(
            work, unit, statistics.median(ours), statistics.median(peer),
            ratio(ours, peer) if more_is_better else ratio(peer, ours), asked, share, gbs, against,
            spread=max(max(runs) / min(runs) for runs in (ours, peer)),
            machine=self.machine, day=date.today().isoformat(), commit=self.commit,
        )  # fmt: skip
        self.rows.append(row)
        print("  ".join([*row.cells(), f"spread {row.spread:.2f}", against]), flush=True)

    def path(self, file: str) -> str:
        if file in shapes.SHAPES:
            return str(shapes.make(file, self.args.shapes))
        return str(self.args.gemma) if file == "gemma3-270m" and self.args.gemma else find(file)

    def speed(self, work: Work) -> None:
        model = ct.load(self.path(work.file), target=work.target, n_ctx=work.prompt + work.new)
        python = self.args.peer_avx2 if work.target == "avx2" else self.args.peer
        found = measure(
            model, prompt=work.prompt, new=work.new, runs=self.args.runs, hooks=WATCHED if work.watch else None,
            peer_python=python,
        )  # fmt: skip
        self.all[work.title] = found
        peers = {n: s for n, s in found["sides"].items() if n.startswith("llama.cpp")}
        if not peers:
            print(f"{work.name}: {found['peer_absent']}", flush=True)
            return
        ours = found["sides"]["cutaway"]
        floor = sum(r["floor"] for r in found["stages"]["prefill"]) * max(1, work.prompt / 256)
        share = {"decode": ours["share"], "prefill": floor * ours["prefill_tok_s"] / work.prompt}
        for kind, asked in (("decode", work.decode), ("prefill", work.prefill)):
            if not asked:
                continue
            best = max(peers, key=lambda n: peers[n][f"{kind}_tok_s"])
            runs = f"{kind}_tok_s_runs"
            self.add(
                f"{work.name}: {kind} {work.prompt if kind == 'prefill' else ''}".strip(), "tok/s", ours[runs],
                peers[best][runs], asked, best, share[kind], ours["gbs"] if kind == "decode" else 0.0,
            )  # fmt: skip
        if work.watch:
            side = found["sides"]["cutaway, watched"]
            self.add(
                f"{work.name}: decode, {WATCHED} captured", "tok/s", side["decode_tok_s_runs"],
                ours["decode_tok_s_runs"], work.watch, "cutaway, unwatched", side["share"], side["gbs"],
            )  # fmt: skip

    def caching(self, stored: str) -> None:
        """run_with_cache of every residual over 128 tokens, beside TransformerLens with the same shape in float32.

        Both give every token's logits: a third of the operations."""
        model = ct.load(self.path(f"gpt2-124m-{stored.lower()}"))
        ids = np.random.default_rng(0).integers(0, model.cfg.d_vocab, 128).astype(np.int32)
        script = HERE / "transformer_lens_worker.py"
        other = Worker(self.args.transformer_lens, script, str(model.manifest()["threads"]))
        version = other.ask()["version"]

        def ours() -> float:
            started = time.perf_counter()
            logits, cache = model.run_with_cache(ids, "blocks.*.resid_*")
            assert logits is not None and sum(len(cache[name]) for name in cache) == 3 * model.cfg.n_layers
            return time.perf_counter() - started

        def theirs() -> float:
            answer = other.ask(ids=ids.tolist())
            assert answer["kept"] == 3 * model.cfg.n_layers and answer["logits"] == [1, 128, model.cfg.d_vocab]
            return answer["seconds"]

        taken = take_turns({"ours": ours, "theirs": theirs}, self.args.runs)
        other.close()
        self.all[f"caching {stored}"] = taken
        a, b = ([128 / seconds for seconds in taken[k]] for k in ("ours", "theirs"))
        self.add(f"gpt2-124m shape, {stored}: run_with_cache of every residual, 128", "tok/s", a, b, "5",
                 f"TransformerLens {version}, float32")  # fmt: skip

    def loading(self) -> None:
        """From the path to the first token's logits in a fresh process, and the most memory it took. The file is in
        the system's cache for both."""
        path, ids = self.path("smollm2"), [504, 3575, 282, 4649, 314]
        threads = _core.cores()

        def ours() -> dict[str, Any]:
            run = [sys.executable, str(HERE / "cold.py"), path, *map(str, ids)]
            return json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

        def theirs() -> dict[str, Any]:
            other = Worker(self.args.peer, WORKER)
            try:
                return other.ask(load=path, n_ctx=256, threads=threads, first=ids)
            finally:
                other.close()

        taken = take_turns({"ours": ours, "theirs": theirs}, self.args.runs)
        self.all["loading"] = taken
        against = f"llama.cpp {taken['theirs'][0]['version']}"
        seconds = ([r["seconds"] for r in taken[side]] for side in ("ours", "theirs"))
        self.add("SmolLM2 Q4_1: load to first token", "s", *seconds, "under 0.4 s", against)
        limit, most = os.path.getsize(path) * 1.1 + 64 * 2**20, "SmolLM2 Q4_1: load, most memory"
        megabytes = ([r["peak"] / 1e6 for r in taken[side]] for side in ("ours", "theirs"))
        self.add(most, "MB", *megabytes, f"at most {limit / 1e6:.0f} MB", against)


# --- results, and README's table --------------------------------------------------------------------------------------


def read_results() -> list[Row]:
    """The rows of results.csv."""
    if not RESULTS.exists():
        return []
    kinds = {f.name: float if f.type == "float" else str for f in fields(Row)}
    with RESULTS.open(newline="", encoding="utf-8") as file:
        return [Row(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(file)]


def write_results(new: list[Row]) -> list[Row]:
    """All rows: the new ones in the place of those of the same work, if these are of the same machine."""
    by_work = {row.work: row for row in read_results() if all(row.machine == n.machine for n in new)}
    by_work |= {row.work: row for row in new}
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        out.writeheader()
        for row in by_work.values():
            out.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    return read_results()


def table(rows: list[Row]) -> str:
    """README's part: the machine and the rows."""
    days = sorted({row.day for row in rows})
    peers = sorted({row.against.partition(",")[0] for row in rows if not row.against.startswith("cutaway")})
    lines = [
        f"On {rows[0].machine}, {' to '.join(dict.fromkeys([days[0], days[-1]]))}, beside {' and '.join(peers)}:",
        "",
        "| work | | cutaway | beside it | ratio | asked | of peak |",
        "|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def update_readme(rows: list[Row]) -> None:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    README.write_text(before + BEGIN + table(rows) + END + rest.split(END)[1], encoding="utf-8")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--only", default="", metavar="WORDS", help='only work with these words, "SmolLM2 Q4_1, 128"')
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--shapes", type=Path, default=shapes.FOLDER, help="where the random models are, or are written")
    p.add_argument("--gemma", type=Path, help="the file; default the package's")
    p.add_argument("--peer", default=sys.executable)
    p.add_argument("--peer-avx2", default="")
    p.add_argument("--transformer-lens", default="")
    args, _ = p.parse_known_args()  # `make bench ARGS=..` gives every script the same words
    report = Report(args)
    todo = [
        (work.title, functools.partial(report.speed, work))
        for work in SPEEDS
        if work.target != "avx2" or args.peer_avx2
    ]
    for stored in ("F16", "Q8_0") if args.transformer_lens else ():
        todo.append((f"gpt2-124m shape, {stored}: run_with_cache", functools.partial(report.caching, stored)))
    todo += [("SmolLM2 Q4_1: load", report.loading)]
    for title, measuring in todo:
        if args.only not in title:
            continue
        try:
            measuring()
        except (ct.errors.ModelNotFoundError, ct.errors.ForwardPassFailed) as error:
            print(f"{title}: {error}", flush=True)
        if report.rows:
            EVERYTHING.write_text(json.dumps(report.all, indent=1))
            update_readme(write_results(report.rows))


if __name__ == "__main__":
    main()
