"""Captures: what is kept, that watching changes no bit, and that rows line up with tokens."""

import json
import re

import cutaway as ct
import numpy as np
import pytest
from cutaway.cache import at_positions, rows_at
from cutaway.errors import ArgumentError, OutOfMemoryError
from cutaway.kernels.quantize_q8 import quantize_q8

TEXT = "And the LORD said unto Moses, Go"
LONG = list(range(3, 3 + 400))  # more than one chunk of 256 tokens


def same(a, b):
    return a.shape == b.shape and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


# --- watching changes nothing (H09) -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_1", "q4_k", "q6_k"])
@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_logits_are_the_same_bits_with_nothing_one_and_everything_watched(model, name, numerics, threads):
    m = model(name, numerics=numerics, threads=threads)
    one_thread = model(name, numerics=numerics, threads=1)
    for tokens in (TEXT, LONG):
        plain = m.run(tokens)
        assert same(plain, one_thread.run(tokens)), "the number of threads"
        logits, everything = m.run_with_cache(tokens)
        assert same(logits, plain), "everything watched"
        assert same(everything["logits"], plain)
        for stage in m.stages() if tokens is TEXT else ["blocks.0.attn.pattern", "blocks.1.mlp.pre", "ln_final.out"]:
            logits, cache = m.run_with_cache(tokens, stage)
            assert same(logits, plain), stage
            assert same(cache[stage], everything[stage]), stage
            assert len(cache) == 1


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_pattern_is_causal_and_its_rows_sum_to_one(model, name):
    m = model(name)
    _, cache = m.run_with_cache(TEXT, ["*.attn.pattern", "*.attn.scores"])
    n = len(m.to_tokens(TEXT))
    ahead = np.triu(np.ones((n, n), bool), 1)
    for i in range(m.cfg.n_layers):
        assert cache["pattern", i].shape == (1, m.cfg.n_heads, n, n)
        assert (cache["pattern", i][..., ahead] == 0).all()
        assert (cache["attn_scores", i][..., ahead] == -np.inf).all()
        # n float32 terms of at most 1: worst seen 1.2e-7
        assert np.abs(cache["pattern", i].astype(np.float64).sum(-1) - 1).max() < 4e-7


# --- filters and options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names_filter",
    [
        "blocks.*.resid_post",
        ["blocks.0.resid_post", ("resid_post", 1), "l_out-2", "model.layers[3]"],
        re.compile(r"resid_post$"),
        lambda name: name.endswith("resid_post"),
        "blocks.*.hook_resid_post",
        ("blocks.[01].resid_post", "resid_post.2", "blocks.3.hook_out"),
    ],
)
def test_filters_keep_what_they_say(model, names_filter):
    m = model("llama")
    _, whole = m.run_with_cache(TEXT)
    filters = list(names_filter) if isinstance(names_filter, tuple) else names_filter
    _, cache = m.run_with_cache(TEXT, filters)
    assert list(cache) == [f"blocks.{i}.resid_post" for i in range(4)]
    for name in cache:
        assert same(cache[name], whole[name])


def test_three_names_one_array(model):
    _, cache = model("llama").run_with_cache(TEXT, "blocks.2.resid_post")
    a = cache["blocks.2.resid_post"]
    for name in [("resid_post", 2), "blocks.2.hook_resid_post", "resid_post.2", "l_out-2", "model.layers[2]"]:
        assert cache[name] is a
        assert name in cache
    assert ("resid_post", 1) not in cache and "nonsense" not in cache
    with pytest.raises(KeyError, match="was not captured"):
        cache["resid_post", 1]
    with pytest.raises(ArgumentError, match="near it are"):
        cache["blocks.2.resid_pots"]


def test_pos_keeps_only_these(model):
    m = model("llama")
    _, whole = m.run_with_cache(TEXT)
    for pos in (0, 3, -1, -11, slice(2, 6), slice(None, None, 2), slice(-3, None), [1, 5], [-1, 0], np.array([2, 3])):
        for option in ("pos", "pos_slice"):
            _, cache = m.run_with_cache(TEXT, **{option: pos})
            for name in cache:
                wide = name.endswith(("scores", "pattern"))
                assert same(cache[name], whole[name][:, :, pos] if wide else whole[name][:, pos]), (name, pos)


