"""Words to plant a mistake with: in the straight-line model, in the graph, by hooks. faults.py has the mistakes."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from cutaway.reference import gemma3, gpt2, parts, qwen3


@dataclass
class Fault:
    first: str
    plant: Callable
    edit: Callable | None = None  # of a Graph
    hooks: Callable | None = None  # Model -> [(glob, function)]


# --- in the witness ---------------------------------------------------------------------------------------------------


def change(metadata=None, weights=None):
    """A fault in what is stored; `weights` maps a pattern to a function of the tensor; None drops it."""

    def plant(patch, meta, tensors):
        tensors = dict(tensors)
        for pattern, function in (weights or {}).items():
            hit = [name for name in tensors if re.search(pattern, name)]
            assert hit, pattern
            for name in hit:
                tensors[name] = function and function(tensors[name])
        return meta | (metadata or {}), {name: value for name, value in tensors.items() if value is not None}

    return plant


def replace(essay, name, function):
    """A fault in what the witness does."""

    def plant(patch, meta, tensors):
        patch.setattr(essay, name, function)
        return meta, tensors

    return plant


def both(*plants):
    def plant(patch, meta, tensors):
        for one in plants:
            meta, tensors = one(patch, meta, tensors)
        return meta, tensors

    return plant


def swapped(one, other):
    def plant(patch, meta, tensors):
        turn = {one: other, other: one}
        return meta, {
            ".".join(turn.get(part, part) for part in name.split(".")): value for name, value in tensors.items()
        }

    return plant


def tied(patch, meta, tensors):
    return meta, tensors | {"output.weight": tensors["token_embd.weight"]}


def without_last_norm(patch, meta, tensors):
    layer_norm, sound, calls = gpt2.layer_norm, 2 * meta["gpt2.block_count"], [0]  # calls before the last in a run

    def norm(x, *rest):
        calls[0] += 1
        return layer_norm(x, *rest) if calls[0] % (sound + 1) else (x, x, x)

    return replace(gpt2, "layer_norm", norm)(patch, meta, tensors)


def head_norms(essay, function):
    """Norms of heads, whose input is [T, heads, E], done as function(x, w, eps) has it."""
    rms_norm = essay.rms_norm
    return replace(essay, "rms_norm", lambda x, w, eps: (function if x.ndim == 3 else rms_norm)(x, w, eps))


def over_all_heads(x, w, eps):
    scale = np.sqrt(np.mean(x**2, axis=(-1, -2), keepdims=True) + eps)
    return scale, x / scale, x / scale * w


def norms_after_rope(patch, meta, tensors):
    late, rms_norm, rope = [], qwen3.rms_norm, qwen3.rope

    def norm(x, w, eps):
        if x.ndim < 3:
            return rms_norm(x, w, eps)
        late.append(w)
        return x, x, x

    patch.setattr(qwen3, "rms_norm", norm)
    eps = meta["qwen3.attention.layer_norm_rms_epsilon"]
    patch.setattr(qwen3, "rope", lambda *args: rms_norm(rope(*args), late.pop(0), eps)[-1])
    return meta, tensors


def without_post_norms(patch, meta, tensors):
    rms_norm = gemma3.rms_norm
    patch.setattr(gemma3, "rms_norm", lambda x, w, eps: (x, x, x) if np.isnan(w).all() else rms_norm(x, w, eps))
    return change(weights={r"post_(attention|ffw)_norm": lambda w: np.full_like(w, np.nan)})(patch, meta, tensors)


def unscaled_embedding(patch, meta, tensors):
    table = tensors["token_embd.weight"]
    small = np.float64(table) / np.sqrt(meta["gemma3.embedding_length"])
    return meta, tensors | {"token_embd.weight": small, "output.weight": table}


def short_bases_swapped(patch, meta, tensors):
    waves = parts.waves
    patch.setattr(gemma3, "frequencies", lambda key, weights, r, T: (waves(2000.0, r), 1.0))
    patch.setattr(gemma3, "waves", lambda base, r: waves(100000.0, r) / 8)
    return meta, tensors


def interleaved_halves(patch, meta, tensors):
    """Gate and up of each expert alternate in the published file; taken as halves, each gets part of both."""
    tensors = dict(tensors)
    for gate in [name for name in tensors if "ffn_gate_exps" in name]:
        up = gate.replace("gate", "up")
        alternate = np.stack([tensors[gate], tensors[up]], axis=2).reshape(
            len(tensors[gate]), -1, *tensors[gate].shape[2:]
        )
        tensors[gate], tensors[up] = np.split(alternate, 2, axis=1)
    return meta, tensors


def thirds(function):  # of fused rows of q, k, v with as many heads each, weight or bias
    return lambda w: np.concatenate(function(*np.split(np.asarray(w, np.float64), 3)))


def gpt2_head_by_head(w, H=4):  # what a reader sees who takes the rows as q, k, v of head 0, then of head 1, ...
    return w.reshape(H, 3, -1, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape)


def other_order(heads):
    """Rows that lie in halves, taken to lie in adjacent pairs."""

    def turn(w):
        half = len(w) // heads // 2
        return w.reshape(heads, 2, half, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)

    return turn


def fused_other_order(heads, rows):
    turn = other_order(heads)
    return lambda w: np.concatenate([turn(w[:rows]), w[rows:]])


def llama3_factors(original=64, factor=8.0, low=1.0, high=4.0, base=5000.0, E=32):
    """The rule of transformers' rope type llama3: long waves are slowed, short ones kept, with a ramp between."""
    wave = 2 * np.pi * base ** (np.arange(0, E, 2) / E)
    ramp = (original / wave - low) / (high - low)
    return 1 / np.clip((1 - ramp) / factor + ramp, 1 / factor, 1)


