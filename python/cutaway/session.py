"""Session: a batch of sequences in progress, and the text they generate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from cutaway import _core
from cutaway.cache import ActivationCache, Caught, tensor_of
from cutaway.errors import (
    ArgumentError,
    ContextLengthExceeded,
    ModelNotFoundError,
    SessionBusyError,
    SessionClosedError,
    UnsupportedModelError,
)
from cutaway.hooks import Hook, HookRunner
from cutaway.plan import check_call, check_session

if TYPE_CHECKING:
    from cutaway.graph import Graph
    from cutaway.model import Model
    from cutaway.text import Tokenizer


def _about(model: Model) -> tuple[Graph, dict[str, Any], dict[str, str]]:
    """What a cache tells of its model: graph, manifest, names of kernel taps. The model makes each of them once."""
    return model.graph, model.manifest(), model._taps


@dataclass(eq=False)
class Forward:
    """What one call of Session.forward gave. Its cache is made when it is asked for: between two tokens Python's own
    objects have been pushed out of the processor's caches by the weights, and each one made takes microseconds.

    logits    float32 [rows, V]: of each sequence's last token, or of every token, one sequence after the other
    executed  the kernels that ran, with record=True"""

    logits: np.ndarray
    executed: list[dict[str, Any]]
    _core: Any  # the captures
    _model: Model
    _watch: list[str]
    _lengths: list[int]
    _kept: list[int]
    _ids: list[list[int]]

    @cached_property
    def caught(self) -> Caught:
        """The watched tensors by the names that they were asked for."""
        return Caught(self._core, self._watch, self._model.graph, self._lengths, self._kept)

    @cached_property
    def cache(self) -> ActivationCache:
        """The watched tensors, [batch, pos, ..]."""
        graph, manifest, taps = _about(self._model)
        return ActivationCache(self.caught, graph, self._lengths, manifest, taps, self._ids)

    @property
    def captures(self) -> list[dict[str, Any]]:
        """The watched tensors as the core gives them."""
        return self.caught.captures()


class Session:
    """Sequences in progress: their keys and values, and how far they are.

    A call that fails leaves every sequence as it was. One thread at a time; models can be shared, sessions not."""

    def __init__(
        self, model: Model, n_ctx: int | None = None, sequences: int = 1, kv: str | None = None, *, full: bool = True
    ) -> None:
        """full: raises OutOfMemoryError unless all sequences fit in memory at n_ctx tokens; they grow as they run."""
        self.model = model
        self.n_ctx = model.n_ctx if n_ctx is None else n_ctx
        self._core = _core.Session(model._live(), self.n_ctx, kv or model.kv, sequences)
        self.step = 0
        self._watch: list[str] = []  # of the last call, and what it means
        self._taken: list[str] = []
        self._behind = False
        if full:
            check_session(model, self.n_ctx, kv or model.kv, sequences)

    def forward(
        self,
        tokens: Sequence[np.ndarray],
        *,
        watch: list[str] | None = None,
        hooks: list[Hook] | None = None,
        all_rows: bool = False,
        stop_after: str = "",
        check_finite: bool = False,
        chain: bool = False,
        record: bool = False,
        keep: list[list[int]] | None = None,
    ) -> Forward:
        """Runs new tokens: one int32 array per sequence, possibly empty.

        keep: the rows that watched tensors keep of each sequence's tokens, ascending; default all."""
        self.model._live()
        watch = watch or []
        hooks = (hooks or []) + self.model._active.now()
        runner = HookRunner(hooks, self.model.graph, self.model._active, self.step) if hooks else None
        if watch != self._watch:  # asked for again token by token
            self._watch, self._taken = list(watch), list(dict.fromkeys(map(tensor_of, watch)))
            graph, *_ = _about(self.model)  # made here: the model may be closed before the cache is asked for
            self._behind = any(graph.is_behind_layers(name.partition("@")[0]) for name in watch)
        # Behind the last layer only the rows that give logits run, unless all do: a watched stage there wants them all.
        whole = all_rows or self._behind
        out = self._core.forward(
            [np.ascontiguousarray(t, np.int32) for t in tokens],
            self._taken,
            runner.names if runner else [],
            runner,
            whole,
            stop_after,
            check_finite,
            chain,
            record,
            keep or [],
        )
        self.step += 1
        lengths = [len(t) for t in tokens]
        logits = out["logits"]
        if whole and not all_rows and not stop_after:
            logits = logits[[end - 1 for n, end in zip(lengths, np.cumsum(lengths), strict=True) if n]]
        kept = [len(k) for k in keep] if keep else lengths
        ids = [np.asarray(t).tolist() for t in tokens]
        return Forward(logits, out["executed"], out["captures"], self.model, self._watch, lengths, kept, ids)

    def prefill(self, tokens: Any) -> np.ndarray:
        """Runs a prompt; returns the logits of its last token, float32 [B, V]."""
        return self.forward(self.model._token_arrays(tokens)[0]).logits

    def decode(self, ids: int | Sequence[int]) -> np.ndarray:
        """Runs one more token of every sequence; returns float32 [B, V]."""
        ids = [ids] if isinstance(ids, (int, np.integer)) else list(ids)
        return self.forward([self.model._ids([i]) for i in ids]).logits

    def length(self, sequence: int = 0) -> int:
        """Tokens of a sequence so far."""
        return self._core.length(sequence)

    def rewind(self, length: int, sequence: int = 0) -> None:
        """Forgets a sequence's tokens from `length` on."""
        self._core.rewind(sequence, length)

    def fork(self, sequence: int = 0) -> int:
        """Copies a sequence; returns the copy's number."""
        return self._core.fork(sequence)

    def close(self) -> None:
        """Frees the keys and values."""
        self._core.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            lengths = [self.length(i) for i in range(self._core.sequences())]
            mb = self._core.cache_bytes() / 1e6
        except (SessionClosedError, SessionBusyError) as error:
            return f"Session of {self.model.path.name}: {error.message}"
        return (
            f"Session of {self.model.path.name}: {len(lengths)} sequences of {lengths} tokens, "
            f"n_ctx {self.n_ctx}, {mb:.1f} MB"
        )

    def __reduce__(self) -> Any:
        raise TypeError("a session cannot be pickled or copied; fork() copies a sequence")


