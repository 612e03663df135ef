"""The straight-line models against another program's numbers: transformers in float64 on small trained models.

What a mistake in them would cost is in test_faults.py.
"""

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core, errors
from cutaway.reference import witness
from cutaway.reference.numpy_executor import NumpyExecutor
from cutaway.reference.weights import FileWeights
from models.planting import llama3_factors
from models.tiny import FILES, PROMPTS, TINY, golden, loss, model, path_of

gguf = pytest.importorskip("gguf", reason="the gguf package reads the models")

# Their files have stretches of rope, worked out in double, in float32.
STRETCHED = ("llama3-rope", "phi3-longrope")


def layers(name):
    metadata = model(name)[0]
    return metadata[metadata["general.architecture"] + ".block_count"]


# --- goldens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", FILES)
def test_numbers_are_those_of_transformers(name, prompt):
    g = {key.removeprefix(prompt + "_"): value for key, value in golden(name).items() if key.startswith(prompt + "_")}
    ids, T = g["ids"], len(g["ids"])
    # One run over prompt and continuation: a row does not depend on what follows it, as the test of that below shows.
    a = witness.run(*model(name), np.concatenate([ids, g["greedy"][:-1]]))
    rows = a["logits"][T - 1 :]
    order = np.argsort(-rows, axis=-1)[:, :2]
    np.testing.assert_array_equal(order, np.stack([g["greedy"], g["greedy_second"]], axis=-1))
    first, second = np.take_along_axis(rows, order, axis=-1).T

    blocks, at = range(layers(name)), g["hidden_at"]
    stages = ["blocks.0.resid_pre", *(f"blocks.{i}.resid_post" for i in blocks)]
    losses = loss(a["logits"][:T], ids)
    off = {
        "hidden": (np.stack([a[stage][at] for stage in stages]), g["hidden"]),
        "final_norm": (a["ln_final.out"][at], g["final_norm"]),
        "logits": (a["logits"][g["logits_at"]], g["logits"]),
        "greedy_gap": (first - second, g["greedy_gap"]),
        "token_nll": (losses, g["token_nll"]),
        "nll": (losses.mean(), g["nll"]),
    }
    if name == "gpt-oss":
        seen = lambda stage: np.stack([a[f"blocks.{i}.moe.{stage}"][at] for i in blocks])
        np.testing.assert_array_equal(seen("expert_indices"), g["experts"])
        off["router_logits"] = (seen("router_logits"), g["router_logits"])
        off["expert_weights"] = (seen("expert_weights"), g["expert_weights"])
    off = {key: np.abs(ours - theirs).max() / np.abs(theirs).max() for key, (ours, theirs) in off.items()}
    # Goldens are float64 rounded to float32, but for nll. Worst seen 5.7e-8 and 3.6e-12; with stored stretches 8.6e-7
    # and 1.4e-8.
    stored, computed = (2e-6, 3e-8) if name in STRETCHED else (6e-8, 1e-11)
    assert off.pop("nll") < computed and max(off.values()) < stored, off


def longrope_in_double():
    short = 1 + 0.05 * np.arange(16)
    long = [1, 1.048, 1.152, 1.312, 1.528, 1.8, 2.128, 2.512, 2.952, 3.448, 4, 4.608, 5.272, 5.992, 6.768, 7.6]
    factor = np.sqrt(1 + np.log(512 / 128) / np.log(128))  # Ding et al. 2024, arXiv:2402.13753, as transformers has it
    return {"phi3.rope.scaling.attn_factor": factor}, {
        "rope_factors_short.weight": short,
        "rope_factors_long.weight": np.array(long),
    }


@pytest.mark.parametrize("name", STRETCHED)
def test_stretches_in_double(name):
    """What a file rounds to float32 is all that parts the witness from transformers."""
    if name == "phi3-longrope":
        numbers, tensors = longrope_in_double()
    else:
        numbers, tensors = {}, {"rope_freqs.weight": llama3_factors()}
    metadata, weights = model(name)
    for key, value in {**numbers, **tensors}.items():
        np.testing.assert_allclose((metadata | weights)[key], value, rtol=4e-7)  # worst seen 1.9e-7
    for prompt in PROMPTS:
        ids = golden(name)[prompt + "_ids"]
        logits = witness.run(metadata | numbers, weights | tensors, ids)["logits"]
        assert loss(logits, ids).mean() == pytest.approx(golden(name)[prompt + "_nll"], rel=4e-12, abs=0)  # 1.1e-12