POSITIONS = [0, 3, -1, slice(2, 6), slice(None, None, -3), slice(5, 5), [1, 5], [5, 1, 5], [0, 255, 256, 399], [-1]]


@pytest.mark.parametrize("pos", POSITIONS, ids=str)
@pytest.mark.parametrize("batch", [[LONG], [LONG, LONG[::-1]], [LONG[:7], LONG]], ids=["one", "two", "unequal"])
def test_only_the_rows_at_pos_are_copied_and_they_are_the_rows_of_the_whole(model, pos, batch):
    m = model("q4_1")
    lengths = [len(ids) for ids in batch]
    watch = ["blocks.1.resid_post", "blocks.1.attn.q@act_q8", "logits"]  # goes through in chunks
    watch += ["blocks.1.attn.pattern"] if pos != slice(5, 5) else []  # and this does not
    _, whole = m.run_with_cache(batch, watch)
    if lengths == [7, 400] and pos in (slice(None, None, -3), [-1]):
        with pytest.raises(ArgumentError, match="the end is not in one place"):
            m.run_with_cache(batch, watch, pos=pos)
        return
    _, cache = m.run_with_cache(batch, watch, pos=pos)
    for name in cache:
        axis = 2 if name.endswith("pattern") else 1
        expected = whole[name][at_positions(pos, lengths, axis)]
        assert np.array_equal(cache[name], expected, equal_nan=cache[name].dtype.kind == "f"), name
    assert m.plan_cache(batch, watch, pos) == {n: a.nbytes for n, a in cache.items()}
    keep = rows_at(pos, lengths).keep
    with m.session(sequences=len(batch)) as s:
        out = s.forward([np.array(ids) for ids in batch], watch=list(cache), all_rows=True, keep=keep)
    for c in out.captures:
        if c["positions"]:
            assert c["data"].size == sum(len(k) * m.cfg.n_heads * n for k, n in zip(keep, lengths, strict=True))
        else:
            assert len(c["data"]) == sum(map(len, keep))


def test_stop_at_layer(model):
    for name in ("llama", "gpt2"):
        m = model(name)
        full, whole = m.run_with_cache(TEXT)
        for stop in range(m.cfg.n_layers + 1):
            logits, cache = m.run_with_cache(TEXT, stop_at_layer=stop)
            assert logits is None
            embeddings = [n for n in ("embed", "pos_embed") if n in m.graph]
            assert list(cache) == embeddings + [s.name for s in m.graph if 0 <= s.layer < stop]
            for stage in cache:
                assert same(cache[stage], whole[stage])
        logits, cache = m.run_with_cache(TEXT, "blocks.*.resid_post", stop_at_layer=-1)
        assert list(cache) == [f"blocks.{i}.resid_post" for i in range(m.cfg.n_layers - 1)]
        with pytest.raises(ArgumentError, match=r"blocks\.2\.resid_post lies behind stop_at_layer=2"):
            m.run_with_cache(TEXT, ["blocks.0.resid_post", "blocks.2.resid_post"], stop_at_layer=2)
        for bad in (5, -5, 1.0, "2"):
            with pytest.raises(ArgumentError, match="stop_at_layer is"):
                m.run_with_cache(TEXT, stop_at_layer=bad)


def test_a_budget_names_the_largest_stage_before_anything_runs(model):
    m = model("llama")
    plan = m.plan_cache(LONG, ["*.attn.pattern", "*.resid_post"])
    assert plan["blocks.0.attn.pattern"] == 4 * 4 * 400 * 400
    _, cache = m.run_with_cache(LONG, list(plan), budget=sum(plan.values()))
    assert cache.nbytes() == sum(plan.values())
    assert {n: a.nbytes for n, a in cache.items()} == plan
    with pytest.raises(OutOfMemoryError, match=r"the largest is blocks\.\d\.attn\.pattern with 2\.4 MiB") as error:
        m.run_with_cache(LONG, list(plan), budget=sum(plan.values()) - 1)
    assert error.value.details["largest"].endswith("attn.pattern")
    assert error.value.details["bytes"] == sum(plan.values())
    with pytest.raises(OutOfMemoryError, match="budget is 1.0 MiB"):
        m.run_with_cache(LONG, budget="1MiB")
    # What looks alike when rounded is shown to the byte, and nothing is shown as none.
    with pytest.raises(
        OutOfMemoryError, match=r"1 stage would take 102400 B and the budget is 102399 B; .* 100\.0 KiB"
    ):
        m.run_with_cache(LONG, "blocks.0.resid_post", budget=102399)
    with pytest.raises(OutOfMemoryError, match=r"would take 100\.0 KiB and the budget is 1000 B"):
        m.run_with_cache(LONG, "blocks.0.resid_post", budget=1000)


