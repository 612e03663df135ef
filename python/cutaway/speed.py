"""How fast a model runs here: prefill and decode, with and without watching, beside llama.cpp, as a share of a peak."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from cutaway import names
from cutaway.errors import ArgumentError, ForwardPassFailed, UnsupportedOperation
from cutaway.model import Model
from cutaway.peer import LlamaCpp
from cutaway.roofline import Peak, measure_peak
from cutaway.session import Session
from cutaway.stages import stage_times

Times = tuple[float, list[float]]  # seconds of the prompt, of each new token


def bytes_per_token(model: Model, past: float) -> dict[str, float]:
    """Bytes that a new token reads: every weight once (of the embedding its row, of experts those that a token goes to)
    and the cache of `past` tokens, or of a window's."""
    whole = {w.tensor for s in model.graph if s.op != "embed" for w in s.weights}
    of_experts = {w.tensor for s in model.graph if s.op.startswith("experts_") for w in s.weights}
    config, weights = model._live().config, 0.0
    for w in model._live().weights():
        ref = w["weight"]
        part = config["experts_used"] / config["experts"] if ref["tensor"] in of_experts else 1.0
        weights += w["bytes"] * (part if ref["tensor"] in whole else 1 / max(1, ref["rows"]))
    c = model.cfg
    row = 2 * c.n_key_value_heads * c.d_head * (2 if model.kv == "f16" else 4)
    cache = float(sum(row * min(past, config["window"] if windowed else past) for windowed in config["windowed"]))
    return {"weights": weights, "cache": cache, "all": weights + cache}


def _ours(model: Model, prompt: np.ndarray, new: np.ndarray, watch: list[str] | None = None) -> Times:
    with Session(model, len(prompt) + len(new)) as session:
        started = time.perf_counter()
        session.forward([prompt], watch=watch)
        prefill, seconds = time.perf_counter() - started, []
        for i in range(len(new)):
            started = time.perf_counter()
            session.forward([new[i : i + 1]], watch=watch)
            seconds.append(time.perf_counter() - started)
    return prefill, seconds


def take_turns(
    sides: dict[str, Callable[[], Any]], runs: int, progress: Callable[[str], None] = lambda text: None
) -> dict[str, list[Any]]:
    """What each side gives in `runs` runs after a warm-up. A busy machine slows all of them.

    Before each the machine is left alone for a moment: llama.cpp's threads wait for more by spinning, up to 0.3 s."""
    taken: dict[str, list[Any]] = {name: [] for name in sides}
    for run in range(runs + 1):
        for name, side in sides.items():
            progress(f"{'warm-up' if not run else f'run {run} of {runs}'}: {name}")
            time.sleep(0.5)
            result = side()
            if run:
                taken[name].append(result)
    return taken


def ratio(ours: list[float], other: list[float]) -> float:
    """The median, over runs that took turns, of our number to the other's of the same turn: what the machine gives may
    change between two turns, and less within one."""
    return statistics.median(a / b for a, b in zip(ours, other, strict=True))


def _result(runs: list[Times], prompt: int, moved: float, peaks: list[Peak]) -> dict[str, Any]:
    prefill = [prompt / seconds for seconds, _ in runs]
    decode = [1 / statistics.median(tokens) for _, tokens in runs]
    gbs = [moved * speed / 1e9 for speed in decode]
    return {
        "prefill_tok_s": statistics.median(prefill),
        "decode_tok_s": statistics.median(decode),
        "prefill_tok_s_runs": prefill,
        "decode_tok_s_runs": decode,
        "gbs": statistics.median(gbs),
        "share": ratio(gbs, [peak.gbs for peak in peaks]),
    }


def _middle(peaks: list[Peak]) -> Peak:
    """Each figure's median."""
    middle = {k: statistics.median(getattr(p, k) for p in peaks) for k in ("gbs", "int8", "float32")}
    return Peak(**(peaks[0].to_dict() | middle))


