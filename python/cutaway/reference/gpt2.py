"""GPT-2, straight through: token ids in, every named activation out, in float64 NumPy.

A witness for the graph: it knows neither graph nor kernels, keeps no cache and has no batch. Tensor names, shapes
(out, in) and metadata keys are GGUF's; activations bear the names of the graph's stages.

Source: Radford et al. 2019, "Language models are unsupervised multitask learners".
Axes: T tokens, D model width, H heads, E head width, F feed-forward width, V vocabulary.
"""

import numpy as np

from cutaway.reference.parts import by_head, gelu, softmax, visible


def layer_norm(x, w, b, eps):  # [T, D] -> scale [T, 1], normalized [T, D], out [T, D]
    """Centre each row, divide by its root mean square, then gain and bias.  Ba et al. 2016, arXiv:1607.06450, eq. 4."""
    centred = x - x.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + eps)
    return scale, centred / scale, centred / scale * w + b


def run(metadata, weights, ids):
    """Every activation of one sequence.

    metadata: GGUF keys to values.  weights: GGUF tensor names to arrays of floats.  ids: [T].
    """
    key = lambda name: metadata["gpt2." + name]
    w = lambda name: np.asarray(weights[name], np.float64)
    L, H, eps = key("block_count"), key("attention.head_count"), key("attention.layer_norm_epsilon")
    T, E = len(ids), key("embedding_length") // H
    linear = lambda x, name: x @ w(name + ".weight").T + w(name + ".bias")

    a: dict[str, np.ndarray] = {}  # what this gives back

    def norm(stage, x, name):
        parts = layer_norm(x, w(name + ".weight"), w(name + ".bias"), eps)
        a.update(zip((stage + ".scale", stage + ".normalized", stage + ".out"), parts, strict=True))
        return parts[-1]

    a["embed"] = w("token_embd.weight")[ids]  # [T, D]
    a["pos_embed"] = w("position_embd.weight")[:T]  # [T, D]: positions are learned, the first token stands at 0
    x = a["embed"] + a["pos_embed"]

    for i in range(L):
        b, t = f"blocks.{i}.", f"blk.{i}."
        a[b + "resid_pre"] = x

        # Attention. The fused matrix gives all of q, then all of k, then all of v, each head after head.
        h = norm(b + "ln1", x, t + "attn_norm")
        q, k, v = (part.reshape(T, H, E) for part in np.split(linear(h, t + "attn_qkv"), 3, axis=-1))
        scores = by_head(q) @ by_head(k).swapaxes(1, 2) / np.sqrt(E)  # [H, T, T]
        scores = np.where(visible(T), scores, -np.inf)
        pattern = softmax(scores)
        z = by_head(pattern @ by_head(v))  # [T, H, E]
        out = linear(z.reshape(T, H * E), t + "attn_output")
        for name, value in (("q", q), ("k", k), ("v", v), ("scores", scores), ("pattern", pattern), ("z", z)):
            a[b + "attn." + name] = value
        a[b + "attn.out"] = a[b + "attn.out_post"] = out
        x = a[b + "resid_mid"] = x + out

        # Feed-forward.
        h = norm(b + "ln2", x, t + "ffn_norm")
        a[b + "mlp.pre"] = linear(h, t + "ffn_up")  # [T, F]
        a[b + "mlp.post"] = gelu(a[b + "mlp.pre"])
        out = a[b + "mlp.out"] = a[b + "mlp.out_post"] = linear(a[b + "mlp.post"], t + "ffn_down")
        x = a[b + "resid_post"] = x + out

    # The head is the embedding again, unless the file brings its own.
    h = norm("ln_final", x, "output_norm")
    head = w("output.weight" if "output.weight" in weights else "token_embd.weight")
    a["unembed.out"] = a["logits"] = h @ head.T  # [T, V]
    return a
