"""Llama, straight through: token ids in, every named activation out, in float64 NumPy.

A witness for the graph: it knows neither graph nor kernels, keeps no cache and has no batch. Tensor names, shapes
(out, in) and metadata keys are GGUF's; activations bear the names of the graph's stages.

Source: Touvron et al. 2023, arXiv:2302.13971, sec. 2.2; grouped heads: Ainslie et al. 2023, arXiv:2305.13245.
Axes: T tokens, D model width, H query heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
"""

import numpy as np

from cutaway.reference.parts import by_head, frequencies, rms_norm, rope, share, silu, softmax, visible


def unpermute(w, heads):  # [heads * E, ...], rows of q or k
    """Rows in the order of the published checkpoint. Those that turn together, j and j + E/2 of each head, lie side by
    side in GGUF, where the converter put them."""
    return w.reshape(heads, -1, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def run(metadata, weights, ids):
    """Every activation of one sequence.

    metadata: GGUF keys to values.  weights: GGUF tensor names to arrays of floats.  ids: [T].
    """
    key = lambda name, *default: metadata.get("llama." + name, *default)
    w = lambda name: np.asarray(weights[name], np.float64)
    L, H, eps = key("block_count"), key("attention.head_count"), key("attention.layer_norm_rms_epsilon")
    T, G = len(ids), key("attention.head_count_kv", H)
    E = key("attention.key_length", key("embedding_length") // H)
    f, m = frequencies(key, weights, E, T)

    a: dict[str, np.ndarray] = {}  # what this gives back

    def norm(stage, x, name):
        parts = rms_norm(x, w(name + ".weight"), eps)
        a.update(zip((stage + ".scale", stage + ".normalized", stage + ".out"), parts, strict=True))
        return parts[-1]

    def linear(x, name, order=lambda rows: rows):
        y = x @ order(w(name + ".weight")).T
        return y + order(w(name + ".bias")) if name + ".bias" in weights else y

    x = a["embed"] = w("token_embd.weight")[ids]  # [T, D]

    for i in range(L):
        b, t = f"blocks.{i}.", f"blk.{i}."
        a[b + "resid_pre"] = x

        # Attention: positions turn the queries and keys; every key/value head serves H / G query heads.
        h = norm(b + "ln1", x, t + "attn_norm")
        q = linear(h, t + "attn_q", lambda rows: unpermute(rows, H)).reshape(T, H, E)
        k = linear(h, t + "attn_k", lambda rows: unpermute(rows, G)).reshape(T, G, E)
        v = linear(h, t + "attn_v").reshape(T, G, E)
        rot_q, rot_k = rope(q, f, m), rope(k, f, m)
        scores = by_head(rot_q) @ by_head(share(rot_k, H)).swapaxes(1, 2) / np.sqrt(E)  # [H, T, T]
        scores = np.where(visible(T), scores, -np.inf)
        pattern = softmax(scores)
        z = by_head(pattern @ by_head(share(v, H)))  # [T, H, E]
        out = linear(z.reshape(T, H * E), t + "attn_output")
        for name, value in (("q", q), ("k", k), ("v", v), ("rot_q", rot_q), ("rot_k", rot_k), ("scores", scores)):
            a[b + "attn." + name] = value
        a[b + "attn.pattern"], a[b + "attn.z"] = pattern, z
        a[b + "attn.out"] = a[b + "attn.out_post"] = out
        x = a[b + "resid_mid"] = x + out

        # Feed-forward: one branch opens and shuts the other.  Shazeer 2020, arXiv:2002.05202, eq. 6, SwiGLU.
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