def test_mxfp4_experts_as_the_package_reads_them():
    """A whole file through our own decoders, blocks of experts [X, N, K] among them."""
    path = TINY / "gpt-oss" / "gpt-oss-MXFP4_MOE.gguf"
    file = _core.open_gguf(path)
    weights = FileWeights(file).all()
    reader = gguf.GGUFReader(path)
    assert sorted(weights) == sorted(t.name for t in reader.tensors)
    assert {file.tensor(name).format for name in weights} == {"mxfp4", "q8_0", "f32"}
    for t in reader.tensors:
        expected = gguf.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1].tolist())
        np.testing.assert_array_equal(weights[t.name], expected, err_msg=t.name)
    g = np.load(path.parent / "golden-quantised.npz")
    for prompt in PROMPTS:
        ids = golden("gpt-oss")[prompt + "_ids"]
        logits, last = witness.run(file.metadata, weights, ids)["logits"], g[f"MXFP4_MOE_{prompt}_last_logits"]
        assert np.abs(logits[-1] - last).max() / np.abs(last).max() < 6e-8  # worst seen 5.4e-8
        assert loss(logits, ids).mean() == pytest.approx(g[f"MXFP4_MOE_{prompt}_nll"], rel=8e-12, abs=0)  # 2.0e-12


# --- the graph --------------------------------------------------------------------------------------------------------


def furthest(ours, theirs):
    """(worst difference as a share of the stage's largest value, the stage)"""
    off = []
    for stage, mine in ours.items():
        expected = theirs[stage].reshape(mine.shape)
        if stage.endswith("expert_indices"):
            np.testing.assert_array_equal(mine, expected)
        seen = ~np.isneginf(expected)
        np.testing.assert_array_equal(np.isneginf(mine), ~seen)
        off.append((np.abs(mine[seen] - expected[seen]).max() / np.abs(expected[seen]).max(), stage))
    return max(off)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", [*FILES, "llama-k", "gemma3-short"])
def test_the_graph_is_the_witness_stage_by_stage(name, prompt):
    """Two descriptions of one model that share nothing: the same stages, and in each the same numbers."""
    m, ids = ct.load(path_of(name), numerics="exact"), golden(name)[prompt + "_ids"]
    theirs = witness.run(*model(name), ids)
    again = {f"blocks.{i}.{part}_post.out" for i in range(layers(name)) for part in ("ln1", "ln2")}  # our aliases
    assert set(theirs) - again == set(m.stages())
    defined = NumpyExecutor(m.graph, m.file, long=len(ids) > m.graph.long_context > 0).run(ids)
    defined = {n: a.swapaxes(0, 1) if n.endswith(("scores", "pattern", "sink")) else a for n, a in defined}
    # In float64: worst seen 7.8e-15; where the ops' definitions round a number of the model to float32, gpt-oss's alpha
    # and gemma3-short's sqrt(96), 9.5e-9 and 1.4e-7.
    assert furthest(defined, theirs) < ({"gpt-oss": 4e-8, "gemma3-short": 5e-7}.get(name, 3e-14), "")
    _, run = m.run_with_cache(ids, None)
    run = {n: a[0].T if n.endswith("sink") else a[0] for n, a in run.items()}
    assert furthest(run, theirs) < (1.5e-5, "")  # in float32: worst seen 3.8e-6


