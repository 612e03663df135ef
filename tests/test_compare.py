"""The measuring stick itself: nothing reported without a fault, and every planted fault found at exactly its stage."""

import importlib
import json

import cutaway as ct
import numpy as np
import pytest

TEXT = "And the LORD said unto Moses"
MODELS = ["llama/llama-F16", "gpt2/gpt2-F16", "llama-k/llama-k-Q4_1", "llama-k/llama-k-Q6_K"]


# Of these one layer of each kind of stage is tried.
SAMPLED = ["qwen2/qwen2-F16", "qwen3/qwen3-BF16", "phi3/phi3-F16", "phi3-longrope/phi3-longrope-BF16"]
SAMPLED += ["gemma3/gemma3-BF16", "gpt-oss/gpt-oss-BF16", "gpt-oss/gpt-oss-MXFP4_MOE"]
BEYOND = ["gemma3/gemma3-BF16", "phi3-longrope/phi3-longrope-BF16", "gpt-oss/gpt-oss-MXFP4_MOE"]
BOTH = [(m, n) for m in MODELS + SAMPLED for n in ("fast", "exact")]


@pytest.fixture(scope="module", params=BOTH, ids=lambda p: "-".join(p))
def model(request, data):
    name, numerics = request.param
    return ct.load(data / "tiny" / f"{name}.gguf", numerics=numerics)


def test_a_right_model_has_no_first_wrong_stage(model):
    report = ct.compare(model, "numpy", TEXT)
    assert report and report.first is None
    listed = {r.stage for r in report.rows}
    assert set(model.stages()) <= listed, "every stage is listed"
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True


@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize(
    "name", ["gemma3/gemma3-BF16", "phi3-longrope/phi3-longrope-BF16", "gpt-oss/gpt-oss-MXFP4_MOE"]
)
def test_a_right_model_beyond_windows_and_short_factors(data, name, numerics):
    m = ct.load(data / "tiny" / f"{name}.gguf", numerics=numerics)
    ids = np.load(data / "tiny" / name.split("/")[0] / "golden.npz")["long_ids"]
    assert len(ids) > 128
    for b in ("numpy", ct.load(data / "tiny" / f"{name}.gguf", numerics=numerics)):
        report = ct.compare(m, b, ids)
        assert report.first is None, report.summary()


def test_accumulated_error_is_rounding(model):
    report = ct.compare(model, "numpy", TEXT, mode="accumulate")
    assert report and {r.stage for r in report.rows} == set(model.stages())


