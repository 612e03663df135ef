"""Qwen3, straight through: token ids in, every named activation out, in float64 NumPy.

A witness for the graph: it knows neither graph nor kernels, keeps no cache and has no batch. Tensor names, shapes
(out, in) and metadata keys are GGUF's; activations bear the names of the graph's stages.

Source: Yang et al. 2025, arXiv:2505.09388, sec. 2; norms of q and k: Dehghani et al. 2023, arXiv:2302.05442, sec. 2.
Axes: T tokens, D model width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
"""

import numpy as np

from cutaway.reference.parts import by_head, frequencies, rms_norm, rope, share, silu, softmax, visible, windowed


def run(metadata, weights, ids):
    """Every activation of one sequence.

    metadata: GGUF keys to values.  weights: GGUF tensor names to arrays of floats.  ids: [T].
    """
    key = lambda name, *default: metadata.get("qwen3." + name, *default)
    w = lambda name: np.asarray(weights[name], np.float64)
    L, H, eps = key("block_count"), key("attention.head_count"), key("attention.layer_norm_rms_epsilon")
    T, G = len(ids), key("attention.head_count_kv", H)
    E = key("attention.key_length", key("embedding_length") // H)
    f, m = frequencies(key, weights, key("rope.dimension_count", E), T)
    window, which = key("attention.sliding_window", 0), key("attention.sliding_window_pattern", 1)  # usually none

    a: dict[str, np.ndarray] = {}  # what this gives back

    def norm(stage, x, name):
        parts = rms_norm(x, w(name + ".weight"), eps)
        a.update(zip((stage + ".scale", stage + ".normalized", stage + ".out"), parts, strict=True))
        return parts[-1]

    def linear(x, name):
        y = x @ w(name + ".weight").T
        return y + w(name + ".bias") if name + ".bias" in weights else y

    x = a["embed"] = w("token_embd.weight")[ids]  # [T, D]

    for i in range(L):
        b, t = f"blocks.{i}.", f"blk.{i}."
        a[b + "resid_pre"] = x

        # Attention. Every head of q and k is a row to be normed, all with one gain.
        h = norm(b + "ln1", x, t + "attn_norm")
        q = a[b + "attn.q"] = linear(h, t + "attn_q").reshape(T, H, E)
        k = a[b + "attn.k"] = linear(h, t + "attn_k").reshape(T, G, E)
        v = a[b + "attn.v"] = linear(h, t + "attn_v").reshape(T, G, E)
        q = a[b + "attn.q_norm"] = rms_norm(q, w(t + "attn_q_norm.weight"), eps)[-1]
        k = a[b + "attn.k_norm"] = rms_norm(k, w(t + "attn_k_norm.weight"), eps)[-1]
        q, k = a[b + "attn.rot_q"], a[b + "attn.rot_k"] = rope(q, f, m), rope(k, f, m)
        scores = by_head(q) @ by_head(share(k, H)).swapaxes(1, 2) / np.sqrt(E)  # [H, T, T]
        seen = visible(T, window if windowed(i, which) else 0)
        scores = a[b + "attn.scores"] = np.where(seen, scores, -np.inf)
        pattern = a[b + "attn.pattern"] = softmax(scores)
        z = a[b + "attn.z"] = by_head(pattern @ by_head(share(v, H)))  # [T, H, E]
        out = a[b + "attn.out"] = a[b + "attn.out_post"] = linear(z.reshape(T, H * E), t + "attn_output")
        x = a[b + "resid_mid"] = x + out

        # Feed-forward.
        h = norm(b + "ln2", x, t + "ffn_norm")
        a[b + "mlp.pre"], a[b + "mlp.pre_linear"] = linear(h, t + "ffn_gate"), linear(h, t + "ffn_up")  # [T, F]
        a[b + "mlp.post"] = silu(a[b + "mlp.pre"]) * a[b + "mlp.pre_linear"]
        out = a[b + "mlp.out"] = a[b + "mlp.out_post"] = linear(a[b + "mlp.post"], t + "ffn_down")
        x = a[b + "resid_post"] = x + out

    # The head is the embedding again, unless the file brings its own.
    h = norm("ln_final", x, "output_norm")
    head = w("output.weight" if "output.weight" in weights else "token_embd.weight")
    a["unembed.out"] = a["logits"] = h @ head.T  # [T, V]
    return a