@dataclass
class Step:
    """One generated token of `stream`."""

    id: int
    text: str  # whole characters that are complete by now; may be empty, may end earlier tokens' characters
    bytes: bytes  # of this token
    logprob: float | None = None
    top: list[tuple[int, float]] = field(default_factory=list)  # the likeliest tokens and their log-probabilities
    stop: str | None = None  # why generation ended with this step: "eos", "stop", "length"
    cache: ActivationCache | None = None  # the captured stages of the tokens that led to this one


@dataclass
class Generation:
    """What `generate` gives."""

    text: str  # generated, up to the stop string
    ids: list[int]  # generated, the end token included
    prompt_ids: list[int]
    stop: str  # "eos", "stop" (a stop string or id), "length"
    logprobs: list[float] | None
    top_logprobs: list[list[tuple[int, float]]] | None
    cache: ActivationCache | None  # rows line up with prompt_ids + ids[:-1]: n_prompt + n_new - 1
    stats: dict[str, float]
    manifest: dict[str, Any] = field(default_factory=dict)  # what it depends on: file, numerics, device, ..

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        speed = f"{self.stats['decode_tokens_per_s']:.0f} tok/s"
        return f"Generation({len(self.ids)} tokens, stop={self.stop!r}, {speed}: {self.text!r})"


def stream(
    model: Model,
    tokens: Any,
    *,
    max_new_tokens: int,
    sampling: dict[str, Any],
    stop: list[str | bytes],
    stop_ids: set[int],
    logprobs: int | None,
    capture: list[str] | None,
    collect: dict[str, Any],
    session: Session | None = None,
) -> Iterator[Step]:
    """The loop behind Model.stream and Model.generate; `collect` takes what Generation needs besides the steps."""
    arrays, _ = model._token_arrays(tokens)
    if session is not None and session.length() >= len(arrays[0]):
        raise ArgumentError(
            f"the session holds {session.length()} tokens and the prompt has {len(arrays[0])}, expected more",
            hint="session.rewind(n) to what the two have in common",
        )
    if len(arrays) != 1:
        raise ArgumentError(f"generation runs one prompt, got {len(arrays)}", hint="call it once per prompt")
    prompt = arrays[0]
    wanted = _core.check_max_tokens(max_new_tokens)
    sampler = _core.Sampler(**sampling)
    if len(prompt) + wanted > model.n_ctx:
        raise ContextLengthExceeded(
            f"{len(prompt)} prompt tokens and {wanted} new ones are {len(prompt) + wanted}, "
            f"and the context holds {model.n_ctx}",
            length=len(prompt) + wanted,
            max=model.n_ctx,
        )
    watch = model._select(capture) if capture is not None else []
    wide = [name for name in watch if -2 in model.graph[name.partition("@")[0]].shape]
    if wide:
        raise ArgumentError(
            f"{wide[0]} has another width at every step, so its rows cannot be joined",
            hint="capture it with run_with_cache",
        )
    # Options that only a row of logits shows to be wrong (an id to bias, a count of logprobs) fail here, not later.
    tokenizer = model.tokenizer if stop else _tokenizer_or_none(model)
    # Rows past the tokenizer's ids are padding.
    vocabulary = min(tokenizer.vocab_size, model.graph.V) if tokenizer else model.graph.V
    blank, history = np.zeros(model.graph.V, np.float32), prompt.tolist()
    sampler.sample(blank, history, position=len(history), valid_vocab=vocabulary, logprobs=logprobs)
    matcher = _core.StopMatcher(stop) if stop else None
    return _steps(
        model, tokenizer, prompt, wanted, sampler, vocabulary, matcher, stop_ids, logprobs, watch, collect, session
    )