def test_a_budget_counts_the_rows_at_pos_only(model):
    m = model("llama")
    assert m.plan_cache(LONG, "blocks.0.resid_post", pos=-1) == {"blocks.0.resid_post": 4 * 64}
    _, cache = m.run_with_cache(LONG, "blocks.0.resid_post", pos=-1, budget=256)
    assert cache.nbytes() == 256
    with pytest.raises(OutOfMemoryError, match="would take 512 B and the budget is 511 B"):
        m.run_with_cache(LONG, "blocks.0.resid_post", pos=[0, -1], budget=511)


def test_float16_halves_what_is_kept_and_refuses_what_it_cannot_hold(model):
    m = model("llama")
    _, whole = m.run_with_cache(TEXT)
    for dtype in ("float16", np.float16, np.dtype("float16")):
        logits, cache = m.run_with_cache(TEXT, dtype=dtype)
        assert logits.dtype == np.float32 and cache.nbytes() * 2 == whole.nbytes()
        for name in cache:
            assert same(cache[name], whole[name].astype(np.float16)), name
    assert " float16 min " in repr(cache)
    steered = m.steer("blocks.1.resid_post", np.full(64, 1e5, np.float32))
    beyond = pytest.raises(
        ArgumentError, match=r"blocks\.1\.resid_post holds .* at \[0, 0, 0\], and float16 ends at 65504"
    )
    with beyond, steered:
        m.run_with_cache(TEXT, "blocks.1.resid_post", dtype="float16")
    for bad in ("bfloat16", "int8", float, None):
        with pytest.raises(ArgumentError, match="expected 'float32' or 'float16'"):
            m.run_with_cache(TEXT, dtype=bad)


def test_options_that_mean_nothing_are_refused(model):
    m = model("llama")
    m.run_with_cache(TEXT, "embed", to="cpu", device="cpu")
    for options, words in (
        ({"to": "cuda"}, "to is 'cuda', expected 'cpu'"),
        ({"device": "cuda"}, "device is 'cuda'"),
        ({"pos": 1, "pos_slice": 1}, "mean the same"),
        ({"check": "nan"}, "check is 'nan'"),
    ):
        with pytest.raises(ArgumentError, match=words):
            m.run_with_cache(TEXT, "embed", **options)


# --- inside kernels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["q4_1", "q4_k", "q6_k"])
def test_rounded_activations_are_codes_and_scales_under_each_name_of_theirs(model, name):
    m = model(name)
    listed = m.stages(kernel_taps=True)
    taps = [n for n in listed if "@" in n]
    assert "blocks.1.ln1.out@act_q8" in taps and "blocks.1.attn.z@act_scale" in taps
    assert set(m.stages()) == set(listed) - set(taps)
    logits, cache = m.run_with_cache(
        TEXT, ["*@act_*", "*.ln1.out", "*.attn.z", "*.ln2.out", "*.mlp.post", "ln_final.out"]
    )
    assert same(logits, m.run(TEXT)) and sorted(n for n in cache if "@" in n) == sorted(taps)
    for tap in taps:
        if tap.endswith("@act_scale"):
            continue
        stage = tap.partition("@")[0]
        x, codes, scales = cache[stage], cache[tap], cache[f"{stage}@act_scale"]
        assert codes.dtype == np.int8 and codes.shape == x.shape and scales.dtype == np.float32
        blocks = quantize_q8.reference(x[0])
        assert same(codes[0].ravel(), blocks["q"].ravel()) and same(scales[0], blocks["d"])
        near = codes.reshape(*scales.shape, 32) * scales[..., None]
        # Half a step at most; worst seen 0.5000001 of one.
        assert (np.abs(near - x.reshape(near.shape)) <= 0.5001 * scales[..., None]).all()
    assert cache["blocks.1.attn.q@act_q8"] is cache["blocks.1.ln1.out@act_q8"] is cache["attn.k@act_q8", 1]
    assert cache["mlp.pre_linear@act_scale", 0] is cache["blocks.0.ln2.out@act_scale"]
    assert "blocks.1.ln1.out@act_q8 [1, 11, 256] int8 min" in repr(m.run_with_cache(TEXT, "blocks.1.attn.q@act_q8")[1])
    _, both = m.run_with_cache([TEXT, [5, 6]], "blocks.1.attn.q@act_*")  # as far as the shorter one goes
    assert (both["attn.q@act_q8", 1][1, 2:] == 0).all() and np.isnan(both["attn.q@act_scale", 1][1, 2:]).all()
    g = m.generate(TEXT, max_new_tokens=3, capture="blocks.1.attn.q@act_q8")
    assert same(
        g.cache["attn.q@act_q8", 1], m.run_with_cache(g.prompt_ids + g.ids[:-1], "*@act_q8")[1]["attn.q@act_q8", 1]
    )