def one_percent(act, hook):
    """One part in a hundred on one channel (one head, where the axis of channels is that of keys)."""
    if hook.name.endswith("expert_indices"):  # whole numbers: another expert in place of the last
        act[..., -1] = (act[..., -1] + 1) % 8
    elif hook.name.endswith(("scores", "pattern")):
        act[:, act.shape[1] // 2] *= np.float32(1.01)
    else:
        act[..., act.shape[-1] // 2] *= np.float32(1.01)


def one_of_each_kind(model):
    """A stage of every name, those of layers from one layer after the other."""
    kinds = {}
    for name in model.stages():
        kinds.setdefault(name.split(".", 2)[2] if name.startswith("blocks.") else name, []).append(name)
    return [names[i % len(names)] for i, names in enumerate(kinds.values())]


def test_a_fault_in_any_stage_is_found_at_exactly_that_stage(model, request):
    sampled = request.node.callspec.params["model"][0] in SAMPLED
    for stage in one_of_each_kind(model) if sampled else model.stages():
        with model.hooks([(stage, one_percent)]):
            report = ct.compare(model, "numpy", TEXT)
        wrong = [r.stage for r in report.rows if not r.ok]
        assert wrong == [stage], f"planted in {stage}, found in {wrong}"


# --- real mistakes ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama(data):
    return ct.load(data / "tiny/llama/llama-F16.gguf")


def first_wrong(bad, good):
    report = ct.compare(bad, good, TEXT)
    assert not report
    return report.first.stage


def edited(model, change):
    graph = model.graph.copy()
    change(graph)
    return model.with_graph(graph)


def test_the_same_model_twice_agrees(llama, data):
    assert ct.compare(llama, ct.load(data / "tiny/llama/llama-F16.gguf", target="scalar"), TEXT)


def test_wrong_eps(llama):
    bad = edited(llama, lambda g: g["blocks.2.ln2.scale"].attributes.update(eps=1e-3))
    assert first_wrong(bad, llama) == "blocks.2.ln2.scale"


def test_rope_in_the_files_order(llama):
    def change(graph):
        graph["blocks.1.attn.q"].weights[0].heads = 0

    assert first_wrong(edited(llama, change), llama) == "blocks.1.attn.q"


def test_rope_pairs_adjacent(llama):
    def adjacent(act, hook):
        # (i, i + half) pairs turned as (2i, 2i + 1): what a kernel with the other pairing gives
        pairs = act.reshape(*act.shape[:-1], 2, -1)
        return np.ascontiguousarray(np.swapaxes(pairs, -1, -2)).reshape(act.shape)

    with llama.hooks([("blocks.3.attn.rot_k", adjacent)]):
        assert ct.compare(llama, "numpy", TEXT).first.stage == "blocks.3.attn.rot_k"


def test_rope_base(llama):
    def change(graph):
        graph.constants["$rope.frequencies"] = [f * 1.001 for f in graph.constants["$rope.frequencies"]]

    assert first_wrong(edited(llama, change), llama) == "blocks.0.attn.rot_q"


def test_mask_off_by_one(llama):
    bad = edited(llama, lambda g: g["blocks.1.attn.scores"].attributes.update(window=7))
    assert first_wrong(bad, llama) == "blocks.1.attn.scores"


def test_the_future_is_seen(llama):
    def unmask(act, hook):
        act[0, 0, 2, 3] = act[0, 0, 2, 2]

    with llama.hooks([("blocks.0.attn.scores", unmask)]):
        assert ct.compare(llama, "numpy", TEXT).first.stage == "blocks.0.attn.scores"


def with_bytes(source, path, tensor, change):
    """A copy of a file in which one tensor's stored bytes are changed."""
    data = bytearray(source.read_bytes())
    file = ct._core.open_gguf(str(source))
    info = file.tensor(tensor)
    raw = file.raw(tensor)
    data[info.offset : info.offset + info.bytes] = change(raw.copy(), info.shape).tobytes()
    path.write_bytes(data)
    return ct.load(path)


def test_nibbles_swapped(data, tmp_path):
    source = data / "tiny/llama-k/llama-k-Q4_0.gguf"

    def swap(raw, shape):
        blocks = raw.reshape(-1, 18)
        blocks[:, 2:] = blocks[:, 2:] >> 4 | blocks[:, 2:] << 4
        return raw

    bad = with_bytes(source, tmp_path / "bad.gguf", "blk.1.ffn_down.weight", swap)
    assert first_wrong(bad, ct.load(source)) == "blocks.1.mlp.out"


def test_head_read_with_the_wrong_layout(data, tmp_path):
    source = data / "tiny/llama/llama-F16.gguf"

    def transposed(raw, shape):
        return np.ascontiguousarray(raw.view(np.uint16).reshape(shape[1], shape[0]).T).view(np.uint8)

    bad = with_bytes(source, tmp_path / "bad.gguf", "output.weight", transposed)
    assert first_wrong(bad, ct.load(source)) == "unembed.out"


def test_a_cache_that_is_not_written(llama, monkeypatch):
    module = importlib.import_module("cutaway.compare")
    trace = module._Trace(llama, llama.to_tokens(TEXT).ids)
    trace.keys["blocks.2.attn.v"] = np.zeros_like(trace.keys["blocks.2.attn.v"])
    monkeypatch.setattr(module, "_Trace", lambda *_: trace)
    assert ct.compare(llama, "numpy", TEXT).first.stage == "blocks.2.attn.v@cache"


def test_a_fault_that_only_one_token_alone_shows(llama, monkeypatch):
    """Kernels have other paths for one token than for several."""
    module = importlib.import_module("cutaway.compare")
    traced = module._Trace.__init__

    def broken(self, model, ids, before=None):
        traced(self, model, ids, before)
        if before is not None:
            self.values["blocks.1.mlp.post"][0, 7] *= 1.01

    monkeypatch.setattr(module._Trace, "__init__", broken)
    tokens = llama.to_tokens(TEXT)
    first = ct.compare(llama, "numpy", tokens).first
    assert first.stage == "blocks.1.mlp.post" and first.at == [len(tokens) - 1, 7]
    assert first.reference == "numpy, the last token alone"
    assert ct.compare(llama, "numpy", tokens.ids[:1]).first is None  # one token is alone already


def test_nan_is_found_where_it_begins(llama):
    def poison(act, hook):
        act[0, 3, 5] = np.nan

    with llama.hooks([("blocks.1.mlp.out", poison)]):
        report = ct.compare(llama, "numpy", TEXT)
        assert report.first.stage == "blocks.1.mlp.out"
        assert report.summary().endswith("wrong; it reads blk.1.ffn_down.weight (f16)")
        with pytest.raises(ct.errors.NonFiniteError, match="blocks.1.mlp.out has NaN at token 3, channel 5"):
            llama.run(TEXT, check="finite")


@pytest.mark.parametrize("kwargs, error", [({"mode": "guess"}, "mode is"), ({"b": "torch"}, "b is 'torch'")])
def test_refusals(llama, kwargs, error):
    with pytest.raises(ct.errors.ArgumentError, match=error):
        ct.compare(llama, kwargs.pop("b", "numpy"), TEXT, **kwargs)
    with pytest.raises(ct.errors.ArgumentError, match="one sequence"):
        ct.compare(llama, "numpy", [TEXT, TEXT])


# --- check and probe --------------------------------------------------------------------------------------------------


def test_check_holds(model):
    report = ct.check(model, TEXT)
    assert report and len(report.rows) == 7, repr(report)


@pytest.mark.parametrize(
    "name", ["gemma3/gemma3-BF16", "gpt-oss/gpt-oss-MXFP4_MOE", "phi3-longrope/phi3-longrope-BF16"]
)
def test_check_holds_beyond_windows_and_short_factors(data, name):
    m = ct.load(data / "tiny" / f"{name}.gguf")
    ids = np.load(data / "tiny" / name.split("/")[0] / "golden.npz")["long_ids"][:140]
    report = ct.check(m, ids)
    assert report and len(report.rows) == 7, repr(report)


def test_check_names_the_stage_that_breaks(llama):
    def depends_on_the_call(act, hook):
        act[..., 0] += np.float32(act.shape[1])

    with llama.hooks([("blocks.1.attn.out", depends_on_the_call)]):
        report = ct.check(llama, TEXT, ["repeat", "prefill_vs_decode"])
    assert report.rows[0].ok
    assert report.first.kernel == "prefill_vs_decode" and report.first.stage == "blocks.1.attn.out"
    assert llama.check(TEXT, "repeat") and llama.check(TEXT, ["repeat"]).mode == "check"
    with pytest.raises(ct.errors.ArgumentError, match="no check 'batch'\n.*there are batch_vs_single"):
        llama.check(TEXT, "batch")
    with pytest.raises(ct.errors.ArgumentError, match="no check"):
        ct.check(llama, TEXT, "prefill")


@pytest.mark.parametrize("op", sorted(ct.ops._TABLE))
def test_probe_every_op(op):
    assert ct.probe(op, shapes=[(2, 96)]), op


def test_probe_on_captured_inputs(model):
    op = next(s["op"] for s in model._core.steps() if "norm" in s["op"])
    report = ct.probe(op, model=model, tokens=TEXT)
    assert report and len({r.stage for r in report.rows}) > 3


@pytest.mark.parametrize(
    "fault, seen",
    [("two threads", "[1, 97], 2 threads"), ("tail", "[1, 97]"), ("many", "[97, 32]"), ("guard", "[1, 64]")],
)
def test_probe_tries_threads_and_tails_and_many_tokens_and_reads_the_guards(fault, seen, monkeypatch):
    run_op = ct.ops._core.run_op

    def faulty(op, reads, weights, attributes, target, threads, guard):
        out = run_op(op, reads, weights, attributes, target, threads, guard)
        if fault == "guard":
            raise ct.errors.InternalError("gelu/scalar left element 3 of its output unwritten")
        if fault == "many":
            out[48:] *= np.float32(1.01)
        elif out.shape[-1] % 16 and (threads == 2 or fault == "tail"):
            out[-1, -1] *= np.float32(1.01)
        return out

    monkeypatch.setattr(ct.ops._core, "run_op", faulty)
    report = ct.probe("gelu/scalar")
    assert not report and report.first.stage.startswith(seen) and report.first.kernel == "gelu/scalar"
    assert fault != "guard" or "left element 3" in report.first.stage


def test_probe_refuses():
    with pytest.raises(ct.errors.ArgumentError, match="there is no op"):
        ct.probe("rms_nrom")
    with pytest.raises(ct.errors.UnsupportedOperation, match="no kernel for target"):
        ct.probe("rms_norm/neon")