# --- what the activations are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_names_shapes_and_type(name):
    metadata, weights = model(name)
    key = lambda key, *default: metadata.get(f"{metadata['general.architecture']}.{key}", *default)
    D, H, F = key("embedding_length"), key("attention.head_count"), key("feed_forward_length")
    T, G, E, V = (
        7,
        key("attention.head_count_kv", H),
        key("attention.key_length", D // H),
        len(weights["token_embd.weight"]),
    )
    norm = {"scale": (T, 1), "normalized": (T, D), "out": (T, D)}
    both = {"out": (T, D), "out_post": (T, D)}
    attn = {"q": (T, H, E), "k": (T, G, E), "v": (T, G, E), "scores": (H, T, T), "pattern": (H, T, T), "z": (T, H, E)}
    parts = {"ln1": norm, "attn": attn | both, "ln2": norm, "mlp": {"pre": (T, F), "post": (T, F)} | both}
    outer = {"pos_embed": (T, D)} if name == "gpt2" else {}
    if name != "gpt2":
        parts["attn"] |= {"rot_q": (T, H, E), "rot_k": (T, G, E)}
        parts["mlp"] |= {"pre_linear": (T, F)}
    if name in ("qwen3", "gemma3"):
        parts["attn"] |= {"q_norm": (T, H, E), "k_norm": (T, G, E)}
    if name == "gemma3":
        parts |= {"ln1_post": norm, "ln2_post": norm}
    if name == "gpt-oss":
        X, A = key("expert_count"), key("expert_used_count")
        parts["attn"] |= {"sink": (H, T)}
        parts["mlp"] = both
        parts["moe"] = {"router_logits": (T, X), "expert_indices": (T, A), "expert_weights": (T, A)}
        parts["moe.experts"] = {"pre": (T, A, F), "pre_linear": (T, A, F), "post": (T, A, F), "out": (T, A, D)}
    expected = {"embed": (T, D), "unembed.out": (T, V), "logits": (T, V)} | outer
    expected |= {f"ln_final.{stage}": shape for stage, shape in norm.items()}
    for i in range(key("block_count")):
        expected |= {f"blocks.{i}.resid_{where}": (T, D) for where in ("pre", "mid", "post")}
        expected |= {f"blocks.{i}.{part}.{s}": shape for part, stages in parts.items() for s, shape in stages.items()}
    a = witness.run(metadata, weights, range(T))
    assert {stage: value.shape for stage, value in a.items()} == expected
    for stage, value in a.items():
        assert value.dtype == (np.int64 if stage.endswith("expert_indices") else np.float64), stage
    for i in range(key("block_count")):
        scores, pattern = a[f"blocks.{i}.attn.scores"], a[f"blocks.{i}.attn.pattern"]
        ahead = np.broadcast_to(~np.tri(T, dtype=bool), scores.shape)
        assert (scores[ahead] == -np.inf).all() and (pattern[ahead] == 0).all() and np.isfinite(scores[~ahead]).all()
        np.testing.assert_allclose(pattern.sum(axis=-1) + a.get(f"blocks.{i}.attn.sink", 0), 1, rtol=1e-15)


@pytest.mark.parametrize("name", FILES)
def test_what_follows_changes_nothing_before(name):
    ids = golden(name)["mid_ids"]
    whole, half = (witness.run(*model(name), part)["logits"] for part in (ids, ids[:40]))
    # The same bits with OpenBLAS; another BLAS may add in another order for another number of rows.
    np.testing.assert_allclose(whole[:40], half, rtol=0, atol=1e-12)


def test_optional_biases_are_added_in_the_order_of_their_rows():
    """A bias on q and k in GGUF's row order adds to the shown q and k in the checkpoint's order."""
    metadata, weights = model("llama")
    stored = np.arange(64.0)  # [H * E] = [4 * 16]
    biases = {"blk.0.attn_q.bias": stored, "blk.0.attn_output.bias": stored, "blk.0.ffn_down.bias": 2 * stored}
    plain, biased = (witness.run(metadata, weights | extra, [5, 9]) for extra in ({}, biases))
    shown = biased["blocks.0.attn.q"] - plain["blocks.0.attn.q"]
    first_head = [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]
    np.testing.assert_allclose(shown[1, 0], first_head, atol=1e-13)
    np.testing.assert_allclose(shown[0, 3], np.add(first_head, 48), atol=1e-13)
    np.testing.assert_array_equal(
        biased["blocks.0.mlp.out"],
        biased["blocks.0.mlp.post"] @ weights["blk.0.ffn_down.weight"].T.astype(float) + 2 * stored,
    )


def test_refusals():
    metadata, weights = model("llama")
    for extra, words in (
        ({"general.architecture": "mamba"}, "'mamba' has no straight-line model"),
        ({"llama.expert_count": 8}, "expert_count is 8"),
        ({"llama.rope.scaling.type": "dynamic"}, "'dynamic'"),
        ({"llama.rope.scaling.type": "longrope"}, "rope_factors_long.weight is missing"),
        ({"llama.attn_logit_softcapping": 50.0}, "attn_logit_softcapping is set"),
    ):
        with pytest.raises(errors.UnsupportedModelError, match=words):
            witness.run(metadata | extra, weights, [1])
    with pytest.raises(errors.ArgumentError, match="empty"):
        witness.run(metadata, weights, [])
    for bad in (-1, 1024):
        with pytest.raises(errors.InvalidTokenId, match=rf"ids\[1\] is {bad}"):
            witness.run(metadata, weights, [0, bad])
    with pytest.raises(errors.ContextLengthExceeded, match="513 tokens"):
        witness.run(*model("gpt2"), [0] * 513)
