"""Gemma 3, straight through: token ids in, every named activation out, in float64 NumPy.

A witness for the graph: it knows neither graph nor kernels, keeps no cache and has no batch. Tensor names, shapes
(out, in) and metadata keys are GGUF's; activations bear the names of the graph's stages.

Source: Gemma Team 2025, arXiv:2503.19786, sec. 2; norms on both sides of a layer: Gemma 2, arXiv:2408.00118, sec. 2. A
file's gains are 1 + w of the published checkpoint.
Axes: T tokens, D model width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
"""

import numpy as np

from cutaway.reference.parts import (
    by_head,
    frequencies,
    gelu,
    rms_norm,
    rope,
    share,
    softmax,
    visible,
    waves,
    windowed,
)


def score_scale(key, H, E):
    """E^-1/2, but (D / H)^-1/2 in the 27B model, which is known by its 62 layers: files have no key for it."""
    width = key("embedding_length") / H if key("block_count") == 62 else E
    return key("attention.scale", width**-0.5)


def soft_cap(x, c):  # Bello et al. 2016, arXiv:1611.09940, sec. 5.1; 0: none
    return c * np.tanh(x / c) if c else x


def run(metadata, weights, ids):
    """Every activation of one sequence.

    metadata: GGUF keys to values.  weights: GGUF tensor names to arrays of floats.  ids: [T].
    """
    key = lambda name, *default: metadata.get("gemma3." + name, *default)
    w = lambda name: np.asarray(weights[name], np.float64)
    L, H, eps = key("block_count"), key("attention.head_count"), key("attention.layer_norm_rms_epsilon")
    T, G = len(ids), key("attention.head_count_kv", H)
    E = key("attention.key_length", key("embedding_length") // H)
    D, scale = key("embedding_length"), score_scale(key, H, E)

    # Five layers of six see a window and turn faster; only the sixth is stretched. Files leave out what is usual.
    r, window = key("rope.dimension_count", E), key("attention.sliding_window", 0)
    far = (*frequencies(key, weights, r, T), visible(T))
    near = (waves(key("rope.freq_base_swa", 10000.0), r), 1.0, visible(T, window))
    which = key("attention.sliding_window_pattern", 6)

    a: dict[str, np.ndarray] = {}  # what this gives back

    def norm(stage, x, name):
        parts = rms_norm(x, w(name + ".weight"), eps)
        a.update(zip((stage + ".scale", stage + ".normalized", stage + ".out"), parts, strict=True))
        return parts[-1]

    def linear(x, name):
        y = x @ w(name + ".weight").T
        return y + w(name + ".bias") if name + ".bias" in weights else y

    a["embed"] = w("token_embd.weight")[ids]  # [T, D]
    x = a["embed"] * np.sqrt(D)

    for i in range(L):
        b, t = f"blocks.{i}.", f"blk.{i}."
        f, m, seen = near if window and windowed(i, which) else far
        a[b + "resid_pre"] = x

        # Attention. Every head of q and k is a row to be normed, all with one gain.
        h = norm(b + "ln1", x, t + "attn_norm")
        q = a[b + "attn.q"] = linear(h, t + "attn_q").reshape(T, H, E)
        k = a[b + "attn.k"] = linear(h, t + "attn_k").reshape(T, G, E)
        v = a[b + "attn.v"] = linear(h, t + "attn_v").reshape(T, G, E)
        q = a[b + "attn.q_norm"] = rms_norm(q, w(t + "attn_q_norm.weight"), eps)[-1]
        k = a[b + "attn.k_norm"] = rms_norm(k, w(t + "attn_k_norm.weight"), eps)[-1]
        q, k = a[b + "attn.rot_q"], a[b + "attn.rot_k"] = rope(q, f, m), rope(k, f, m)
        scores = by_head(q) @ by_head(share(k, H)).swapaxes(1, 2) * scale  # [H, T, T]
        scores = a[b + "attn.scores"] = np.where(seen, scores, -np.inf)
        a[b + "attn.pattern"] = softmax(scores)
        z = a[b + "attn.z"] = by_head(a[b + "attn.pattern"] @ by_head(share(v, H)))  # [T, H, E]
        a[b + "attn.out"] = linear(z.reshape(T, H * E), t + "attn_output")
        a[b + "attn.out_post"] = norm(b + "ln1_post", a[b + "attn.out"], t + "post_attention_norm")
        x = a[b + "resid_mid"] = x + a[b + "attn.out_post"]

        # Feed-forward.
        h = norm(b + "ln2", x, t + "ffn_norm")
        a[b + "mlp.pre"], a[b + "mlp.pre_linear"] = linear(h, t + "ffn_gate"), linear(h, t + "ffn_up")  # [T, F]
        a[b + "mlp.post"] = gelu(a[b + "mlp.pre"]) * a[b + "mlp.pre_linear"]
        a[b + "mlp.out"] = linear(a[b + "mlp.post"], t + "ffn_down")
        a[b + "mlp.out_post"] = norm(b + "ln2_post", a[b + "mlp.out"], t + "post_ffw_norm")
        x = a[b + "resid_post"] = x + a[b + "mlp.out_post"]

    # The head is the embedding again, unless the file brings its own.
    h = norm("ln_final", x, "output_norm")
    head = w("output.weight" if "output.weight" in weights else "token_embd.weight")
    a["unembed.out"] = h @ head.T  # [T, V]
    a["logits"] = soft_cap(a["unembed.out"], key("final_logit_softcapping", 0))
    return a
