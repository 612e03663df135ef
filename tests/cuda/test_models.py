"""Models on a CUDA device: other programs' numbers, NumPy and the CPU stage by stage, watching, changing, failing."""

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core, errors

MODELS = ("gpt2", "llama", "llama3-rope", "qwen2", "qwen3", "phi3", "phi3-longrope", "gemma3", "gpt-oss")
QUANTISED = ("q4_1", "q5_0", "q6_k", "gpt-oss-mxfp4")
TEXT = "And the LORD said unto Moses, Go"


def ids_of(m, n=24):
    return np.random.default_rng(0).integers(0, m.cfg.d_vocab, n).astype(np.int32)


def bits(a):
    return np.ascontiguousarray(a).view(np.uint32)


# --- what it computes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["short", "mid", "long"])
@pytest.mark.parametrize("name", MODELS)
def test_numbers_are_those_of_transformers(name, prompt, model, tiny, record_property):
    g = np.load(tiny(name) / "golden.npz")
    ids, at = g[prompt + "_ids"], g[prompt + "_logits_at"]
    logits = model(name).run(ids)[0]
    off = np.abs(logits[at] - g[prompt + "_logits"]).max() / np.abs(g[prompt + "_logits"]).max()
    record_property("relative", off)
    print(f"{name} {prompt}: logits off by {off:.2g} of the largest")
    assert off < 2e-6  # worst seen 5.4e-7: gpt2, H200


@pytest.mark.parametrize("prompt", ["short", "mid"])
@pytest.mark.parametrize("name", MODELS)
def test_greedy_ids_are_those_of_transformers(name, prompt, model, tiny):
    g = np.load(tiny(name) / "golden.npz")
    wanted = g[prompt + "_greedy"].tolist()
    out = model(name).generate(g[prompt + "_ids"], max_new_tokens=len(wanted))
    n = len(out.ids)  # shorter where the end token came
    assert n and out.ids == wanted[:n]


@pytest.mark.parametrize("name", [*MODELS, *QUANTISED])
def test_every_stage_agrees_with_numpy(name, model):
    m = model(name)
    report = ct.compare(m, "numpy", ids_of(m))
    print(report.summary())
    assert report.first is None, report
    assert {row.kernel.split("/")[1] for row in report.rows} <= {"cuda", "float32", "float16"}


@pytest.mark.parametrize("name", [*MODELS, "q4_1"])
def test_every_stage_agrees_with_the_cpu(name, model):
    m = model(name)
    report = ct.compare(m, model(name, device="cpu"), ids_of(m))
    assert report.first is None, report


def test_a_planted_fault_is_found_at_its_stage(model):
    m = model("llama")
    with m.hooks([("blocks.1.mlp.out", lambda act, hook: act * np.float32(1.01))]):
        report = ct.compare(m, "numpy", ids_of(m))
    assert report.first.stage == "blocks.1.mlp.out"


@pytest.mark.parametrize("name", MODELS)
def test_cublas_runs_the_products(name, model):
    m = model(name, target="cublas")
    assert m.manifest()["target"] == "cublas"
    report = ct.compare(m, "numpy", ids_of(m))
    assert report.first is None, report
    assert {row.kernel for row in report.rows if row.kernel.startswith("matmul/")} == {"matmul/cublas"}


def test_numerics_says_what_runs(tiny):
    m = ct.load(tiny("llama-k") / "llama-k-Q4_1.gguf", device="cuda:0")
    assert (m.device, m.numerics, m.kv) == ("cuda:0", "exact", "f16")
    assert set(m.memory()) == {"weights", "weights.f32", "weights.f64"}  # f64: rope's frequencies


# --- the same bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kv", ["f32", "f16"])
@pytest.mark.parametrize("name", [*MODELS, "q4_1"])
def test_watching_changes_nothing(name, kv, model):
    m = model(name, kv=kv)
    ids = ids_of(m)
    plain = bits(m.run(ids))
    for names in (None, "blocks.*.attn.pattern", "blocks.0.m*pre*", ["blocks.1.ln1.normalized", "logits"]):
        logits, _ = m.run_with_cache(ids, names)
        np.testing.assert_array_equal(bits(logits), plain, str(names))
    with m.session(len(ids)) as s:
        np.testing.assert_array_equal(bits(s.forward([ids], all_rows=True, chain=True).logits), plain[0])


