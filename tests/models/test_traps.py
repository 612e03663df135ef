"""Traps of these architectures that the lists of faults do not have: put in, each is noticed and named."""

import cutaway as ct
import numpy as np
import pytest
from cutaway.reference import parts
from models.tiny import TINY, golden, path_of


@pytest.fixture(scope="module")
def engine():
    return {name: ct.load(path_of(name), numerics="exact") for name in ("gemma3", "gemma3-short", "gpt-oss", "phi3")}


def rewritten(m, path, keys=None, drop=(), tensors=None):
    """The model of a copy of m's file with other keys, or other bytes of some tensors."""
    file = m.file
    metadata = {key: (file.types[key], file.metadata[key]) for key in file.keys if key not in drop}
    stored = {t.name: (t.format, tuple(t.shape), file.raw(t.name)) for t in file.tensors}
    for name, function in (tensors or {}).items():
        fmt, shape, raw = stored[name]
        stored[name] = fmt, shape, function(raw.copy())
    ct.write_gguf(path, metadata | (keys or {}), stored)
    return ct.load(path, numerics=m.numerics)


def first_wrong(bad, good, ids):
    report = ct.compare(bad, good, ids)
    assert not report
    return report.first.stage


# --- formats ----------------------------------------------------------------------------------------------------------


def in_published_order(raw):
    """MXFP4 codes as Hugging Face has them, neighbours in a byte; GGUF has codes i and i + 16 there."""
    blocks = raw.reshape(-1, 17)
    codes = np.concatenate([blocks[:, 1:] & 15, blocks[:, 1:] >> 4], axis=1)  # [blocks, 32]
    blocks[:, 1:] = codes[:, 0::2] | codes[:, 1::2] << 4
    return blocks.ravel()


def one_octave_up(raw):  # a reader whose e2m1 table is not doubled, with scales meant for one that is
    raw.reshape(-1, 17)[:, 0] += 1
    return raw


@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize("fault", [in_published_order, one_octave_up])
def test_mxfp4_read_otherwise(fault, numerics, tmp_path):
    m = ct.load(TINY / "gpt-oss/gpt-oss-MXFP4_MOE.gguf", numerics=numerics)
    ids = golden("gpt-oss")["short_ids"]
    for tensor, stage in (("gate", "pre"), ("up", "pre_linear"), ("down", "out")):
        bad = rewritten(m, tmp_path / "bad.gguf", tensors={f"blk.2.ffn_{tensor}_exps.weight": fault})
        assert first_wrong(bad, m, ids) == f"blocks.2.moe.experts.{stage}"
        assert np.abs(bad.run(ids) - m.run(ids)).max() > 0.5


# --- gemma3 -----------------------------------------------------------------------------------------------------------


def test_what_gemma3_files_leave_out(engine, tmp_path):
    """No file states the usual pattern, old ones not the local base."""
    m, ids = engine["gemma3"], golden("gemma3")["mid_ids"]
    base, pattern = "gemma3.rope.freq_base_swa", "gemma3.attention.sliding_window_pattern"
    assert base in m.file.keys and pattern not in m.file.keys
    sound = m.run(ids).tobytes()
    assert rewritten(m, tmp_path / "old.gguf", drop=[base]).run(ids).tobytes() == sound
    for usual in (("u32", 6), [True] * 5 + [False, True]):
        assert rewritten(m, tmp_path / "said.gguf", {pattern: usual}).run(ids).tobytes() == sound
    bad = rewritten(m, tmp_path / "bad.gguf", {pattern: ("u32", 2)})
    assert first_wrong(bad, m, ids) == "blocks.1.attn.rot_q"


def test_stretches_that_are_not_for_windows(engine, tmp_path):
    """Factors for all of a model's rope, as llama3's: gemma3's layers with a window turn as they did."""
    m = engine["gemma3"]
    file, factors = m.file, np.linspace(1, 8, 16, dtype=np.float32)
    tensors = {t.name: (t.format, tuple(t.shape), file.raw(t.name)) for t in file.tensors}
    keys = {key: (file.types[key], file.metadata[key]) for key in file.keys}
    ct.write_gguf(tmp_path / "far.gguf", keys, tensors | {"rope_freqs.weight": factors})
    far = ct.load(tmp_path / "far.gguf", numerics="exact")
    constants = far.graph.constants
    np.testing.assert_allclose(constants["$rope.frequencies"], parts.waves(1e6, 32) / factors, rtol=1e-12)
    np.testing.assert_allclose(constants["$rope.local_frequencies"], parts.waves(1e4, 32), rtol=1e-12)
    assert first_wrong(far, m, golden("gemma3")["short_ids"]) == "blocks.5.attn.rot_q"


def test_embedding_scale_rounded_to_bfloat16(engine):
    """As transformers has it when it runs in bfloat16: 9.8125 for sqrt(96)."""
    m, g = engine["gemma3-short"], golden("gemma3-short")
    graph = m.graph.copy()
    graph["blocks.0.resid_pre"].attributes["factor"] = 9.8125
    bad = m.with_graph(graph)
    assert first_wrong(bad, m, g["short_ids"]) == "blocks.0.resid_pre"
    assert np.abs(bad.run(g["long_ids"])[0][g["long_logits_at"]] - g["long_logits"]).max() > 1e-3