def test_taps_that_are_not_there_say_so(model):
    for m in (model("llama"), model("q4_1", numerics="exact")):  # float16 weights, float32 activations
        assert m.stages(kernel_taps=True) == m.stages()
        for names_filter in ("blocks.1.attn.q@act_q8", ("attn.q@act_q8", 1), "*@act_q8"):
            with pytest.raises(ArgumentError, match="no kernel of this model"):
                m.run_with_cache(TEXT, [names_filter])
    m = model("q4_1")
    with pytest.raises(ArgumentError, match="of this stage there is act_q8, act_scale"):
        m.run_with_cache(TEXT, "blocks.1.attn.q@acc")
    with pytest.raises(ArgumentError, match="watched, not changed"):
        m.run_with_hooks(TEXT, [("blocks.1.attn.q@act_q8", ct.edit.zero())])
    with pytest.raises(ArgumentError, match=r"near it are blocks\.1\.attn\.q"):
        m.run_with_cache(TEXT, "blocks.1.attn.qq@act_q8")


@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_1"])
def test_the_kernels_listed_are_those_that_run(model, name, numerics):
    m = model(name, numerics=numerics)
    listed = m.kernels()
    with m.session() as s:
        ran = s.forward([m.to_tokens(TEXT).ids], record=True).executed
    assert [(k.writes, k.stages) for k in listed] == [(e["stage"], e["covers"]) for e in ran]
    assert [k.name or f"copy/{ran[0]['target']}" for k in listed] == [f"{e['op']}/{e['target']}" for e in ran]
    assert [n for k in listed for n in k.stages] == m.stages(), "each stage comes from one kernel, in the graph's order"
    one = m.kernels("blocks.1.attn.pattern")
    assert len(one) == 1 and one[0].writes == "blocks.1.attn.z" and one[0].name.startswith("attention/")
    lines = repr(one).splitlines()
    assert lines[0] == "1 kernel for 3 stages" and lines[1].split() == ["kernel", "writes", "with", "it", "reads"]
    assert "blocks.1.attn.z" in lines[2] and "scores, pattern" in lines[2]
    nothing = m.kernels(("attn.out_post", 1))[0]
    assert nothing.name == "" and "the same as blocks.1.attn.out" in repr(m.kernels(("attn.out_post", 1)))


def test_remove_batch_dim(model):
    m = model("llama")
    whole, full = m.run_with_cache(TEXT, "*.resid_post")
    logits, cache = m.run_with_cache(TEXT, "*.resid_post", remove_batch_dim=True)
    assert same(logits, whole[0]) and all(same(cache[n], full[n][0]) for n in full)
    with pytest.raises(ArgumentError, match="one sequence, got 2"):
        m.run_with_cache([TEXT, TEXT], remove_batch_dim=True)


