"""Verbs that look inside: trace, compare, probe, check."""

import json
import struct
import sys

import cutaway as ct
import numpy as np
import pytest


def read_safetensors(path):
    data = path.read_bytes()
    n = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + n])
    notes, body = header.pop("__metadata__"), data[8 + n :]
    arrays = {k: np.frombuffer(body[slice(*v["data_offsets"])], "<f4").reshape(v["shape"]) for k, v in header.items()}
    assert sum(a.nbytes for a in arrays.values()) == len(body)
    return arrays, notes


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_trace_saves_what_run_with_cache_gives(suffix, as_json, tmp_path):
    path = tmp_path / f"run.{suffix}"
    found = as_json("trace", "tiny:llama", "-p", "And God", "-n", "blocks.*.resid_post", "-n", "logits", "-o", path)
    assert set(found) == {"tokens", "stages", "file", "manifest"}
    arrays, notes = read_safetensors(path) if suffix == "safetensors" else (dict(np.load(path)), None)
    model = ct.load("tiny:llama")
    _, cache = model.run_with_cache("And God", ["blocks.*.resid_post", "logits"])
    assert list(arrays) == list(cache) == [s["stage"] for s in found["stages"]]
    for name, values in cache.items():
        np.testing.assert_array_equal(arrays[name], values)
    if notes is not None:
        assert json.loads(notes["ids"]) == [found["tokens"]] and notes["arch"] == "llama"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_safetensors_by_the_other_reader(as_json, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "run.safetensors"
    as_json("trace", "tiny:llama", "-p", "And God", "-o", path)
    _, cache = ct.load("tiny:llama").run_with_cache("And God")
    loaded = safetensors.load_file(path)
    assert set(loaded) == set(cache)
    np.testing.assert_array_equal(loaded["logits"], cache["logits"])


def test_trace_prints_the_numbers_of_each_stage(run, as_json):
    found = as_json("trace", "tiny:llama", "-p", "And God said")
    keys = {"stage", "op", "shape", "min", "max", "rms", "masked", "non_finite"}
    assert all(set(s) == keys for s in found["stages"])
    assert [s["stage"] for s in found["stages"]] == ct.load("tiny:llama").stages()
    by_name = {s["stage"]: s for s in found["stages"]}
    _, cache = ct.load("tiny:llama").run_with_cache("And God said")
    T = cache["logits"].shape[1]
    assert by_name["blocks.0.attn.scores"]["masked"] == 4 * T * (T - 1) // 2
    x = cache["blocks.1.mlp.out"].astype(np.float64)
    assert by_name["blocks.1.mlp.out"]["rms"] == pytest.approx(np.sqrt((x * x).mean()))
    code, out, _ = run("trace", "tiny:llama", "-p", "And", "-n", "embed", "--stats")
    assert code == 0 and out.splitlines()[1].startswith("embed")


def test_trace_fails_where_a_value_is_not_finite(run, monkeypatch):
    real = ct.Model.run_with_cache

    def broken(self, *args, **options):
        logits, cache = real(self, *args, **options)
        cache["blocks.1.mlp.out"][0, 0, 0] = np.inf
        return logits, cache

    monkeypatch.setattr(ct.Model, "run_with_cache", broken)
    code, out, _ = run("trace", "tiny:llama", "-p", "And")
    assert code == 1 and "not finite: blocks.1.mlp.out" in out


def test_trace_refuses(as_json, tmp_path):
    words = ("trace", "tiny:llama", "-p", "And")
    assert as_json(*words, "-o", "run.pkl", code=2)["error"]["type"] == "Usage"
    assert as_json(*words, "-o", tmp_path / "no" / "run.npz", code=2)["error"]["type"] == "SaveError"
    assert as_json(*words, "--budget", "1KiB", code=2)["error"]["code"] == "E005"
    assert "blocks.0.resid_post" in as_json(*words, "-n", "blocks.0.resid_pots", code=2)["error"]["message"]


@pytest.mark.parametrize("mode", ["isolate", "accumulate"])
def test_compare_with_numpy(mode, run, as_json, tmp_path):
    page = tmp_path / "report.html"
    found = as_json("compare", "tiny:llama", "numpy", "-p", "And God", "--mode", mode, "--html", page)
    assert {"title", "mode", "ok", "first", "stages", "tokens", "manifest"} <= set(found)
    assert found["ok"] is True and found["mode"] == mode
    assert "blocks.0.attn.q" in page.read_text()
    code, out, _ = run("compare", "tiny:llama", "numpy", "-p", "And God", "--mode", mode)
    assert code == 0 and "blocks.3.mlp.out" in out and "all" in out.splitlines()[-1]


def test_compare_of_two_models(as_json):
    assert as_json("compare", "tiny:llama", "tiny:llama", "--target-b", "scalar")["ok"] is True
    assert as_json("compare", "tiny:llama", "tiny:gpt2", code=2)["error"]["type"] == "ArgumentError"
    assert as_json("compare", "tiny:llama", "numpy", "--target-b", "scalar", code=2)["error"]["type"] == "Usage"


def test_compare_exits_1_where_a_stage_is_wrong(run, monkeypatch):
    import cutaway.compare  # noqa: F401

    module = sys.modules["cutaway.compare"]
    real = module.compare

    def hooked(a, b, tokens, **options):
        def fault(act, hook):
            act[..., 3] *= 1.01

        with a.hooks([("blocks.2.mlp.out", fault)]):
            return real(a, b, tokens, **options)

    monkeypatch.setattr(module, "compare", hooked)
    code, out, _ = run("compare", "tiny:llama", "numpy", "-p", "And God")
    assert code == 1 and "first wrong stage: blocks.2.mlp.out" in out


def test_probe(run, as_json):
    found = as_json("probe", "rms_norm", "--target", "scalar", "--shapes", "[[2, 64], [1, 33]]")
    assert found["ok"] is True and len(found["stages"]) == 2
    assert all(s["kernel"] == "rms_norm/scalar" for s in found["stages"])
    assert len(as_json("probe", "matmul/scalar", "--format", "q4_1", "--shapes", "[[2, 64]]")["stages"]) == 2
    assert as_json("probe", "rms_nrm", code=2)["error"]["type"] == "UnknownOp"
    assert as_json("probe", "rms_norm", "--shapes", "many", code=2)["error"]["type"] == "Usage"


def test_probe_exits_1_where_a_kernel_is_wrong(run, monkeypatch):
    from cutaway import ops

    monkeypatch.setattr(ops.definition("rms_norm"), "UNITS", 0.01)
    assert run("probe", "rms_norm", "--target", "scalar")[0] == 1


def test_check(run, as_json):
    found = as_json("check", "tiny:llama", "-p", "And God said")
    assert found["ok"] is True and found["mode"] == "check"
    code, out, _ = run("check", "tiny:llama", "--only", "repeat", "--only", "chunks")
    assert code == 0 and [line.split()[0] for line in out.splitlines()[2:4]] == ["repeat", "chunks"]
    assert as_json("check", "tiny:llama", "--only", "repaet", code=2)["error"]["type"] == "ArgumentError"
