"""What bench measures: bytes of a token, this machine's peaks, the time of stages."""

import sys

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_bytes_of_a_token_are_all_weights_but_the_embeddings_rows(name):
    from cutaway.speed import bytes_per_token

    model = ct.load(f"tiny:{name}")
    weights = {w["weight"]["tensor"]: w for w in model._core.weights()}
    expected = sum(w["bytes"] for w in model._core.weights())
    head_is_its_own = name == "llama"
    if head_is_its_own:
        expected -= weights["token_embd.weight"]["bytes"] * (1 - 1 / 1024)
    else:
        expected -= weights["position_embd.weight"]["bytes"] * (1 - 1 / 512)
    moved = bytes_per_token(model, 10)
    assert moved["weights"] == pytest.approx(expected)
    assert moved["cache"] == 10 * 2 * 4 * (2 if name == "llama" else 4) * 16 * 2


def test_a_token_reads_the_experts_it_goes_to_and_a_windows_part_of_the_cache(tiny):
    from cutaway.speed import bytes_per_token

    model = ct.load(tiny("gpt-oss") / "gpt-oss-MXFP4_MOE.gguf")  # 4 of 8 experts, window 32 in 2 of 4 layers
    config = model._core.config
    sizes = {w["weight"]["tensor"]: w["bytes"] for w in model._core.weights()}
    experts = sum(n for name, n in sizes.items() if "_exps" in name)
    rest = sum(n for name, n in sizes.items() if "_exps" not in name and name != "token_embd.weight")
    moved = bytes_per_token(model, 100)
    assert moved["weights"] == pytest.approx(experts / 2 + rest + sizes["token_embd.weight"] / config["V"])
    assert moved["cache"] == 2 * config["G"] * config["E"] * 2 * (100 + 100 + 32 + 32)


@pytest.mark.native
@pytest.mark.parametrize("target", _core.targets())
def test_peaks_are_of_this_machine(monkeypatch, target):
    from cutaway import roofline

    monkeypatch.setattr(roofline, "last_level_cache", lambda: 1 << 20)
    peak = roofline.measure_peak(threads=1, target=target, runs=1)
    assert peak.buffer_bytes >= 64 << 20
    assert 0.2 < peak.gbs < 5000
    assert 1e8 < peak.float32 < 1e12 and 1e9 < peak.int8 < 1e13
    assert peak.seconds(peak.gbs * 1e9, 0, True) == pytest.approx(1)
    assert peak.seconds(0, peak.int8 / 2, True) == pytest.approx(0.5)
    assert peak.seconds(0, peak.float32, False) == pytest.approx(1)


def test_the_last_level_cache_is_known():
    from cutaway import roofline

    assert roofline.last_level_cache() > 0


# Three matrices of their own, rows of one matrix, and experts.
FILES = [("llama", "llama-F16.gguf"), ("gpt2", "gpt2-F16.gguf"), ("gpt-oss", "gpt-oss-MXFP4_MOE.gguf")]


@pytest.mark.parametrize("name, file", FILES)
def test_stages_cost_what_the_model_reads_and_their_time_is_that_of_the_pass(tiny, name, file):
    import time

    from cutaway.roofline import Peak
    from cutaway.speed import bytes_per_token
    from cutaway.stages import stage_times

    model = ct.load(tiny(name) / file)
    ids = np.arange(96, dtype=np.int32)
    started = time.perf_counter()
    found = stage_times(model, ids[:64], ids[64:], Peak(10.0, 1e12, 1e11, 1, "given", 0))
    took = time.perf_counter() - started
    assert 0 < sum(r.seconds for r in found["prefill"]) < took
    kernels = {(r.stage, r.calls) for r in found["decode"]}
    assert {("blocks.*.attn.z", model.cfg.n_layers), ("unembed.out", 1)} <= kernels
    products = [r for r in found["decode"] if "matmul" in r.kernel]
    moved = bytes_per_token(model, 0)["weights"]
    # Beside their weights products move their inputs and outputs; norms and biases are not products. Seen 1.02 to 1.07.
    assert moved * 0.9 < sum(r.bytes for r in products) < moved * 1.2
    assert all(r.bound == "memory" and r.floor == pytest.approx(r.bytes / 10e9) for r in products)
    c = model.cfg
    head = next(r for r in found["prefill"] if r.stage == "unembed.out")
    assert head.operations == 2 * c.d_model * c.d_vocab  # of the last token alone


def test_a_stages_threads_are_busy_or_wait(tiny):
    """A token's norm is one thread's work, and two are there: at most half of their time."""
    from cutaway.roofline import Peak
    from cutaway.stages import stage_times

    ids, peak = np.arange(96, dtype=np.int32), Peak(10.0, 1e12, 1e11, 1, "given", 0)
    for threads in (1, 2):
        model = ct.load(tiny("llama") / "llama-F16.gguf", threads=threads)
        found = stage_times(model, ids[:64], ids[64:], peak)
        assert all(0 < row.busy <= 1 for rows in found.values() for row in rows)
        assert next(row.busy for row in found["decode"] if row.stage == "blocks.*.ln1.out") <= 1 / threads


def test_a_prompts_products_are_held_against_the_operations(tiny):
    from cutaway.roofline import Peak
    from cutaway.stages import stage_times

    model, ids = ct.load(tiny("gpt-oss") / "gpt-oss-MXFP4_MOE.gguf"), np.arange(66, dtype=np.int32)
    found = stage_times(model, ids[:64], ids[64:], Peak(1e6, 1e9, 1e8, 1, "given", 0))["prefill"]
    rows = {r.stage: r for r in found}
    c = model.cfg
    queries, router = rows["blocks.*.attn.q"], rows["blocks.*.moe.router_logits"]
    assert queries.operations == c.n_layers * 2 * 64 * c.d_model * c.n_heads * c.d_head
    assert queries.bound == "compute" and queries.floor == pytest.approx(queries.operations / 1e9)  # 8-bit products
    assert router.floor == pytest.approx(router.operations / 1e8)  # of floats


def test_the_peer_runs_in_a_process_of_its_own(tmp_path):
    """A stand-in for llama_cpp's interpreter: what it says goes back and forth, and failures come with its words."""
    from cutaway.errors import ForwardPassFailed
    from cutaway.peer import Worker

    script = tmp_path / "worker.py"
    script.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if 'end' in request: sys.exit('no more of it')\n"
        "    print(json.dumps({'error': 'bad'} if 'bad' in request else request), flush=True)\n"
    )
    worker = Worker(sys.executable, script)
    assert worker.ask(a=1) == {"a": 1}
    with pytest.raises(ForwardPassFailed, match="bad"):
        worker.ask(bad=1)
    with pytest.raises(ForwardPassFailed, match="no more of it"):
        worker.ask(end=1)
    worker.close()