@pytest.mark.parametrize("name", [*MODELS, "q4_1"])
def test_prefill_gives_the_bits_of_decode(name, model):
    m = model(name, kv="f16")
    ids = ids_of(m, 20)
    whole = bits(m.run(ids)[0])
    with m.session(len(ids)) as s:
        for t, i in enumerate(ids):
            np.testing.assert_array_equal(bits(s.decode(int(i))[0]), whole[t])
    with m.session(len(ids)) as s:
        s.prefill(ids[:13])
        np.testing.assert_array_equal(bits(s.prefill(ids[13:])[0]), whole[-1])


def test_a_sequence_does_not_depend_on_those_beside_it(model):
    m = model("llama")
    a, b = ids_of(m, 17), ids_of(m, 9)
    together = m.run([a, b])
    np.testing.assert_array_equal(bits(together[0]), bits(m.run(a)[0]))
    np.testing.assert_array_equal(bits(together[1, :9]), bits(m.run(b)[0]))


def test_a_long_prompt_goes_in_chunks(model):
    m = model("gpt2")
    ids = ids_of(m, 300)
    logits = m.run(ids)
    np.testing.assert_array_equal(bits(logits), bits(m.run(ids)))
    with m.session() as s:
        s.prefill(ids[:150])
        np.testing.assert_array_equal(bits(s.prefill(ids[150:])[0]), bits(logits[0, -1]))


# --- changing ---------------------------------------------------------------------------------------------------------


def test_hooks_change_what_they_change_on_the_cpu(model):
    there, here = model("llama"), model("llama", device="cpu")
    ids = ids_of(there)
    hooks = [("blocks.1.attn.pattern", lambda act, hook: np.tril(np.ones_like(act)) / act.shape[-1])]
    a, b = there.run_with_hooks(ids, hooks), here.run_with_hooks(ids, hooks)
    assert np.abs(a - there.run(ids)).max() > 0.1  # it did something
    off = np.abs(a - b).max() / np.abs(b).max()
    print(f"hooked logits off from the CPU's by {off:.2g} of the largest")
    assert off < 1.1e-5  # worst seen 2.9e-6: H200


def test_a_stage_patched_with_itself_changes_nothing(model):
    m = model("llama")
    ids = ids_of(m)
    logits, cache = m.run_with_cache(ids)
    for name in ("blocks.0.attn.scores", "blocks.1.mlp.pre", "blocks.1.resid_mid", "ln_final.normalized"):
        with m.patch({name: cache[name]}):
            np.testing.assert_array_equal(bits(m.run(ids)), bits(logits), name)


def test_sessions_fork_and_rewind(model):
    m = model("llama", kv="f16")
    ids = ids_of(m)
    with m.session() as s:
        s.prefill(ids)
        copy = s.fork()
        first = s.forward([np.array([5]), np.array([7])]).logits
        s.rewind(len(ids))
        s.rewind(len(ids), copy)
        np.testing.assert_array_equal(bits(s.forward([np.array([7]), np.array([5])]).logits), bits(first[::-1]))


# --- failing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def failing():
    yield _core.fail_cuda_allocation
    _core.fail_cuda_allocation(-1)


def test_a_session_outlives_a_failed_allocation(model, failing):
    m = model("llama")
    ids = ids_of(m)
    wanted = bits(m.run_with_cache(ids)[0])
    names = [s.name for s in m.graph]
    for k in range(10000):
        with m.session() as s:
            s.prefill(ids[:5])
            failing(k)
            try:
                s.forward([ids[5:]], watch=names, all_rows=True)
                break
            except errors.OutOfMemoryError as error:
                assert error.code == "E005" and error.details["bytes"] == 2**50 and "cuda:0 refused" in str(error)
                assert 0 < error.details["free"] < error.details["total"]
            failing(-1)
            assert s.length() == 5
            np.testing.assert_array_equal(bits(s.forward([ids[5:]], all_rows=True).logits), wanted[0, 5:])
    failing(-1)
    assert k > 4  # cache, workspace and what is computed beside the fused steps


def test_a_failed_load_gives_everything_back(tiny, failing):
    path, free = tiny("llama") / "llama-F16.gguf", []
    ct.load(path, device="cuda").close()
    for k in range(0, 10000, 3):
        failing(k)
        try:
            ct.load(path, device="cuda").close()
            break
        except errors.OutOfMemoryError as error:
            failing(0)
            with pytest.raises(errors.OutOfMemoryError) as now:
                ct.ops.gelu(np.ones(4, np.float32), target="cuda")
            free.append(now.value.details["free"])
            assert isinstance(error, errors.AllocationFailed) or error.details["bytes"] == 2**50
    failing(-1)
    assert len(free) > 3 and max(free) - min(free) <= 2 << 20, free  # the driver keeps pages of 2 MiB


