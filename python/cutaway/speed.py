"""How fast a model runs here: prefill and decode, with and without watching, beside llama.cpp, as a share of a peak."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cutaway import names
from cutaway.errors import ArgumentError, ForwardPassFailed, UnsupportedOperation
from cutaway.model import Model
from cutaway.roofline import Peak, read_bandwidth
from cutaway.session import Session

Times = tuple[float, list[float]]  # seconds of the prompt, of each new token


def bytes_per_token(model: Model, past: float) -> dict[str, float]:
    """Bytes that a new token reads: every weight once (of the embedding its row) and the cache of `past` tokens."""
    whole = {w.tensor for s in model.graph if s.op != "embed" for w in s.weights}
    weights = 0.0
    for w in model._live().weights():
        ref = w["weight"]
        weights += w["bytes"] if ref["tensor"] in whole else w["bytes"] / max(1, ref["rows"])
    c = model.cfg
    row = 2 * c.n_layers * c.n_key_value_heads * c.d_head * (2 if model.kv == "f16" else 4)
    return {"weights": weights, "cache": row * past, "all": weights + row * past}


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


class LlamaCpp:
    """The same file in llama.cpp (package llama-cpp-python), by its C calls, so that Python's share is like ours."""

    def __init__(self, path: str, n_ctx: int, threads: int) -> None:
        import llama_cpp

        self.lib: Any = llama_cpp
        self.version: str = llama_cpp.__version__
        self.llm = llama_cpp.Llama(
            path, n_ctx=n_ctx, n_threads=threads, n_threads_batch=threads, n_gpu_layers=0, verbose=False
        )

    def _decode(self, ids: np.ndarray) -> None:
        tokens = (self.lib.llama_token * len(ids))(*ids.tolist())
        if code := self.lib.llama_decode(self.llm.ctx, self.lib.llama_batch_get_one(tokens, len(ids))):
            raise ForwardPassFailed(f"llama_decode returned {code} for {len(ids)} tokens")
        self.lib.llama_get_logits(self.llm.ctx)  # waits for them

    def times(self, prompt: np.ndarray, new: np.ndarray) -> Times:
        """One run from an empty cache: int32 ids [T] of the prompt at once, then those of `new` one by one."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.llm.ctx), True)
        started = time.perf_counter()
        for at in range(0, len(prompt), 512):  # its n_batch
            self._decode(prompt[at : at + 512])
        prefill, seconds = time.perf_counter() - started, []
        for i in range(len(new)):
            started = time.perf_counter()
            self._decode(new[i : i + 1])
            seconds.append(time.perf_counter() - started)
        return prefill, seconds


def _result(runs: list[Times], prompt: int, moved: float, peak: Peak) -> dict[str, Any]:
    prefill = statistics.median(t[0] for t in runs)
    token = statistics.median(sum(t[1]) / len(t[1]) for t in runs)
    speeds = [len(t[1]) / sum(t[1]) for t in runs]
    return {
        "prefill_tok_s": prompt / prefill,
        "decode_tok_s": 1 / token,
        "decode_tok_s_runs": speeds,
        "gbs": moved / token / 1e9,
        "share": moved / token / 1e9 / peak.gbs,
    }


def measure(
    model: Model,
    *,
    prompt: int = 128,
    new: int = 128,
    runs: int = 5,
    hooks: Any = None,
    peers: bool = True,
    peak: Peak | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Medians of `runs` runs after a warm-up; sides take turns, so that a busy machine slows all of them.

    hooks  stages to watch, measured as a side of its own: a name, glob or list
    peers  also run llama.cpp where llama_cpp can be imported; the reason where not is under "peer_absent"

    Keys: model, manifest, prompt, new, runs, peak, bytes_per_token, sides[name] (prefill_tok_s, decode_tok_s,
    decode_tok_s_runs, gbs, share), watched, ratios, peer_absent. Speeds are tokens a second, gbs 1e9 bytes a second.

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
    threads = model.manifest()["threads"]
    progress("measuring the memory peak")
    peak = peak or read_bandwidth(threads)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, model.cfg.d_vocab, prompt + new).astype(np.int32)
    first, rest = ids[:prompt], ids[prompt:]
    sides: dict[str, Callable[[], Times]] = {"cutaway": lambda: _ours(model, first, rest)}
    watched: list[str] = []
    if hooks is not None:
        watched = names.select(model.graph, hooks)
        sides["cutaway, watched"] = lambda: _ours(model, first, rest, watched)
    absent = "not asked for"
    if peers:
        try:
            other = LlamaCpp(str(model.path), prompt + new, threads)
            sides[f"llama.cpp ({other.version})"] = lambda: other.times(first, rest)
            absent = ""
        except (ImportError, ValueError, OSError, AttributeError) as error:
            absent = f"{type(error).__name__}: {error}"
    taken: dict[str, list[Times]] = {name: [] for name in sides}
    for run in range(runs + 1):
        for name, side in sides.items():
            progress(f"{'warm-up' if not run else f'run {run} of {runs}'}: {name}")
            times = side()
            if run:
                taken[name].append(times)
    moved = bytes_per_token(model, prompt + (new - 1) / 2)
    found = {name: _result(t, prompt, moved["all"], peak) for name, t in taken.items()}
    ours = found["cutaway"]
    ratios = {
        name: {k: ours[f"{k}_tok_s"] / side[f"{k}_tok_s"] for k in ("prefill", "decode")}
        for name, side in found.items()
        if name != "cutaway"
    }
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
        "peer_absent": absent,
    }
