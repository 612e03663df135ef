"""The verbs bench and demo."""

import contextlib

import cutaway as ct
import pytest


@pytest.fixture
def given_peak(monkeypatch):
    from cutaway import roofline, speed

    peak = roofline.Peak(10.0, 1e12, 1e11, 2, "given", 1 << 20)
    monkeypatch.setattr(speed, "measure_peak", lambda threads, target, runs: peak)


def test_bench(run, as_json, given_peak):
    words = ("bench", "tiny:llama", "-p", 8, "-n", 4, "--runs", 2, "--no-peers")
    found = as_json(*words, "--hooks", "blocks.*.resid_post")
    assert set(found) == {
        "model", "manifest", "prompt", "new", "runs", "peak", "bytes_per_token", "sides", "watched", "ratios",
        "peer_features", "peer_absent", "stages",
    }  # fmt: skip
    assert set(found["sides"]) == {"cutaway", "cutaway, watched"}
    ours = found["sides"]["cutaway"]
    assert set(ours) == {
        "prefill_tok_s", "decode_tok_s", "prefill_tok_s_runs", "decode_tok_s_runs", "gbs", "share",
    }  # fmt: skip
    assert len(ours["decode_tok_s_runs"]) == len(ours["prefill_tok_s_runs"]) == 2
    assert ours["share"] == pytest.approx(ours["gbs"] / 10)
    assert ours["gbs"] == pytest.approx(ours["decode_tok_s"] * found["bytes_per_token"]["all"] / 1e9)
    code, out, _ = run(*words)
    assert code == 0 and "of peak" in out and "was not measured: not asked for" in out
    assert "most is lost, over the floor, in " in out
    assert as_json(*words[:2], "-p", 600, code=2)["error"]["type"] == "ArgumentError"


def test_bench_says_why_the_peer_was_not_measured(run, given_peak):
    code, out, _ = run("bench", "tiny:llama", "-p", 2, "-n", 2, "--runs", 1, "--no-stages", "--peer", "/no/python")
    assert code == 0 and "llama.cpp was not measured: [Errno 2]" in out


def test_demo_with_the_bundled_model(run, as_json):
    found = as_json("demo", "--model", "tiny:llama")
    assert set(found) == {"manifest", "passed", "parts", "answer", "story", "report", "fault"}
    assert found["passed"] and [p["name"] for p in found["parts"]] == ["text", "stages", "fault"]
    assert found["fault"] == {"planted": "blocks.3.mlp.out", "found": ["blocks.3.mlp.out"]}
    code, out, _ = run("demo", "--model", "tiny:llama")
    assert code == 0
    for stage in ct.load("tiny:llama").stages():
        assert f"\n{stage} " in out
    assert out.splitlines()[-4] == "Try next:"


def test_demo_says_what_it_uses_where_smollm2_is_not_installed(run, monkeypatch):
    from cutaway import loading

    monkeypatch.setitem(loading.PACKAGED, "smollm2", ("no_such_package", "model.gguf"))
    code, out, _ = run("demo")
    assert code == 0 and "smollm2 is not installed" in out and "tiny:llama" in out


def test_demo_fails_where_a_part_does_not_hold(run, monkeypatch):
    monkeypatch.setattr(ct.Model, "hooks", lambda self, hooks: contextlib.nullcontext())
    code, out, _ = run("demo", "--model", "tiny:llama")
    assert code == 1 and "FAIL  fault" in out


@pytest.mark.model
@pytest.mark.slow
def test_demo_with_a_real_model(smollm2, as_json):
    found = as_json("demo", "--model", smollm2, "-n", 40)
    assert [p["name"] for p in found["parts"]] == ["answer", "story", "stages", "fault"]
    assert found["fault"]["found"] == ["blocks.7.mlp.out"]