def test_a_device_that_is_not_there():
    count = sum(d.name.startswith("cuda:") for d in ct.devices())
    assert count >= 1
    with pytest.raises(errors.DeviceError, match="device cuda:99 does not exist; there") as error:
        ct.load("tiny:llama", device="cuda:99")
    assert error.value.details == {"device": 99, "count": count}
    with pytest.raises(errors.ArgumentError, match='expected "cuda" or "cublas"'):
        ct.load("tiny:llama", device="cuda", target="avx2")


def test_devices_are_listed():
    d = ct.devices()[1]
    assert d.name == "cuda:0" and d.available and "compute capability" in d.description and d.bytes > 1 << 30
    assert ct.ops.kernels("matmul")[-2:] == ["matmul/cuda", "matmul/cublas"]


def test_an_illegal_access_loses_the_device_for_this_process_only(alone):
    out = alone(
        """
        import cutaway as ct
        m, cpu = ct.load("tiny:llama", device="cuda"), ct.load("tiny:llama")
        s = m.session()
        s.prefill([1, 2, 3])
        m._core.fault()
        for what in (lambda: s.decode(4), lambda: ct.load("tiny:llama", device="cuda"), ct.devices,
                     lambda: ct.ops.gelu([1.0], target="cuda")):
            try:
                what()
                print("nothing raised")
            except ct.errors.DeviceLostError as error:
                print(error.message, "|", error.hint)
        s.close()
        print(cpu.run([1, 2]).shape)
        """
    )
    lines = out.splitlines()
    assert "cudaErrorIllegalAddress" in lines[0] and "kernel fault" in lines[0] and "restart the process" in lines[0]
    assert all("was lost earlier" in line for line in lines[1:4]), out
    assert lines[4].startswith("(1, 2,")


def test_a_forked_process_is_refused(alone):
    out = alone(
        """
        import os, cutaway as ct
        m = ct.load("tiny:llama", device="cuda")
        child = os.fork()
        for what in (lambda: m.run([1, 2]), ct.devices):
            if child:
                continue
            try:
                what()
                print("nothing raised", flush=True)
            except ct.errors.ForkedProcessError as error:
                print(error, flush=True)
        if not child:
            del m
            print(ct.load("tiny:llama").run([1, 2]).shape[:2], flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(m.run([1, 2]).shape[:2])
        """
    )
    assert out.count("was forked from") == 2 and out.count("use the spawn start method") == 2, out
    assert out.count("(1, 2)") == 2 and "nothing raised" not in out, out


def test_a_hidden_device_is_named_as_the_reason(alone):
    out = alone("import cutaway as ct; print(ct.devices()[-1].reason)", CUDA_VISIBLE_DEVICES="")
    assert 'the NVIDIA driver finds no device, and CUDA_VISIBLE_DEVICES is ""' in out


def test_another_library_s_device_stays_current(alone):
    """D05, as far as one device shows it: the runtime's current device is what it was."""
    torch = pytest.importorskip("torch")
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    out = alone(
        """
        import torch, numpy as np, cutaway as ct
        torch.cuda.set_device(1)
        torch.ones(1, device="cuda")
        a = ct.load("tiny:llama", device="cuda:0").run([1, 2])
        b = ct.load("tiny:llama", device="cuda:1").run([1, 2])
        print(torch.cuda.current_device(), np.array_equal(a, b))
        """
    )
    assert out.split() == ["1", "True"]


# --- a real model -----------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_smollm2(smollm2):
    m, cpu = (ct.load(smollm2, device=d, numerics="exact", n_ctx=512) for d in ("cuda", "cpu"))
    prompt = "The capital of France is"
    a, b = m.generate(prompt, max_new_tokens=24), cpu.generate(prompt, max_new_tokens=24)
    print(a.text, a.stats)
    assert a.ids == b.ids and "Paris" in a.text
    x, y = m.run(prompt), cpu.run(prompt)
    off = np.abs(x - y).max() / np.abs(y).max()
    print(f"logits off from the CPU's by {off:.2g} of the largest")
    assert off < 4.8e-6  # worst seen 1.2e-6: H200; with kv f16 on both 2.1e-4, where a key's rounding tips over
    report = ct.compare(m, "numpy", prompt)
    assert report.first is None, report
    np.testing.assert_array_equal(bits(m.run_with_cache(prompt)[0]), bits(x))