def erf_gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def share_tiled(x, H):
    return np.tile(x, (1, H // x.shape[1], 1))


def choose_from_all(logits, A):
    indices = np.argsort(-logits, axis=-1, kind="stable")[:, :A]
    return indices, np.take_along_axis(parts.softmax(logits), indices, axis=-1)


def choose_equal(logits, A):
    return np.argsort(-logits, axis=-1, kind="stable")[:, :A], np.full((len(logits), A), 1 / A)


def swiglu(gate, up, one=1.0, both=False):
    gate, up = np.clip(gate, -7.0 if both else -np.inf, 7.0), np.clip(up, -7.0, 7.0)
    return gate / (1 + np.exp(-1.702 * gate)) * (up + one)


ones, zeros = np.ones_like, np.zeros_like


# --- in the engine ----------------------------------------------------------------------------------------------------


def edit(*changes):
    """changes: (pattern of the stages' names, function of a Stage)"""

    def apply(graph):
        for pattern, function in changes:
            hit = [s for s in graph if re.search(f"({pattern})$", s.name)]
            assert hit, pattern
            for stage in hit:
                function(stage)

    return apply


def numbers(**values):
    return lambda stage: stage.attributes.update(values)


def unset(name):
    return lambda stage: stage.attributes.pop(name, None)


def unbiased(stage):
    assert len(stage.weights) == 2, stage.name
    stage.weights.pop()


def passing(stage):  # what it reads first is what it writes
    stage.op, stage.reads, stage.weights, stage.attributes = "copy", stage.reads[:1], [], {}


def head_from(tensor):
    return edit(("unembed.out", lambda stage: setattr(stage.weights[0], "tensor", tensor)))


def exchanged(one, other):
    """Two stages of a layer take each other's rows of the file."""

    def apply(graph):
        for i in range(graph.L):
            a, b = graph[f"blocks.{i}.{one}"], graph[f"blocks.{i}.{other}"]
            a.weights, b.weights = b.weights, a.weights

    return apply


def after_rope(graph):
    for i in range(graph.L):
        name = f"blocks.{i}.attn."
        for x in "qk":
            norm, rope = graph[f"{name}{x}_norm"], graph[f"{name}rot_{x}"]
            rope.reads[0], norm.reads = norm.reads[0], [rope.name]
            norm.cache, rope.cache = rope.cache, ""
            graph.stages.remove(norm)
            graph.insert_after(rope.name, norm)
        graph[name + "scores"].reads = [name + "q_norm", name + "k_norm"]


def last_norm_out(graph):
    graph["ln_final.out"].weights = []
    graph["ln_final.out"].op, graph["ln_final.out"].reads = "copy", [f"blocks.{graph.L - 1}.resid_post"]


def post_norms_out(graph):
    for part in ("attn", "mlp"):
        edit((rf"{part}\.out_post", passing))(graph)
        for i in range(graph.L):
            graph[f"blocks.{i}.{part}.out_post"].reads = [f"blocks.{i}.{part}.out"]


def bases_exchanged(graph):
    c = graph.constants
    c["$rope.frequencies"], c["$rope.local_frequencies"] = c["$rope.local_frequencies"], c["$rope.frequencies"]


def recomputed(stage, reads, function):
    """A stage's numbers made anew, in every layer: function(model, its numbers, those of `reads`), all [batch, ...]."""

    def hooks(model):
        seen = {}

        def keep(act, hook):
            seen[hook.name] = act.copy()

        def put(act, hook):
            act[...] = function(model, act, *[seen[f"blocks.{hook.layer}.{r}"] for r in reads])

        return [*((f"blocks.*.{r}", keep) for r in reads), (f"blocks.*.{stage}", put)]

    return hooks


def tiled(model):
    """Query head h reads key/value head h % G."""

    def scores(model, act, q, k):
        new = np.einsum("bqhe,bkhe->bhqk", q, np.tile(k, (1, 1, q.shape[2] // k.shape[2], 1)))
        return np.where(np.isneginf(act), act, new * model.graph["blocks.0.attn.scores"].attributes["scale"])

    def mixed(model, act, pattern, v):
        return np.einsum("bhqk,bkhe->bqhe", pattern, np.tile(v, (1, 1, act.shape[2] // v.shape[2], 1)))

    return recomputed("attn.scores", ["attn.rot_q", "attn.rot_k"], scores)(model) + recomputed(
        "attn.z", ["attn.pattern", "attn.v"], mixed
    )(model)


def from_all(model, act, logits, indices):
    return np.take_along_axis(parts.softmax(logits.astype(float)), indices.astype(int), axis=-1)


def experts_post(**how):
    reads = ["moe.experts.pre", "moe.experts.pre_linear"]
    return recomputed("moe.experts.post", reads, lambda model, act, gate, up: swiglu(gate, up, **how))
