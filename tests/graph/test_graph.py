"""Graphs as data: printed, copied, edited and run; what does not hold together is refused before anything runs."""

import cutaway as ct
import numpy as np
import pytest

TEXT = "And the LORD said unto Moses"


@pytest.fixture(scope="module")
def model(data):
    return ct.load(data / "tiny/llama/llama-F16.gguf")


def test_prints_as_a_table(model):
    lines = repr(model.graph).splitlines()
    assert "102 stages, 4 layers" in lines[0] and lines[1].split() == ["stage", "shape", "op", "reads", "weights"]
    assert len(lines) == 2 + len(model.graph)
    assert "blk.0.attn_q.weight" in next(line for line in lines if line.startswith("blocks.0.attn.q "))


def test_a_copy_runs_to_the_same_bits(model):
    assert model.with_graph(model.graph.copy()).run(TEXT).tobytes() == model.run(TEXT).tobytes()


def test_a_dropped_layer_is_a_layer_less(model):
    graph = model.graph.copy()
    graph.drop_layer(2)
    short = model.with_graph(graph)
    logits, cache = short.run_with_cache(TEXT, "blocks.*.resid_post")
    assert list(cache) == [f"blocks.{i}.resid_post" for i in (0, 1, 3)]
    # The same as a layer whose two contributions are nothing.
    nothing = [(f"blocks.2.{part}.out_post", ct.edit.zero()) for part in ("attn", "mlp")]
    assert np.array_equal(model.run_with_hooks(TEXT, nothing), logits)
    assert ct.compare(short, "numpy", TEXT)


def test_a_stage_can_be_added(model):
    graph = model.graph.copy()
    graph.insert_after(
        "blocks.1.resid_post", ct.Stage("twice", "add", ["blocks.1.resid_post"] * 2, shape=[-1, 64], axes="T D")
    )
    graph["blocks.2.resid_pre"].reads = ["twice"]
    edited = model.with_graph(graph)
    expected = model.run_with_hooks(TEXT, [("blocks.1.resid_post", ct.edit.scale(2.0))])
    assert np.array_equal(edited.run(TEXT), expected) and ct.compare(edited, "numpy", TEXT)


def test_an_op_can_be_swapped(model):
    graph = model.graph.copy()
    stage = graph["blocks.3.mlp.post"]
    stage.op, stage.reads = "gelu", stage.reads[:1]
    edited = model.with_graph(graph)
    assert ct.compare(edited, "numpy", TEXT) and not np.array_equal(edited.run(TEXT), model.run(TEXT))


def test_unfused_is_fused_bit_for_bit(model, data):
    """One kernel per stage gives the bits of the fused plan."""
    for m in (model, ct.load(data / "tiny/gpt2/gpt2-F16.gguf"), ct.load(data / "tiny/llama-k/llama-k-Q4_K.gguf")):
        ids = m.to_tokens(TEXT).ids
        with m.session() as a, m.session() as b:
            fused, chain = a.forward([ids], all_rows=True), b.forward([ids], all_rows=True, chain=True, record=True)
        assert {len(e["covers"]) for e in chain.executed} <= {0, 1}
        assert fused.logits.tobytes() == chain.logits.tobytes()


def spoil(field, value):
    return lambda stage: setattr(stage, field, value)


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("blocks.0.attn.q", spoil("op", "matmull"), "there is no op matmull"),
        ("blocks.0.attn.q", spoil("reads", ["logits"]), "which no stage before it writes"),
        ("blocks.0.attn.q", spoil("reads", []), "takes 1 reads, got 0"),
        ("blocks.0.attn.q", spoil("name", "blocks.0.attn.k"), "two stages are named"),
        ("blocks.0.attn.q", spoil("shape", [64, 16]), "the first is T"),
        ("blocks.0.attn.q", spoil("shape", [-1, 0]), "expected S"),
        ("blocks.0.attn.v", spoil("shape", [-1, 64]), "the cache takes rows of 32"),
        ("blocks.0.attn.v", spoil("cache", "state"), "expected keys or values"),
        ("blocks.0.attn.v", spoil("layer", 4), "in layers 0 to 3"),
        ("blocks.0.attn.q", lambda s: setattr(s.weights[0], "rows", 65), "are not inside"),
        ("blocks.0.attn.q", lambda s: setattr(s.weights[0], "heads", 3), "cannot be halved"),
    ],
)
def test_what_does_not_hold_together_is_refused(model, name, change, message):
    graph = model.graph.copy()
    change(graph[name])
    with pytest.raises(ct.errors.ArgumentError, match=message):
        model.with_graph(graph)


def test_a_shape_that_the_op_does_not_give_is_refused_when_it_runs(model):
    graph = model.graph.copy()
    graph["blocks.0.attn.q"].shape = [-1, 3, 16]
    with pytest.raises(ct.errors.ShapeError, match=r"blocks.0.attn.q: out is"):
        model.with_graph(graph).run(TEXT)
    assert np.isfinite(model.run(TEXT)).all()
