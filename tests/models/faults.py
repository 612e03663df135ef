"""Mistakes that a reader of these models' files can make: each planted in the straight-line model and in the engine.

A Fault has `plant`, for the witness: (monkeypatch, metadata, weights) -> changed ones. The engine has it as an edit of
the graph, as hooks that put other numbers in place, or, where `plant` only changes what is stored, as a file with the
changed numbers. `first` is the stage that a comparison has to name.
"""

import math

import numpy as np
from cutaway.reference import gemma3, gpt2, gpt_oss, llama, parts, qwen2, qwen3
from models.planting import (
    Fault,
    after_rope,
    bases_exchanged,
    change,
    choose_equal,
    choose_from_all,
    edit,
    erf_gelu,
    exchanged,
    experts_post,
    from_all,
    fused_other_order,
    gpt2_head_by_head,
    head_from,
    head_norms,
    interleaved_halves,
    last_norm_out,
    llama3_factors,
    norms_after_rope,
    numbers,
    ones,
    other_order,
    over_all_heads,
    passing,
    post_norms_out,
    recomputed,
    replace,
    share_tiled,
    short_bases_swapped,
    swapped,
    swiglu,
    thirds,
    tied,
    tiled,
    unbiased,
    unscaled_embedding,
    unset,
    without_last_norm,
    without_post_norms,
    zeros,
)

Q, SCORES, GAIN = "blocks.0.attn.q", "blocks.0.attn.scores", "blocks.0.ln1.out"
ROT, PRE, POST = "blocks.0.attn.rot_q", "blocks.0.mlp.pre", "blocks.0.mlp.post"
no_rope = edit((r"attn\.rot_[qk]", passing))


def of_all(arch, essay):
    """Faults that every model with RMSNorm and rope has."""
    return {
        "rope base 500000": Fault(ROT, change({f"{arch}.rope.freq_base": 500000.0})),
        "norm weights dropped": Fault(GAIN, change(weights={"norm.weight": ones})),
        "rope dropped": Fault(ROT, replace(essay, "rope", lambda x, f, m: x), no_rope),
        "kv heads tiled instead of repeated": Fault(SCORES, replace(essay, "share", share_tiled), hooks=tiled),
        "epsilon 1e-3": Fault(
            "blocks.0.ln1.scale",
            change({f"{arch}.attention.layer_norm_rms_epsilon": 1e-3}),
            edit((r"scale|[qk]_norm", numbers(eps=1e-3))),
        ),
        "gate and up swapped": Fault(PRE, swapped("ffn_gate", "ffn_up"), exchanged("mlp.pre", "mlp.pre_linear")),
    }


def pairs_in_halves(arch, essay, H, G):
    order = {r"attn_q\.(weight|bias)": other_order(H), r"attn_k\.(weight|bias)": other_order(G)}
    return of_all(arch, essay) | {"q/k in the other rope order": Fault(Q, change(weights=order))}


every_llama = of_all("llama", llama) | {
    "q/k in the other rope order": Fault(
        Q,
        replace(llama, "unpermute", lambda w, heads: w),
        edit((r"attn\.[qk]", lambda stage: [setattr(w, "heads", 0) for w in stage.weights])),
    ),
}
tied_head = {"head tied to the embedding": Fault("unembed.out", tied, head_from("token_embd.weight"))}
llama3 = {key: fault for key, fault in every_llama.items() if "tiled" not in key}  # it has one kv head


