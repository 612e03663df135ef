"""Patching, steering and editing: what they change, where, and what they refuse."""

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import ArgumentError

TEXT = "And the LORD said unto Moses, Go"
Q = "blocks.1.attn.q"


def same(a, b):
    return a.shape == b.shape and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_1"])
def test_patching_a_stage_with_its_own_values_changes_no_bit(model, name):
    m = model(name)
    clean, cache = m.run_with_cache(TEXT)
    for stage in m.stages():
        with m.patch({stage: cache[stage]}):
            assert same(m.run(TEXT), clean), stage


def test_patching_the_last_residual_gives_the_other_runs_logits(model):
    m = model("llama")
    ids = m.to_tokens(TEXT).ids
    other, cache = m.run_with_cache(ids[::-1])
    with m.patch({("resid_post", 3): cache["resid_post", 3]}):
        assert same(m.run(ids), other)
    with m.patch({("resid_post", 3): cache["resid_post", 3]}, pos=-1):
        logits = m.run(ids)
    assert same(logits[:, -1], other[:, -1])
    assert same(logits[:, :-1], m.run(ids)[:, :-1])


@pytest.mark.parametrize("pos", [-1, 4, [1, 3], slice(2, 5)])
def test_patch_at_positions(model, pos):
    m = model("llama")
    _, cache = m.run_with_cache(TEXT, "*.resid_post")
    _, source = m.run_with_cache(m.to_tokens(TEXT).ids[::-1], "*.resid_post")
    stage = "blocks.1.resid_post"
    index = [pos] if isinstance(pos, int) else pos
    expected = cache[stage].copy()
    expected[:, index] = source[stage][:, index]
    for values in (source[stage], source[stage][:, pos]):
        with m.patch({stage: values}, pos=pos):
            _, now = m.run_with_cache(TEXT, stage)
        assert same(now[stage], expected)


def test_steer_adds(model):
    m = model("llama")
    stage = "blocks.1.resid_post"
    _, clean = m.run_with_cache(TEXT, stage)
    vector = np.arange(m.cfg.d_model, dtype=np.float32)
    with m.steer(stage, vector, scale=0.25, pos=-2):
        _, now = m.run_with_cache(TEXT, stage)
    expected = clean[stage].copy()
    expected[:, -2] += np.float32(0.25) * vector
    assert same(now[stage], expected)


def test_pos_of_a_pattern_is_the_query_and_head_is_the_head(model):
    m = model("llama")
    stage = "blocks.1.attn.pattern"
    _, clean = m.run_with_cache(TEXT, stage)
    with m.hooks([(stage, ct.edit.zero(pos=4, head=2))]):
        _, now = m.run_with_cache(TEXT, stage)
    expected = clean[stage].copy()
    expected[:, 2, 4] = 0
    assert same(now[stage], expected)
    with m.patch({stage: clean[stage][:, :, 3]}, pos=-1):
        _, now = m.run_with_cache(TEXT, stage)
    expected = clean[stage].copy()
    expected[:, :, -1] = clean[stage][:, :, 3]
    assert same(now[stage], expected)


def test_pos_minus_one_of_a_batch_is_each_sequences_last_token(model):
    m = model("llama")
    batch = [TEXT, "In the beginning", "And"]
    lengths = [len(m.to_tokens(t)) for t in batch]
    assert len(set(lengths)) == 3
    stage = "blocks.1.resid_post"
    _, clean = m.run_with_cache(batch, stage)
    with m.steer(stage, np.ones(m.cfg.d_model), pos=-1):
        _, now = m.run_with_cache(batch, stage)
    for i, n in enumerate(lengths):
        assert same(now[stage][i, : n - 1], clean[stage][i, : n - 1])
        assert same(now[stage][i, n - 1], clean[stage][i, n - 1] + np.float32(1))
    _, last = m.run_with_cache(batch, [stage, "blocks.1.attn.pattern"], pos=-1)
    for i, n in enumerate(lengths):
        assert same(last[stage][i], clean[stage][i, n - 1])
        _, alone = m.run_with_cache(batch[i], "blocks.1.attn.pattern")
        assert same(last["pattern", 1][i, :, :n], alone["pattern", 1][0, :, -1])


@pytest.mark.parametrize("pos", [99, -99, "last", 1.5, [99], [], True, [[1]], [0.5]])
def test_positions_that_are_none_are_refused(model, pos):
    m = model("llama")
    with pytest.raises(ArgumentError, match="pos is"):
        m.run_with_cache(TEXT, Q, pos=pos)
    with pytest.raises(ArgumentError, match="pos is"), m.hooks([(Q, ct.edit.zero(pos=pos))]):
        m.run(TEXT)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (ct.edit.add(np.zeros(7)), r"\[1, 11, 4, 16\] there, and the given values are \[7\]"),
        (ct.edit.replace(np.zeros((1, 3, 4, 16))), "given values are"),
        (ct.edit.zero(head=4), "head is 4, expected 0 to 3"),
        (ct.edit.zero(head=-1), "head is -1"),
    ],
)
def test_edits_that_do_not_fit_say_so(model, edit, words):
    with pytest.raises(ArgumentError, match=words):
        model("llama").run_with_hooks(TEXT, [(Q, edit)])


def test_a_head_of_a_stage_without_heads_is_refused(model):
    with pytest.raises(ArgumentError, match="has no heads"):
        model("llama").run_with_hooks(TEXT, [("blocks.1.mlp.out", ct.edit.zero(head=0))])