def measure(
    model: Model,
    *,
    prompt: int = 128,
    new: int = 128,
    runs: int = 5,
    hooks: Any = None,
    peers: bool = True,
    peer_python: str = sys.executable,
    stages: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Medians of `runs` runs after a warm-up; sides take turns, so that a busy machine slows all of them. The machine's
    peaks are measured between them, since what memory gives changes too; ratios and shares are medians over the turns.

    hooks        stages to watch, measured as a side of its own: a name, glob or list
    peers        also run llama.cpp, with and without flash attention; the reason where not is under "peer_absent"
    peer_python  the interpreter that has llama_cpp
    stages       also time each stage's kernels, in runs of their own

    Keys: model, manifest, prompt, new, runs, peak, bytes_per_token, sides[name] (prefill_tok_s, decode_tok_s, both of
    all runs, gbs, share), watched, ratios, peer_features, peer_absent, stages (prefill, decode: rows of StageTime, the
    longest first). Speeds are tokens a second (decode by the median token of a run), gbs 1e9 bytes a second; a stage is
    busy for the share of the threads' time that was spent in its kernel.

    Raises ArgumentError for counts below 1 or beyond n_ctx; UnsupportedOperation for a model on a CUDA device, whose
    memory peak nobody measures yet."""
    if not model.device.startswith("cpu"):
        raise UnsupportedOperation(
            f"bench measures the CPU, and {model.name} is on {model.device}", hint='load it with device="cpu"'
        )
    for name, n in (("prompt", prompt), ("new", new), ("runs", runs)):
        if n < 1:
            raise ArgumentError(f"{name} is {n}, expected at least 1")
    if prompt + new > model.n_ctx:
        raise ArgumentError(
            f"{prompt} + {new} tokens are more than n_ctx {model.n_ctx}", hint="load with a larger n_ctx"
        )
    threads, target = model.manifest()["threads"], model.manifest()["target"]
    rng = np.random.default_rng(0)
    ids = rng.integers(0, model.cfg.d_vocab, prompt + new).astype(np.int32)
    first, rest = ids[:prompt], ids[prompt:]
    sides: dict[str, Callable[[], Any]] = {
        "peak": lambda: measure_peak(threads, target, runs=1),
        "cutaway": lambda: _ours(model, first, rest),
    }
    watched: list[str] = []
    if hooks is not None:
        watched = names.select(model.graph, hooks)
        sides["cutaway, watched"] = lambda: _ours(model, first, rest, watched)
    absent, features = "not asked for", ""
    with ExitStack() as stack:
        if peers:
            progress("starting llama.cpp")
            try:
                other = LlamaCpp(str(model.path), prompt + new, threads, peer_python)
                stack.callback(other.close)
                version, features, absent = f"llama.cpp {other.version}", other.features, ""
                sides[version] = lambda: other.times(first, rest, False)
                sides[f"{version}, flash attention"] = lambda: other.times(first, rest, True)
            except (ForwardPassFailed, OSError) as error:
                absent = str(error)
        taken = take_turns(sides, runs, progress)
    peaks = taken.pop("peak")
    peak = _middle(peaks)
    moved = bytes_per_token(model, prompt + (new - 1) / 2)
    found = {name: _result(t, prompt, moved["all"], peaks) for name, t in taken.items()}
    ours = found["cutaway"]
    ratios = {
        name: {k: ratio(ours[f"{k}_tok_s_runs"], side[f"{k}_tok_s_runs"]) for k in ("prefill", "decode")}
        for name, side in found.items()
        if name != "cutaway"
    }
    if stages:
        progress("timing stages")
    return {
        "model": model.name,
        "manifest": model.manifest(),
        "prompt": prompt,
        "new": new,
        "runs": runs,
        "peak": peak.to_dict(),
        "bytes_per_token": moved,
        "sides": found,
        "watched": watched,
        "ratios": ratios,
        "peer_features": features,
        "peer_absent": absent,
        "stages": {k: [row.to_dict() for row in rows] for k, rows in stage_times(model, first, rest, peak).items()}
        if stages
        else {},
    }