def _tokenizer_or_none(model: Model) -> Tokenizer | None:
    """None where the file has none that we read: its ids go on, as ids without text, until they are enough."""
    try:
        return model.tokenizer
    except (ModelNotFoundError, UnsupportedModelError):
        return None


def _steps(
    model: Model,
    tokenizer: Tokenizer | None,
    prompt: np.ndarray,
    wanted: int,
    sampler: Any,
    vocabulary: int,
    matcher: Any,
    stop_ids: set[int],
    logprobs: int | None,
    watch: list[str],
    collect: dict[str, Any],
    used: Session | None,
) -> Iterator[Step]:
    pieces, text = tokenizer and _core.PieceStream(tokenizer._core, False, False), _core.Utf8Stream()
    ends = set(tokenizer.end_ids) if tokenizer else set()
    history = prompt.tolist()
    collect.update(prompt_ids=prompt.tolist(), started=perf_counter())
    if used is None:
        check_call(model, [len(prompt) + wanted], model.kv, rows=1)
    n_ctx = model._room(len(prompt) + wanted)
    with Session(model, n_ctx, full=False) if used is None else contextlib.nullcontext(used) as session:
        new = prompt[session.length() :]
        collect["prefilled"] = len(new)
        for position in range(wanted):
            out = session.forward([new], watch=watch)
            if position == 0:
                collect["prefill_s"] = perf_counter() - collect["started"]
            id_, logprob, top = sampler.sample(
                out.logits[-1], history, position=len(history), valid_vocab=vocabulary, logprobs=logprobs
            )
            history.append(id_)
            raw = pieces.push(id_) if pieces else b""
            reason = (
                "stop" if id_ in stop_ids else "eos" if id_ in ends else "length" if position + 1 == wanted else None
            )
            shown = b"" if reason in ("eos", "stop") else raw
            if matcher:
                shown = matcher.push(shown)
                if matcher.matched >= 0:
                    reason = "stop"
                elif reason:
                    shown += matcher.flush()
            words = text.push(shown) + (text.flush() if reason else "")
            yield Step(id_, words, raw, logprob, top, reason, out.cache if watch else None)
            if reason:
                break
            new = np.array([id_], np.int32)
    collect["total_s"] = perf_counter() - collect["started"]


def finish(model: Model, steps: list[Step], collect: dict[str, Any], logprobs: int | None, capture: Any) -> Generation:
    """The steps of a stream and what it collected, as one Generation."""
    parts = [s.cache for s in steps if s.cache is not None]
    arrays = {n: np.concatenate([p[n] for p in parts], axis=1) for n in (parts[0] if parts else ())}
    total, prefill = collect["total_s"], collect["prefill_s"] if steps else 0.0
    later = len(steps) - 1
    stats = {
        "prompt_tokens": len(collect["prompt_ids"]),
        "new_tokens": len(steps),
        "prefill_s": prefill,
        "decode_s": total - prefill,
        "prefill_tokens_per_s": collect["prefilled"] / prefill if prefill else 0.0,
        "decode_tokens_per_s": later / (total - prefill) if later > 0 else 0.0,
    }
    length = collect["prefilled"] + max(later, 0)
    ids = [(collect["prompt_ids"] + [s.id for s in steps])[-length - 1 : -1]] if steps else [[]]
    cache = ActivationCache(arrays, model.graph, [length], model.manifest(), model._taps, ids)
    return Generation(
        text="".join(s.text for s in steps),
        ids=[s.id for s in steps],
        prompt_ids=collect["prompt_ids"],
        stop=(steps[-1].stop or "length") if steps else "length",
        logprobs=[s.logprob for s in steps] if logprobs is not None else None,  # type: ignore[misc]
        top_logprobs=[s.top for s in steps] if logprobs is not None else None,
        cache=cache if capture is not None else None,
        stats=stats,
        manifest=model.manifest(),
    )