# --- long prompts and batches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_1"])
@pytest.mark.parametrize("numerics", ["fast", "exact"])
def test_a_batch_of_unequal_lengths_is_its_sequences_one_by_one(model, name, numerics):
    m = model(name, numerics=numerics)
    batch = [LONG[:7], LONG, LONG[5:300], [9]]
    logits, cache = m.run_with_cache(batch)
    assert cache.lengths == [7, 400, 295, 1]
    for i, ids in enumerate(batch):
        n = len(ids)
        alone, single = m.run_with_cache(ids)
        assert same(logits[i, :n], alone[0])
        assert np.isnan(logits[i, n:]).all()
        for stage in m.stages():
            a = cache[stage][i]
            if stage.endswith(("scores", "pattern")):
                assert same(a[:, :n, :n], single[stage][0]) and np.isnan(a[:, n:]).all() and np.isnan(a[:, :, n:]).all()
            else:
                assert same(a[:n], single[stage][0]) and np.isnan(a[n:]).all()
    _, later = m.run_with_cache(batch, "*.resid_post")  # goes through in chunks
    assert all(np.array_equal(later[n], cache[n], equal_nan=True) for n in later)


def test_captures_of_a_session_hold_every_token_of_the_call(model):
    m = model("llama")
    _, whole = m.run_with_cache(LONG)
    with m.session(sequences=3) as s:
        out = s.forward([np.array(LONG), np.array([], np.int32), np.array(LONG[:9])], watch=m.stages())
        assert out.logits.shape == (2, m.cfg.d_vocab)
        assert same(out.logits[0], whole["logits"][0, -1])
        assert same(out.logits[1], whole["logits"][0, 8])
        for stage in m.stages():
            a = out.cache[stage]
            assert len(a) == 3 and np.isnan(a[1]).all(), stage
            assert same(a[0], whole[stage][0]), stage
    for watch in (["ln_final.out"], ["blocks.0.mlp.out"], []):
        with m.session() as s:
            out = s.forward([np.array(LONG)], watch=watch)
            assert same(out.logits, whole["logits"][0, -1:])
            assert all(same(out.cache[n], whole[n]) for n in watch)


# --- captures of generation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2", "q4_k"])
def test_rows_of_a_generation_line_up_with_its_ids(model, name):
    m = model(name)
    watch = ["*.resid_post", "*.attn.rot_q" if name != "gpt2" else "*.attn.q", "ln_final.out", "logits"]
    plain = m.generate(TEXT, max_new_tokens=9)
    g = m.generate(TEXT, max_new_tokens=9, capture=watch)
    assert g.ids == plain.ids and plain.cache is None and plain.manifest == m.manifest()
    assert g.cache.ids == [g.prompt_ids + g.ids[:-1]]
    tokens = g.prompt_ids + g.ids[:-1]
    _, cache = m.run_with_cache(tokens, watch)
    assert list(g.cache) == list(cache)
    for stage in cache:
        assert g.cache[stage].shape[1] == len(g.prompt_ids) + len(g.ids) - 1
        assert same(g.cache[stage], cache[stage]), stage
    # Row p of the logits is what chose token p + 1.
    assert g.cache["logits"][0, len(g.prompt_ids) - 1 :].argmax(-1).tolist() == g.ids


def test_each_step_of_a_stream_has_its_rows(model):
    m = model("llama")
    g = m.generate(TEXT, max_new_tokens=4, capture="*.resid_post")
    steps = list(m.stream(TEXT, max_new_tokens=4, capture="*.resid_post"))
    assert [s.cache["resid_post", 1].shape[1] for s in steps] == [len(g.prompt_ids), 1, 1, 1]
    assert same(np.concatenate([s.cache["resid_post", 1] for s in steps], axis=1), g.cache["resid_post", 1])
    assert next(iter(m.stream(TEXT, max_new_tokens=1))).cache is None


def test_captures_that_cannot_be_joined_are_refused_before_anything_runs(model):
    m = model("llama")
    for capture, words in (("*.attn.pattern", "another width"), ("nonsense", "matches no stage")):
        with pytest.raises(ArgumentError, match=words):
            m.stream(TEXT, max_new_tokens=2, capture=capture)
        with pytest.raises(ArgumentError, match=words):
            m.generate(TEXT, max_new_tokens=2, capture=capture)


# --- the cache itself -------------------------------------------------------------------------------------------------


