"""gpt-oss, straight through: token ids in, every named activation out, in float64 NumPy.

A witness for the graph: it knows neither graph nor kernels, keeps no cache and has no batch. Tensor names, shapes
(out, in) and metadata keys are GGUF's; activations bear the names of the graph's stages.

Source: OpenAI 2025, arXiv:2508.10925, sec. 2; sinks: Xiao et al. 2023, arXiv:2309.17453, sec. 3.3; experts: Shazeer et
al. 2017, arXiv:1701.06538, sec. 2.1; the clamp and its constants: the published checkpoint's config.json.
Axes: T tokens, D model width, H query heads, G key/value heads, E head width, F an expert's feed-forward width,
X experts, A active experts, V vocabulary.
"""

import numpy as np

from cutaway.reference.parts import by_head, frequencies, rms_norm, rope, share, softmax, visible, windowed

ALPHA, LIMIT = 1.702, 7.0  # swiglu_alpha, swiglu_limit; files have no key for them


def with_sink(scores, sinks):  # [H, T, T], [H] -> pattern [H, T, T], on the sink [H, T]
    """Softmax over what a token sees and one number more per head, which has no value behind it: a row of the pattern
    sums to less than 1, and the rest lies on the sink."""
    more = np.broadcast_to(sinks[:, None, None], (*scores.shape[:2], 1))
    p = softmax(np.concatenate([scores, more], axis=-1))
    return p[..., :-1], p[..., -1]


def choose(logits, A):  # [T, X] -> indices, weights [T, A]
    """The A largest in falling order, the lower index first of equals; softmax over those alone."""
    indices = np.argsort(-logits, axis=-1, kind="stable")[:, :A]
    return indices, softmax(np.take_along_axis(logits, indices, axis=-1))


def experts(x, indices, w, bias):  # [T, A, K], [T, A], [X, N, K], [X, N] -> [T, A, N]
    """A linear layer of which every expert has its own: row (t, a) goes through that of indices[t, a]."""
    y = np.empty((*indices.shape, w.shape[1]))
    for e in np.unique(indices):
        y[indices == e] = x[indices == e] @ w[e].T + bias[e]
    return y


def clamped_swiglu(gate, up):
    """The gate is cut above, the other branch on both sides, and then moved up by one."""
    gate, up = np.minimum(gate, LIMIT), np.clip(up, -LIMIT, LIMIT)
    return gate / (1 + np.exp(-ALPHA * gate)) * (up + 1)


def run(metadata, weights, ids):
    """Every activation of one sequence.

    metadata: GGUF keys to values.  weights: GGUF tensor names to arrays of floats.  ids: [T].
    """
    key = lambda name, *default: metadata.get("gpt-oss." + name, *default)
    w = lambda name: np.asarray(weights[name], np.float64)
    L, H, eps = key("block_count"), key("attention.head_count"), key("attention.layer_norm_rms_epsilon")
    T, G, A = len(ids), key("attention.head_count_kv", H), key("expert_used_count")
    E = key("attention.key_length", key("embedding_length") // H)
    f, m = frequencies(key, weights, key("rope.dimension_count", E), T, whole=False)
    window, which = key("attention.sliding_window"), key("attention.sliding_window_pattern", 2)

    a: dict[str, np.ndarray] = {}  # what this gives back

    def norm(stage, x, name):
        parts = rms_norm(x, w(name + ".weight"), eps)
        a.update(zip((stage + ".scale", stage + ".normalized", stage + ".out"), parts, strict=True))
        return parts[-1]

    def linear(x, name):
        y = x @ w(name + ".weight").T
        return y + w(name + ".bias") if name + ".bias" in weights else y

    def through(x, chosen, name):
        return experts(x, chosen, w(name + ".weight"), w(name + ".bias"))

    x = a["embed"] = w("token_embd.weight")[ids]  # [T, D]

    for i in range(L):
        b, t = f"blocks.{i}.", f"blk.{i}."
        a[b + "resid_pre"] = x

        # Attention: every other layer, from the first on, sees a window.
        h = norm(b + "ln1", x, t + "attn_norm")
        q = a[b + "attn.q"] = linear(h, t + "attn_q").reshape(T, H, E)
        k = a[b + "attn.k"] = linear(h, t + "attn_k").reshape(T, G, E)
        v = a[b + "attn.v"] = linear(h, t + "attn_v").reshape(T, G, E)
        q, k = a[b + "attn.rot_q"], a[b + "attn.rot_k"] = rope(q, f, m), rope(k, f, m)
        scores = by_head(q) @ by_head(share(k, H)).swapaxes(1, 2) / np.sqrt(E)  # [H, T, T]
        seen = visible(T, window if windowed(i, which) else 0)
        scores = a[b + "attn.scores"] = np.where(seen, scores, -np.inf)
        a[b + "attn.pattern"], a[b + "attn.sink"] = with_sink(scores, w(t + "attn_sinks.weight"))
        z = a[b + "attn.z"] = by_head(a[b + "attn.pattern"] @ by_head(share(v, H)))  # [T, H, E]
        out = a[b + "attn.out"] = a[b + "attn.out_post"] = linear(z.reshape(T, H * E), t + "attn_output")
        x = a[b + "resid_mid"] = x + out

        # Feed-forward: a router picks A of X experts for each token. The file names the norm for what precedes it.
        h = norm(b + "ln2", x, t + "post_attention_norm")
        logits = a[b + "moe.router_logits"] = linear(h, t + "ffn_gate_inp")  # [T, X]
        chosen, amounts = a[b + "moe.expert_indices"], a[b + "moe.expert_weights"] = choose(logits, A)  # [T, A]
        rows = np.repeat(h[:, None], A, axis=1)  # [T, A, D]
        gate = a[b + "moe.experts.pre"] = through(rows, chosen, t + "ffn_gate_exps")  # [T, A, F]
        up = a[b + "moe.experts.pre_linear"] = through(rows, chosen, t + "ffn_up_exps")
        post = a[b + "moe.experts.post"] = clamped_swiglu(gate, up)
        out = a[b + "moe.experts.out"] = through(post, chosen, t + "ffn_down_exps")  # [T, A, D]
        out = a[b + "mlp.out"] = a[b + "mlp.out_post"] = np.sum(amounts[..., None] * out, axis=1)
        x = a[b + "resid_post"] = x + out

    # The head is the file's own.
    h = norm("ln_final", x, "output_norm")
    a["unembed.out"] = a["logits"] = h @ w("output.weight").T  # [T, V]
    return a
