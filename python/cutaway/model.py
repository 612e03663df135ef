"""Model: a file made ready to run, to be watched and to be changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cutaway import _core, edit, names
from cutaway import session as generation
from cutaway.cache import ActivationCache, refuse_over, rows_at, until
from cutaway.config import Config
from cutaway.errors import ArgumentError, ModelNotLoaded
from cutaway.graph import Graph, Kernels, kernel_of, taps_of
from cutaway.hooks import ActiveHooks, Hook, HookFunction, check_fired, made_hooks
from cutaway.inspect import Metadata
from cutaway.names import Names
from cutaway.plan import check_call
from cutaway.session import Forward, Generation, Session, Step
from cutaway.sizes import bytes_of
from cutaway.text import Tokenizer, Tokens, token_ids

if TYPE_CHECKING:
    from cutaway.report import Report

TokensLike = Any  # text, ids, an array of ids, Tokens, or a list of these: one per sequence


class Model:
    """A loaded model. Made by `ct.load`; immutable and shared by threads, except for the hooks a thread has set.

    Shapes, all float32: logits [batch, pos, vocab]; stages [batch, pos, ..]; scores and pattern [batch, head, query,
    key]."""

    def __init__(self, core: Any, file: Any, *, n_ctx: int, kv: str, options: dict[str, Any]) -> None:
        self._core, self.file, self.n_ctx, self.kv = core, file, n_ctx, kv
        self._options = options
        self.path = Path(file.folder or file.parts[0])
        self._active = ActiveHooks()
        self._manifest: dict[str, Any] | None = None

    # --- what it is ---------------------------------------------------------------------------------------------------

    def _live(self) -> Any:
        if self._core is None:
            raise ModelNotLoaded(f"{self.path.name} was closed")
        return self._core

    @property
    def name(self) -> str:
        return self.cfg.name or self.path.name

    @cached_property
    def cfg(self) -> Config:
        return Config(self._live().config, Metadata(self.file))

    @cached_property
    def graph(self) -> Graph:
        """The model as a list of stages. Copy it to edit it; `with_graph` runs the copy."""
        return Graph(self._live().graph)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer(self.file)

    tokenizer_kind = property(lambda self: self.tokenizer.kind, doc="gguf-bpe, gguf-spm, hf-json: see Tokenizer.kind.")

    @property
    def numerics(self) -> str:
        """ "fast": activations are rounded to 8 bits where the weights have codes. "exact": they stay float32."""
        return "exact" if self._live().exact else "fast"

    @property
    def device(self) -> str:
        return self._live().backend

    def with_graph(self, graph: Graph) -> Model:
        """The same file and weights run as `graph` says. Raises ArgumentError where it does not hold together."""
        core = self._live().with_graph(graph.to_dict())
        return Model(core, self.file, n_ctx=self.n_ctx, kv=self.kv, options=self._options)

    def stages(self, kernel_taps: bool = False) -> list[str]:
        """Every stage's name in order; with kernel_taps also what kernels hold below a stage ("..@act_q8")."""
        if not kernel_taps:
            return [s.name for s in self.graph]
        steps = self._live().steps()
        return [n for s in steps for n in (s["covers"] or [s["stage"], s["stage"].replace("@act_q8", "@act_scale")])]

    @cached_property
    def _taps(self) -> dict[str, str]:
        """Every name of a kernel tap and the tap: its own, and those of the products that read it."""
        return taps_of(self._live().steps(), self.graph)

    def _select(self, names_filter: Any) -> list[str]:
        """The stages and kernel taps that a filter means."""
        return names.select(self.graph, names_filter, self._taps)

    def kernels(self, names_filter: Any = None) -> Kernels:
        """What runs for each token when nobody watches, in order: the kernel, the stages it fuses, what it reads.

        names_filter: only what writes these stages; as in run_with_cache.

        >>> import cutaway as ct
        >>> for k in ct.load("tiny:llama").kernels("blocks.0.ln1.*"):
        ...     print(k.name.split("/")[0], k.stages)
        rms_norm ['blocks.0.ln1.scale', 'blocks.0.ln1.normalized', 'blocks.0.ln1.out']
        """
        wanted = None if names_filter is None else set(self._select(names_filter))
        made = map(kernel_of, self._live().steps())
        return Kernels(k for k in made if wanted is None or wanted & {k.writes.partition("@")[0], *k.stages})

    def names(self, key: Any) -> Names:
        """What other tools call the stage that `key` means: m.names("blocks.3.attn.q"). names.table() lists all."""
        return names.of(self.graph, key)

    def manifest(self) -> dict[str, Any]:
        """What a result depends on: file, numerics, device, threads, version."""
        if self._manifest is None:  # nothing in it changes, and every pass has one
            self._manifest = {
                "file": self.path.name,
                "bytes": self.file.bytes,
                "arch": self.cfg.arch,
                "numerics": self.numerics,
                "kv": self.kv,
                "device": self.device,
                **self._options,
                "version": _core.__version__,
            }
        return dict(self._manifest)

    def weight(self, name: Any, rows: slice | None = None) -> np.ndarray:
        """A weight as float32, unpacked from the file, by a tensor's name or that of the stage that uses it.

        >>> import cutaway as ct
        >>> m = ct.load("tiny:llama")
        >>> m.weight("blk.0.attn_q.weight").shape, m.weight("blocks.0.attn.q").shape, m.weight(("q", 0)).shape
        ((64, 64), (64, 64), (64, 64))
        """
        from cutaway.reference.weights import FileWeights

        files = FileWeights(self.file, self.graph.constants)
        if name in files.info:
            values = files.tensor(name)
        else:
            stage = self.graph[names.resolve_one(self.graph, name)]
            if not stage.weights:
                hint = "print(model.graph) shows which stages have weights, and the tensors' names"
                raise ArgumentError(f"{stage.name} ({stage.op}) has no weights", hint=hint, name=stage.name)
            values = files.get(stage.weights[0])
        return values if rows is None else values[rows]

    def memory(self) -> dict[str, int]:
        """Bytes of the weights by format, on this model's device."""
        out: dict[str, int] = {}
        for w in self._live().weights():
            out[w["format"]] = out.get(w["format"], 0) + w["bytes"]
        return {"weights": sum(out.values()), **{f"weights.{k}": v for k, v in sorted(out.items())}}

    def close(self) -> None:
        """Gives the weights back. Sessions in progress keep them until they are closed."""
        self._core = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._core is None:
            return f"Model({self.path.name}, closed)"
        c = self.cfg
        mix = ", ".join(f"{k[8:]} {v / 1e6:.1f} MB" for k, v in self.memory().items() if k != "weights")
        return (
            f"Model {self.name}: {c.arch}, {c.n_layers} layers, d {c.d_model}, "
            f"heads {c.n_heads}/{c.n_key_value_heads} of {c.d_head}, vocabulary {c.d_vocab}\n  weights {mix}\n"
            f"  on {self.device} ({', '.join(f'{k} {v}' for k, v in self._options.items())}), "
            f"numerics {self.numerics}, cache {self.kv}, n_ctx {self.n_ctx}"
        )

    def __reduce__(self) -> Any:
        raise TypeError("a model cannot be pickled or copied; load it again from its file")

    # --- text and tokens ----------------------------------------------------------------------------------------------

    def to_tokens(
        self, text: str | bytes, bos: Any = "model", parse_special: bool = False, prepend_bos: bool | None = None
    ) -> Tokens:
        """Text to ids; see Tokenizer.encode. prepend_bos is TransformerLens's word for bos."""
        return self.tokenizer.encode(text, bos=bos if prepend_bos is None else prepend_bos, parse_special=parse_special)

    def to_string(self, ids: Any) -> str:
        """Ids to text."""
        return self.tokenizer.decode(ids)

    def to_str_tokens(self, tokens: Any) -> list[str]:
        """The text of each token; a token that cuts a character shows U+FFFD."""
        ids = self.to_tokens(tokens) if isinstance(tokens, str) else tokens
        return [self.tokenizer.piece(int(i)).decode("utf-8", "replace") for i in ids]

    def to_single_token(self, text: str) -> int:
        """The id of a text that is one token. Raises ArgumentError where it is more."""
        ids = self.to_tokens(text, bos=False)
        if len(ids) != 1:
            raise ArgumentError(f"{text!r} is {len(ids)} tokens: {self.to_str_tokens(ids)}, expected one")
        return ids[0]

    def chat_tokens(self, messages: list[dict[str, Any]], **options: Any) -> Tokens:
        """The tokens of a conversation by the file's template, ready to generate from (extra `chat`)."""
        return self.tokenizer.chat_tokens(messages, **options)

    def _ids(self, tokens: Any) -> np.ndarray:
        if isinstance(tokens, (str, bytes)):
            return self.tokenizer.encode(tokens, max_tokens=self.n_ctx).ids
        return token_ids(tokens, self.graph.V)

    def _token_arrays(self, tokens: TokensLike) -> tuple[list[np.ndarray], bool]:
        """One int32 array per sequence; whether a batch was given."""
        if (
            isinstance(tokens, np.ndarray)
            and tokens.ndim == 2
            or (
                isinstance(tokens, (list, tuple))
                and tokens
                and not isinstance(tokens[0], (int, np.integer, float, np.floating, bool, type(None)))
            )
        ):
            batch = list(tokens)
        else:
            batch = [tokens]
        arrays = [self._ids(t) for t in batch]
        for i, a in enumerate(arrays):
            if not len(a):
                raise ArgumentError(f"sequence {i} has no tokens", hint="give at least one; bos=True puts one in front")
        return arrays, len(batch) > 1

    # --- running ------------------------------------------------------------------------------------------------------

    def session(self, n_ctx: int | None = None, sequences: int = 1, kv: str | None = None) -> Session:
        """Sequences in progress, with their own keys and values: at most n_ctx tokens each (default the model's).

        A model with longrope scaling (Phi-3 128k) takes its long factors where n_ctx is beyond the original context,
        for every token of the session, as llama.cpp does.

        Raises OutOfMemoryError (E005), with what would fit, where they would not fit in memory when full.

        >>> import cutaway as ct
        >>> m = ct.load("tiny:llama")
        >>> with m.session() as s:
        ...     logits = s.prefill([5, 6, 7])
        ...     logits = s.decode(int(logits.argmax()))
        ...     s.length()
        4
        """
        return Session(self, n_ctx, sequences, kv)

    def _room(self, tokens: int) -> int:
        """n_ctx for a run of so many tokens. With longrope the factors depend on it: short runs take the short ones."""
        return min(tokens, self.n_ctx) if self.graph.long_context else self.n_ctx

    def _forward(
        self, tokens: TokensLike, check: str | None = None, captures: int = 0, **options: Any
    ) -> tuple[Forward, list[np.ndarray]]:
        """Every token's logits. captures: bytes that watching takes."""
        if check not in (None, "finite"):
            raise ArgumentError(f"check is {check!r}, expected None or 'finite'")
        arrays, _ = self._token_arrays(tokens)
        together = bool(self._active.now()) or any(
            -2 in self.graph[n.partition("@")[0]].shape for n in options.get("watch", ())
        )
        with Session(self, self._room(max(map(len, arrays))), len(arrays), full=False) as s:
            lengths = [len(a) for a in arrays]
            check_call(self, lengths, self.kv, rows=sum(lengths), captures=captures, together=together)
            return s.forward(arrays, all_rows=True, check_finite=check == "finite", **options), arrays

    def _batched(self, logits: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
        longest = max(len(a) for a in arrays)
        if all(len(a) == longest for a in arrays):
            return logits.reshape(len(arrays), longest, -1)
        out = np.full((len(arrays), longest, logits.shape[-1]), np.nan, np.float32)
        at = 0
        for i, a in enumerate(arrays):
            out[i, : len(a)] = logits[at : at + len(a)]
            at += len(a)
        return out

    def run(self, tokens: TokensLike, check: str | None = None) -> np.ndarray:
        """Logits of every token: float32 [batch, pos, vocab]; row p predicts token p + 1.

        check="finite": raises NonFiniteError at the first stage that holds NaN or infinity, with its kernel."""
        out, arrays = self._forward(tokens, check)
        return self._batched(out.logits, arrays)

    __call__ = run

    def score(self, tokens: TokensLike) -> np.ndarray:
        """Log-probability of each token after the first given those before it: float64 [T - 1] of one sequence."""
        arrays, _ = self._token_arrays(tokens)
        if len(arrays) != 1:
            raise ArgumentError(f"score takes one sequence, got {len(arrays)}")
        ids, out = arrays[0], []
        check_call(self, [len(ids)], self.kv, rows=128)
        with Session(self, self._room(len(ids)), full=False) as s:
            for at in range(0, len(ids) - 1, 128):
                part = ids[at : min(at + 128, len(ids) - 1)]
                logits = s.forward([part], all_rows=True).logits.astype(np.float64)
                top = logits.max(-1, keepdims=True)
                total = top[:, 0] + np.log(np.exp(logits - top).sum(-1))
                out.append(logits[np.arange(len(part)), ids[at + 1 : at + 1 + len(part)]] - total)
        return np.concatenate(out) if out else np.zeros(0)

    def plan_cache(self, tokens: TokensLike, names_filter: Any = None, pos: Any = None) -> dict[str, int]:
        """Bytes that watching these stages would keep, by stage, before running.

        >>> import cutaway as ct
        >>> ct.load("tiny:llama").plan_cache([5, 6, 7], ["blocks.0.attn.z", "blocks.0.attn.pattern"], pos=-1)
        {'blocks.0.attn.pattern': 48, 'blocks.0.attn.z': 256}
        """
        arrays, _ = self._token_arrays(tokens)
        lengths = [len(a) for a in arrays]
        rows = None if pos is None else rows_at(pos, lengths).count
        return {n: bytes_of(self.graph, n, lengths, rows) for n in self._select(names_filter)}

    def run_with_cache(
        self,
        tokens: TokensLike,
        names_filter: Any = None,
        *,
        pos: Any = None,
        stop_at_layer: int | None = None,
        dtype: Any = "float32",
        to: str = "cpu",
        budget: int | str | None = "4GiB",
        remove_batch_dim: bool = False,
        pos_slice: Any = None,
        device: str | None = None,
        check: str | None = None,
    ) -> tuple[np.ndarray | None, ActivationCache]:
        """Runs and keeps the stages that names_filter means (None: all): (logits, cache).

        names_filter   name, glob, regular expression, function of a name, or a list of these; "*@act_q8" means the
                       activations as kernels round them, int8 shaped like their stage, "*@act_scale" the scale of
                       each 32 of them
        pos            keep only these positions: an int, a slice or a list (pos_slice is TransformerLens's word); the
                       others are not copied
        stop_at_layer  run layers 0 .. stop_at_layer - 1 only; the logits are None then
        dtype          "float32", or "float16" to keep half as much; raises ArgumentError where a number lies beyond it
        to             where the arrays go: "cpu" (device is TransformerLens's word)
        budget         most bytes to take while running, in float32; more raises OutOfMemoryError naming the largest
                       stage, before anything runs
        remove_batch_dim  without the batch axis, for one sequence

        >>> import cutaway as ct
        >>> m = ct.load("tiny:llama")
        >>> logits, cache = m.run_with_cache([5, 6, 7], "blocks.*.attn.z", pos=-1, dtype="float16")
        >>> logits.shape, cache["z", 3].shape, cache["z", 3].dtype
        ((1, 3, 1024), (1, 4, 16), dtype('float16'))
        """
        if str(dtype) not in ("float32", "float16") and dtype not in (np.float32, np.float16):
            raise ArgumentError(f"dtype is {dtype!r}, expected 'float32' or 'float16'")
        for word, value in (("to", to), ("device", device)):
            if value not in ("cpu", None):
                raise ArgumentError(f"{word} is {value!r}, expected 'cpu'", hint="cache.save(path) writes the arrays")
        if pos is not None and pos_slice is not None:
            raise ArgumentError("pos and pos_slice mean the same, expected one of them")
        arrays, _ = self._token_arrays(tokens)
        if remove_batch_dim and len(arrays) != 1:
            raise ArgumentError(f"remove_batch_dim needs one sequence, got {len(arrays)}")
        lengths = [len(a) for a in arrays]
        where = pos if pos is not None else pos_slice
        rows = None if where is None else rows_at(where, lengths)
        watch, stop_after = self._select(names_filter), ""
        if stop_at_layer is not None:
            watch, stop_after = until(self.graph, stop_at_layer, names_filter, self._taps)
        sizes = {n: bytes_of(self.graph, n, lengths, rows.count if rows else None) for n in watch}
        refuse_over(budget, sizes)
        out, _ = self._forward(
            arrays, check, sum(sizes.values()), watch=watch, stop_after=stop_after, keep=rows.keep if rows else None
        )
        cache = out.cache if rows is None else out.cache.at_rows(rows)
        if np.dtype(dtype) != np.float32:
            cache = cache.astype(dtype)
        logits = None if stop_after else self._batched(out.logits, arrays)
        if remove_batch_dim:
            return (None if logits is None else logits[0]), cache.remove_batch_dim()
        return logits, cache

    def check(self, tokens: TokensLike, checks: Sequence[str] | str | None = None) -> Report:
        """ct.check of this model: what must not move a bit of its logits, each tried. Truthy when all hold."""
        from cutaway.check import check  # which runs models

        return check(self, tokens, checks)

    # --- changing -----------------------------------------------------------------------------------------------------

    def hooks(self, fwd_hooks: Sequence[tuple[Any, HookFunction]]) -> contextlib.AbstractContextManager[Model]:
        """Within the block, every run of this model in this thread calls the hooks: [(names, fn(act, hook)), ..].

        A name that matches no stage raises ArgumentError here; a hook that no run has called when the block ends raises
        HookError there."""
        return self._hooked(made_hooks(self.graph, fwd_hooks))

    @contextlib.contextmanager
    def _hooked(self, made: list[Hook]) -> Iterator[Model]:
        active = self._active
        active.hooks = active.hooks + made
        try:
            yield self
        finally:
            ended = {id(h) for h in made}  # a block that one of their functions opened may still be open
            active.hooks = [h for h in active.hooks if id(h) not in ended]
        check_fired(made)

    def run_with_hooks(self, tokens: TokensLike, fwd_hooks: Sequence[tuple[Any, HookFunction]]) -> np.ndarray:
        """Logits of a run in which the hooks were called: [(names, fn(act, hook)), ..]."""
        with self.hooks(fwd_hooks):
            return self.run(tokens)

    def patch(self, values: dict[Any, Any], pos: Any = None) -> contextlib.AbstractContextManager[Model]:
        """Within the block, stages hold the given tensors ({name: array}), at all positions or at `pos`."""
        return self.hooks([(names.resolve_one(self.graph, n), edit.replace(v, pos)) for n, v in values.items()])

    def steer(
        self, names_filter: Any, vector: Any, scale: float = 1.0, pos: Any = None
    ) -> contextlib.AbstractContextManager[Model]:
        """Within the block, scale * vector is added to the stages, at all positions or at `pos`."""
        return self.hooks([(names_filter, edit.add(np.asarray(vector, np.float32) * np.float32(scale), pos))])

    # --- generating ---------------------------------------------------------------------------------------------------

    def stream(
        self,
        tokens: TokensLike,
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        seed: int | None = 0,
        stop: str | bytes | Sequence[str | bytes] | None = None,
        stop_ids: Sequence[int] = (),
        logit_bias: dict[int, float] | None = None,
        logprobs: int | None = None,
        capture: Any = None,
        session: Session | None = None,
        _collect: dict[str, Any] | None = None,
    ) -> Iterator[Step]:
        """Generates token by token. Each Step's text holds whole characters only; joined they are Generation.text.

        session: one that holds the prompt's first tokens, which are not run again, and that goes on; default a new one.

        temperature 0 takes the likeliest token, of equal ones the lowest id. The same arguments give the same bits.
        A file without a tokenizer that we read goes on from ids alone: without text, and up to stop_ids or the count.
        Raises ContextLengthExceeded before anything runs when prompt and max_new_tokens do not fit n_ctx."""
        sampling = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "seed": seed,
            "logit_bias": logit_bias,
        }
        return generation.stream(
            self,
            tokens,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
            stop=[] if stop is None else [stop] if isinstance(stop, (str, bytes)) else list(stop),
            stop_ids={int(i) for i in token_ids(list(stop_ids), self.graph.V)},
            logprobs=logprobs,
            capture=capture,
            collect=_collect if _collect is not None else {},
            session=session,
        )

    generate_stream = stream

    def generate(self, tokens: TokensLike, *, stream: bool = False, **options: Any) -> Generation | Iterator[Step]:
        """Generates text; the options are those of `stream`. With stream=True the same iterator as `stream`.

        capture: stages to keep; their rows line up with prompt_ids + ids[:-1], n_prompt + n_new - 1 of them."""
        if stream:
            return self.stream(tokens, **options)
        collect: dict[str, Any] = {}
        steps = list(self.stream(tokens, **options, _collect=collect))
        return generation.finish(self, steps, collect, options.get("logprobs"), options.get("capture"))