def fused(H, G, E):
    q, k = H * E, G * E
    return {
        "k and v swapped in the fused matrix": Fault(
            "blocks.0.attn.k",
            change(weights={"attn_qkv": lambda w: np.concatenate([w[:q], w[q + k :], w[q : q + k]])}),
            exchanged("attn.k", "attn.v"),
        ),
        "gate and up swapped": Fault(
            PRE, change(weights={"ffn_up": lambda w: np.roll(w, len(w) // 2, axis=0)}),
            exchanged("mlp.pre", "mlp.pre_linear"),
        ),
        "gate and up interleaved": Fault(PRE, change(weights={"ffn_up": lambda w: np.concatenate([w[::2], w[1::2]])})),
        "q/k in the other rope order": Fault(Q, change(weights={"attn_qkv": fused_other_order(H + G, q + k)})),
        "rope base 500000": Fault(ROT, change({"phi3.rope.freq_base": 500000.0})),
        "head tied to the embedding": tied_head["head tied to the embedding"],
        "norm weights dropped": Fault(GAIN, change(weights={"norm.weight": ones})),
    }  # fmt: skip


def gemma(L, windows, window, bases, local):
    """windows: of every layer; bases: the far and the near one."""
    pattern, width = "gemma3.attention.sliding_window_pattern", "gemma3.attention.sliding_window"
    far, near = "gemma3.rope.freq_base", "gemma3.rope.freq_base_swa"
    first_full = windows.index(False)
    of_windows = (rf"blocks\.({'|'.join(str(i) for i in range(L) if windows[i])})\.attn\.scores",)
    window_is = lambda n: Fault(SCORES, change({width: n}), edit((*of_windows, numbers(window=n))))
    shifted = windows[1:] + windows[:1]
    moved = next(i for i in range(L) if shifted[i] != windows[i])
    return {
        "window ignored": Fault(SCORES, change({width: 100000}), edit((*of_windows, unset("window")))),
        f"window {window + 1}": window_is(window + 1),
        f"window {window - 1}": window_is(window - 1),
        "every layer sliding": Fault(f"blocks.{first_full}.attn.rot_q", change({pattern: [True] * L})),
        "window on every layer, bases kept": Fault(
            f"blocks.{first_full}.attn.scores",
            replace(gemma3, "visible", lambda T, w=0: parts.visible(T, window)),
            edit((r"attn\.scores", numbers(window=window))),
        ),
        "pattern shifted by one layer": Fault(f"blocks.{moved}.attn.rot_q", change({pattern: shifted})),
        "rope bases swapped": Fault(
            ROT, change({far: bases[1], near: bases[0]}) if not local else short_bases_swapped, bases_exchanged
        ),
        "local base everywhere": Fault(f"blocks.{first_full}.attn.rot_q", change({far: bases[1]})),
        "global base everywhere": Fault(ROT, change({near: bases[0]})),
        "attention scale dropped": Fault(
            SCORES, change({"gemma3.attention.scale": 1.0}), edit((r"attn\.scores", numbers(scale=1.0)))
        ),
        "q/k norms dropped": Fault(
            "blocks.0.attn.q_norm", head_norms(gemma3, lambda x, w, eps: (x, x, x)), edit((r"[qk]_norm", passing))
        ),
        "norm weight w instead of 1 + w": Fault(GAIN, change(weights={"norm.weight": lambda w: w - 1})),
        "post norms dropped": Fault("blocks.0.attn.out_post", without_post_norms, post_norms_out),
        "embedding not scaled": Fault(
            "blocks.0.resid_pre", unscaled_embedding, edit((r"blocks\.0\.resid_pre", numbers(factor=1.0)))
        ),
        "exact GELU instead of tanh": Fault(
            POST,
            replace(gemma3, "gelu", erf_gelu),
            hooks=recomputed("mlp.post", ["mlp.pre", "mlp.pre_linear"], lambda m, act, g, u: erf_gelu(g) * u),
        ),
        "SiLU instead of GELU": Fault(
            POST, replace(gemma3, "gelu", parts.silu), edit((r"mlp\.post", lambda s: setattr(s, "op", "silu_mul")))
        ),
    }


WINDOW, PATTERN = "gpt-oss.attention.sliding_window", "gpt-oss.attention.sliding_window_pattern"
SCALING, YARN = "gpt-oss.rope.scaling.", 0.1 * math.log(8) + 1
EVEN = r"blocks\.[02]\.attn\.scores"


def gpt_oss_window(n):
    return Fault(SCORES, change({WINDOW: n}), edit((EVEN, numbers(window=n))))


def bias_out(letters, first):
    tensor = rf"attn_([{letters.replace('o', '')}]|{'output' if 'o' in letters else '-'})\.bias"
    stages = rf"attn\.([{letters.replace('o', '')}]|{'out' if 'o' in letters else '-'})"
    return Fault(first, change(weights={tensor: zeros}), edit((stages, unbiased)))


FAULTS = {
    "gpt2": {
        "attention biases dropped": Fault(
            Q, change(weights={"attn_qkv.bias": zeros}), edit((r"attn\.[qkv]", unbiased))
        ),
        "projection and MLP biases dropped": Fault(
            "blocks.0.attn.out",
            change(weights={"attn_output.bias": zeros, "ffn_up.bias": zeros, "ffn_down.bias": zeros}),
            edit((r"attn\.out|mlp\.pre|mlp\.out", unbiased)),
        ),
        "layer-norm biases dropped": Fault(
            GAIN, change(weights={"norm.bias": zeros}), edit((r"ln(1|2|_final)\.out", unbiased))
        ),
        "positions start at 1": Fault("pos_embed", change(weights={"position_embd": lambda w: np.roll(w, -1, axis=0)})),
        "positions dropped": Fault(
            "blocks.0.resid_pre", change(weights={"position_embd": zeros}), edit((r"blocks\.0\.resid_pre", passing))
        ),
        "square matrices not transposed (Conv1D)": Fault(
            "blocks.0.attn.out", change(weights={"attn_output.weight": lambda w: w.T})
        ),
        "q and k swapped in the fused matrix": Fault(
            Q, change(weights={"attn_qkv": thirds(lambda q, k, v: (k, q, v))}), exchanged("attn.q", "attn.k")
        ),
        "fused matrix split head by head": Fault(Q, change(weights={"attn_qkv": gpt2_head_by_head})),
        "exact GELU instead of tanh": Fault(
            POST,
            replace(gpt2, "gelu", erf_gelu),
            hooks=recomputed("mlp.post", ["mlp.pre"], lambda m, act, x: erf_gelu(x)),
        ),
        "attention scale dropped": Fault(
            SCORES,
            change(weights={"attn_qkv": thirds(lambda q, k, v: (4 * q, k, v))}),  # sqrt(E) = 4
            edit((r"attn\.scores", numbers(scale=1.0))),
        ),
        "last layer norm dropped": Fault("ln_final.out", without_last_norm, last_norm_out),
    },
    "llama": every_llama | tied_head,
    "llama-k": every_llama,
    "llama3-rope": llama3
    | {
        "rope base 500000": Fault(  # there the factors follow from the base; here they are in the file
            ROT, change({"llama.rope.freq_base": 5e5}, {"rope_freqs": lambda _: llama3_factors(base=5e5)})
        ),
        "llama3 scaling dropped": Fault(ROT, change(weights={"rope_freqs": None})),
        "llama3 scaling as linear": Fault(ROT, change({"llama.rope.scaling.factor": 8.0}, {"rope_freqs": None})),
        "original context 8192": Fault(ROT, change(weights={"rope_freqs": lambda _: llama3_factors(original=8192)})),
        "no smooth band": Fault(ROT, change(weights={"rope_freqs": lambda _: llama3_factors(low=3.999)})),
    },
    "qwen2": pairs_in_halves("qwen2", qwen2, 4, 2)
    | {
        "q, k, v biases dropped": bias_out("qkv", Q),
        "q bias dropped": bias_out("q", Q),
        "k bias dropped": bias_out("k", "blocks.0.attn.k"),
        "v bias dropped": bias_out("v", "blocks.0.attn.v"),
        "q/k biases in the other rope order": Fault(
            Q, change(weights={r"attn_q\.bias": other_order(4), r"attn_k\.bias": other_order(2)})
        ),
    },
    "qwen3": pairs_in_halves("qwen3", qwen3, 4, 2)
    | {
        "q/k norms dropped": Fault(
            "blocks.0.attn.q_norm", head_norms(qwen3, lambda x, w, eps: (x, x, x)), edit((r"[qk]_norm", passing))
        ),
        "q/k norm weights dropped": Fault("blocks.0.attn.q_norm", change(weights={"[qk]_norm": ones})),
        "q/k norms after rope": Fault(ROT, norms_after_rope, after_rope),
        "norm over all heads at once": Fault(
            "blocks.0.attn.q_norm",
            head_norms(qwen3, over_all_heads),
            hooks=lambda m: [
                hook
                for x in "qk"
                for hook in recomputed(
                    f"attn.{x}_norm",
                    [f"attn.{x}"],
                    # The stage has x / scale * w with a scale of its own for each head.
                    lambda m, act, x: (
                        act
                        * np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
                        / np.sqrt((x**2).mean(axis=(-1, -2), keepdims=True) + 1e-6)
                    ),
                )(m)
            ],
        ),
    },
    "phi3": fused(2, 2, 32)
    | {
        "q and k swapped in the fused matrix": Fault(
            Q, change(weights={"attn_qkv": thirds(lambda q, k, v: (k, q, v))}), exchanged("attn.q", "attn.k")
        ),
        "fused matrix split head by head": Fault(
            Q, change(weights={"attn_qkv": lambda w: w.reshape(2, 3, 32, -1).swapaxes(0, 1).reshape(w.shape)})
        ),
    },
    "phi3-longrope": fused(2, 1, 32)
    | {
        "short factors always": Fault(
            ROT,
            lambda patch, meta, t: (meta, t | {"rope_factors_long.weight": t["rope_factors_short.weight"]}),
            lambda graph: graph.constants.pop("$rope.frequencies.long") and setattr(graph, "long_context", 0),
        ),
        "long factors always": Fault(
            ROT,
            lambda patch, meta, t: (meta, t | {"rope_factors_short.weight": t["rope_factors_long.weight"]}),
            lambda graph: graph.constants.update({"$rope.frequencies": graph.constants["$rope.frequencies.long"]}),
        ),
        "no factors at all": Fault(ROT, change(weights={"rope_factors": ones})),
        "attention factor dropped": Fault(
            ROT, change({"phi3.rope.scaling.attn_factor": 1.0}), edit((r"rot_[qk]", unset("attention_factor")))
        ),
        "longrope dropped": Fault(ROT, change({"phi3.rope.scaling.attn_factor": 1.0}, {"rope_factors": ones})),
    },
    "gemma3": gemma(7, [True] * 5 + [False, True], 64, (1000000.0, 10000.0), False),
    "gemma3-short": gemma(4, [True, False] * 2, 48, (100000.0, 2000.0), True)
    | {
        "linear factor dropped": Fault("blocks.1.attn.rot_q", change({"gemma3.rope.scaling.type": "none"})),
        "query_pre_attn_scalar ignored": Fault(
            SCORES, change({"gemma3.attention.scale": 32**-0.5}), edit((r"attn\.scores", numbers(scale=32**-0.5)))
        ),
    },
    "gpt-oss": pairs_in_halves("gpt-oss", gpt_oss, 4, 2)
    | tied_head
    | {
        "gate and up swapped": Fault(
            "blocks.0.moe.experts.pre",
            swapped("ffn_gate_exps", "ffn_up_exps"),
            exchanged("moe.experts.pre", "moe.experts.pre_linear"),
        ),
        "sinks dropped": Fault(
            "blocks.0.attn.pattern",
            change(weights={"attn_sinks": lambda w: np.full_like(w, -1e9)}),
            edit((r"attn\.pattern", lambda stage: stage.weights.clear())),
        ),
        "sinks zero": Fault("blocks.0.attn.sink", change(weights={"attn_sinks": zeros})),
        "window ignored": Fault(SCORES, change({WINDOW: 100000}), edit((EVEN, unset("window")))),
        "window 33": gpt_oss_window(33),
        "window 31": gpt_oss_window(31),
        "window on every layer": Fault("blocks.1.attn.scores", change({PATTERN: [True] * 4})),
        "window on the odd layers": Fault(SCORES, change({PATTERN: [False, True] * 2})),
        "YaRN dropped": Fault(ROT, change({SCALING + "type": "none"})),
        "YaRN frequencies dropped, factor kept": Fault(
            ROT, change({SCALING + "type": "none", SCALING + "attn_factor": YARN})
        ),
        "YaRN attention factor dropped": Fault(ROT, change({SCALING + "yarn_attn_factor": 1.0})),
        "YaRN as linear scaling": Fault(ROT, change({SCALING + "type": "linear", SCALING + "attn_factor": YARN})),
        "YaRN corners rounded (as llama.cpp)": Fault(ROT, change({SCALING + "yarn_truncate": True})),
        "YaRN original context 4096": Fault(ROT, change({SCALING + "original_context_length": 4096})),
        "rope base 150000": Fault(ROT, change({"gpt-oss.rope.freq_base": 150000.0})),
        "softmax over all experts before top-k": Fault(
            "blocks.0.moe.expert_weights",
            replace(gpt_oss, "choose", choose_from_all),
            hooks=recomputed("moe.expert_weights", ["moe.router_logits", "moe.expert_indices"], from_all),
        ),
        "expert weights all equal": Fault(
            "blocks.0.moe.expert_weights",
            replace(gpt_oss, "choose", choose_equal),
            hooks=recomputed("moe.expert_weights", [], lambda m, act: np.full_like(act, 0.25)),
        ),
        "top-2 of the experts": Fault("blocks.0.moe.expert_indices", change({"gpt-oss.expert_used_count": 2})),
        "router bias dropped": Fault(
            "blocks.0.moe.router_logits",
            change(weights={"ffn_gate_inp.bias": zeros}),
            edit((r"router_logits", unbiased)),
        ),
        "expert biases dropped": Fault(
            "blocks.0.moe.experts.pre",
            change(weights={"exps.bias": zeros}),
            edit((r"experts\.(pre|pre_linear|out)", unbiased)),
        ),
        "attention biases dropped": bias_out("qkvo", Q),
        "q bias dropped": bias_out("q", Q),
        "k bias dropped": bias_out("k", "blocks.0.attn.k"),
        "v bias dropped": bias_out("v", "blocks.0.attn.v"),
        "o bias dropped": Fault(
            "blocks.0.attn.out", change(weights={"attn_output.bias": zeros}), edit((r"attn\.out", unbiased))
        ),
        "SwiGLU clamp dropped": Fault(
            "blocks.0.moe.experts.post",
            replace(gpt_oss, "LIMIT", 1e9),
            edit((r"experts\.post", numbers(limit=1e9))),
        ),
        "SwiGLU gate clamped from below too": Fault(
            "blocks.0.moe.experts.post",
            replace(gpt_oss, "clamped_swiglu", lambda gate, up: swiglu(gate, up, both=True)),
            hooks=experts_post(both=True),
        ),
        "SwiGLU alpha 1": Fault(
            "blocks.0.moe.experts.post", replace(gpt_oss, "ALPHA", 1.0), edit((r"experts\.post", numbers(alpha=1.0)))
        ),
        "SwiGLU without + 1": Fault(
            "blocks.0.moe.experts.post",
            replace(gpt_oss, "clamped_swiglu", lambda gate, up: swiglu(gate, up, one=0.0)),
            hooks=experts_post(one=0.0),
        ),
        "gate and up as halves, not interleaved": Fault("blocks.0.moe.experts.pre", interleaved_halves),
    },
}
for absent in ("rope base 500000", "rope dropped", "epsilon 1e-3"):  # not listed there
    del FAULTS["gpt-oss"][absent]