def test_logit_softcap(engine, tmp_path):
    m, ids = engine["gemma3"], golden("gemma3")["short_ids"]
    capped = rewritten(m, tmp_path / "cap.gguf", {"gemma3.final_logit_softcapping": 5.0})
    logits, cache = capped.run_with_cache(ids, ["unembed.out"])
    np.testing.assert_allclose(logits, 5 * np.tanh(cache["unembed.out"].astype(float) / 5), rtol=1e-6)
    assert ct.compare(capped, "numpy", ids)
    assert first_wrong(m, capped, ids) == "logits"


# --- gpt-oss ----------------------------------------------------------------------------------------------------------


def test_pattern_rows_made_to_sum_to_one(engine):
    """Part of each row lies on the sink; who divides by the sum of the rest takes it away."""
    m, ids = engine["gpt-oss"], golden("gpt-oss")["short_ids"]
    _, cache = m.run_with_cache(ids, ["blocks.*.attn.pattern", "blocks.*.attn.sink"])
    for i in range(m.cfg.n_layers):
        on_tokens = cache["pattern", i].sum(axis=-1).swapaxes(1, 2)  # [batch, pos, head], as the sink
        np.testing.assert_allclose(on_tokens + cache[f"blocks.{i}.attn.sink"], 1, atol=4e-7)  # worst seen 1.2e-7
        assert on_tokens.min() < 0.9

    def divided(act, hook):
        act /= act.sum(axis=-1, keepdims=True)

    with m.hooks([("blocks.2.attn.pattern", divided)]):
        assert first_wrong(m, "numpy", ids) == "blocks.2.attn.pattern"


@pytest.mark.parametrize("fault", ["stretched", "factor inverted"])
def test_yarn_the_other_way(engine, fault):
    m, ids = engine["gpt-oss"], golden("gpt-oss")["mid_ids"]
    graph = m.graph.copy()
    plain = parts.waves(10000.0, 32)
    if fault == "stretched":  # frequencies multiplied where they should be divided
        graph.constants["$rope.frequencies"] = list(plain**2 / np.array(graph.constants["$rope.frequencies"]))
    else:
        for stage in [s for s in graph if "rot_" in s.name]:
            stage.attributes["attention_factor"] = 1 / stage.attributes["attention_factor"]
    bad = m.with_graph(graph)
    assert first_wrong(bad, m, ids) == "blocks.0.attn.rot_q"
    assert np.abs(bad.run(ids) - m.run(ids)).max() > 1


def test_norm_in_front_of_the_experts(engine):
    """gpt-oss names it post_attention_norm; who takes it for gemma3's norms what attention gives."""
    m, ids = engine["gpt-oss"], golden("gpt-oss")["short_ids"]
    graph = m.graph.copy()
    graph["blocks.1.ln2.scale"].reads = ["blocks.1.attn.out"]
    graph["blocks.1.ln2.normalized"].reads[0] = "blocks.1.attn.out"
    bad = m.with_graph(graph)
    assert first_wrong(bad, m, ids) == "blocks.1.ln2.scale"
    assert np.abs(bad.run(ids) - m.run(ids)).max() > 1


# --- phi3 and llama ---------------------------------------------------------------------------------------------------


def test_window_of_phi3(engine, tmp_path):
    """On every layer, as in the published model: llama.cpp reads the key and ignores it."""
    m, ids = engine["phi3"], golden("phi3")["mid_ids"]
    near = rewritten(m, tmp_path / "near.gguf", {"phi3.attention.sliding_window": ("u32", 16)})
    _, cache = near.run_with_cache(ids, "blocks.*.attn.scores")
    for i in range(near.cfg.n_layers):
        seen = np.isfinite(cache[f"blocks.{i}.attn.scores"][0, 0])
        np.testing.assert_array_equal(seen, parts.visible(len(ids), 16))
    assert ct.compare(near, "numpy", ids)
    assert first_wrong(m, near, ids) == "blocks.0.attn.scores"  # ignored
    assert np.abs(near.run(ids[:16]) - m.run(ids[:16])).max() == 0
    assert np.abs(near.run(ids[:17]) - m.run(ids[:17])).max() > 0.01


@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen2", "qwen3", "phi3", "phi3-longrope", "gemma3", "gpt-oss"])
def test_every_stage_is_the_same_from_both_kinds_of_file(name, numerics):
    """Among them q and k, whose rows GGUF's llama has in another order; gemma3's gains; gpt-oss's gate and up."""
    ids = golden(name)["short_ids"]
    (_, gguf), (_, folder) = (
        ct.load(path, numerics=numerics).run_with_cache(ids, None) for path in (path_of(name), TINY / name / "hf")
    )
    assert list(gguf) == list(folder)
    for stage in gguf:
        assert gguf[stage].tobytes() == folder[stage].tobytes(), stage
