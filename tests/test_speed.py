"""What bench measures: bytes of a token, and this machine's memory peak."""

import cutaway as ct
import pytest


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


def test_read_bandwidth_is_of_this_machine(monkeypatch):
    from cutaway import roofline

    monkeypatch.setattr(roofline, "last_level_cache", lambda: 1 << 20)
    peak = roofline.read_bandwidth(threads=1, runs=1)
    assert peak.buffer_bytes >= 64 << 20
    assert 0.2 < peak.gbs < 5000
    assert roofline.last_level_cache() > 0