def test_arrays_go_out_to_numpy_dlpack_and_a_file(model, tmp_path):
    _, cache = model("llama").run_with_cache(TEXT, "blocks.*.attn.z")
    a = cache["z", 3]
    assert np.asarray(a) is a and a.flags.c_contiguous and a.dtype == np.float32
    assert same(np.from_dlpack(a), a)
    cache.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as saved:
        assert sorted(saved) == sorted(cache)
        assert all(same(saved[n], cache[n]) for n in cache)
    cache.save(tmp_path / "run.safetensors")
    data = (tmp_path / "run.safetensors").read_bytes()
    n = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + n]), data[8 + n :]
    notes = header.pop("__metadata__")
    assert json.loads(notes["ids"]) == cache.ids == [model("llama").to_tokens(TEXT).tolist()]
    assert notes["numerics"] == "fast"
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == "F32" and entry["shape"] == list(cache[name].shape)
        assert body[begin:end] == cache[name].tobytes()
    with pytest.raises(ArgumentError, match=r"neither \.safetensors nor \.npz"):
        cache.save(tmp_path / "run.pkl")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.safetensors"]


def test_torch_reads_arrays_without_a_copy(model):
    torch = pytest.importorskip("torch")
    m = model("llama")
    _, cache = m.run_with_cache(TEXT, "blocks.1.attn.z")
    t = torch.from_dlpack(cache["z", 1])
    assert t.data_ptr() == cache["z", 1].ctypes.data and t.shape == cache["z", 1].shape
    zeroed = m.run_with_hooks(TEXT, [(("z", 1), lambda act, hook: torch.zeros(act.shape))])
    assert same(zeroed, m.run_with_hooks(TEXT, [(("z", 1), ct.edit.zero())]))


def test_the_repr_shows_shapes_spans_and_what_is_not_finite(model):
    _, cache = model("llama").run_with_cache(TEXT, ["blocks.0.attn.scores", "*.resid_post"])
    lines = repr(cache).splitlines()
    assert lines[0].startswith("ActivationCache: 5 tensors")
    assert "blocks.0.attn.scores [1, 4, 11, 11]" in lines[1] and "220 not finite" in lines[1]
    assert "min" in lines[2] and "rms" in lines[2] and "not finite" not in lines[2]


def test_the_manifest_names_the_file_and_the_numerics(model):
    _, cache = model("q4_k", numerics="exact").run_with_cache(TEXT, "logits")
    assert cache.manifest["file"] == "llama-k-Q4_K.gguf" and cache.manifest["numerics"] == "exact"


def test_weights_by_the_names_of_tensors_and_stages(model):
    m = model("q4_1")
    stored = m.weight("blk.1.ffn_gate.weight")
    for name in ("blocks.1.mlp.pre", ("mlp.pre", 1), "model.layers.1.mlp.gate_proj"):
        assert same(m.weight(name, rows=slice(3, 5)), stored[3:5])
    with pytest.raises(ArgumentError, match=r"blocks\.1\.resid_mid \(add\) has no weights"):
        m.weight("blocks.1.resid_mid")
    with pytest.raises(ArgumentError, match="matches no stage .*near it are"):
        m.weight("blocks.1.mlp.gate")


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_residual_is_the_sum_of_what_was_added(model, name):
    m = model(name)
    _, cache = m.run_with_cache(TEXT)
    for layer in [*range(m.cfg.n_layers + 1), None]:
        parts, labels = cache.decompose_resid(layer)
        stack, names = cache.accumulated_resid(layer)
        assert same(stack[-1], cache[names[-1]])
        last = m.cfg.n_layers if layer is None else layer
        assert names[-1] == (f"blocks.{last}.resid_pre" if last < m.cfg.n_layers else f"blocks.{last - 1}.resid_post")
        assert len(names) == last + 1 and parts.shape[0] == len(labels) == 2 * last + (2 if name == "gpt2" else 1)
        # Added one by one in float32, as the model does: the same bits.
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        assert same(total, stack[-1])
    names = cache.accumulated_resid(1, incl_mid=True)[1]
    assert names == ["blocks.0.resid_pre", "blocks.0.resid_mid", "blocks.1.resid_pre"]
    for bad in (9, -2, 1.0):
        with pytest.raises(ArgumentError, match="layer is"):
            cache.decompose_resid(bad)
