"""The words that the straight-line models share, against numbers known from elsewhere, and what files may leave out."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cutaway import _core
from cutaway.reference import gemma3, gpt_oss, parts, witness
from cutaway.reference.weights import FileWeights

TINY = Path(__file__).parent.parent / "data" / "tiny"
IDS = [5, 900, 17, 300, 17, 44, 81] * 12  # longer than both windows


@cache
def model(name):
    file = _core.open_gguf(sorted((TINY / name).glob("*.gguf"))[0])
    return file.metadata, FileWeights(file).all()


def test_yarn_of_gpt_oss_20b():
    """The corners 8.092779 and 17.398025 and the factor 1.3465736 are those of the published model."""
    ramp = parts.yarn_ramp(150000.0, 64, 4096, 32.0, 1.0, False)
    assert ramp[8] == 0 and ramp[18] == 1
    np.testing.assert_allclose(ramp[9:18], (np.arange(9, 18) - 8.092779) / (17.398025 - 8.092779), rtol=2e-6)
    rounded = parts.yarn_ramp(150000.0, 64, 4096, 32.0, 1.0, True)
    np.testing.assert_allclose(rounded[8:19], np.arange(11) / 10, rtol=1e-15)
    keys = {"rope.scaling.type": "yarn", "rope.scaling.factor": 32.0, "rope.scaling.original_context_length": 4096}
    keys["rope.freq_base"] = 150000.0
    f, m = parts.frequencies(keys.get, {}, 64, 1, whole=False)
    assert m == pytest.approx(1.3465736, abs=5e-8)
    waves = parts.waves(150000.0, 64)
    np.testing.assert_allclose(f, waves * (1 - ramp) + waves / 32 * ramp, rtol=1e-15)
    keys |= {
        "rope.scaling.yarn_beta_fast": 8.0,
        "rope.scaling.yarn_beta_slow": 2.0,
        "rope.scaling.yarn_attn_factor": 0.5,
    }
    f, m = parts.frequencies(keys.get, {}, 64, 1)
    ramp = parts.yarn_ramp(150000.0, 64, 4096, 8.0, 2.0, True)
    np.testing.assert_allclose(f, waves * (1 - ramp) + waves / 32 * ramp, rtol=1e-15)
    assert m == 0.5


def test_yarn_with_corners_in_one_place():
    assert parts.yarn_ramp(1e4, 8, 6, 32.0, 1.0, True).tolist() == [0, 1, 1, 1]  # both at 0


def test_long_factors_begin_beyond_the_original_context():
    keys = {"rope.scaling.original_context_length": 12, "rope.scaling.attn_factor": 1.25}
    factors = {"rope_factors_short.weight": [2.0, 3.0], "rope_factors_long.weight": [4.0, 5.0]}
    for T, expected in ((12, [2, 3]), (13, [4, 5])):
        f, m = parts.frequencies(keys.get, factors, 4, T)
        np.testing.assert_allclose(parts.waves(10000.0, 4) / f, expected, rtol=1e-15)
        assert m == 1.25


def test_who_sees_whom():
    np.testing.assert_array_equal(parts.visible(5), np.tri(5, dtype=bool))
    assert parts.visible(5, 2).astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    full = lambda pattern, L: [i for i in range(L) if not parts.windowed(i, pattern)]
    assert full(6, 18) == [5, 11, 17] and full(2, 4) == [1, 3] and full([True, False, False], 3) == [1, 2]


def test_values_beyond_the_rotary_width_pass():
    x = np.random.default_rng(0).standard_normal((4, 2, 10))
    turned = parts.rope(x, parts.waves(100.0, 6), 1.5)
    np.testing.assert_array_equal(turned[..., 6:], x[..., 6:])
    np.testing.assert_array_equal(turned[0, :, :6], 1.5 * x[0, :, :6])
    length = lambda x: np.hypot(x[..., :3], x[..., 3:6])
    np.testing.assert_allclose(length(turned), 1.5 * length(x), rtol=1e-15)


def test_experts_that_tie_are_chosen_by_index():
    indices, weights = gpt_oss.choose(np.array([[1.0, 3.0, 3.0, 2.0, 3.0]]), 2)
    assert indices.tolist() == [[1, 2]] and weights.tolist() == [[0.5, 0.5]]


def test_clamps():
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    gate, up = np.array([100.0, -100.0, 2.0, 2.0]), np.array([-100.0, 3.0, 100.0, 0.5])
    expected = [7 * sigmoid(1.702 * 7) * -6, 0, 2 * sigmoid(3.404) * 8, 2 * sigmoid(3.404) * 1.5]
    np.testing.assert_allclose(gpt_oss.clamped_swiglu(gate, up), expected, atol=1e-60)


def test_scale_of_gemma3_27b():
    keys = {"block_count": 62, "embedding_length": 5376}
    assert gemma3.score_scale(keys.get, 32, 128) == 168**-0.5
    assert gemma3.score_scale((keys | {"block_count": 34}).get, 8, 256) == 1 / 16
    assert gemma3.score_scale((keys | {"attention.scale": 0.3}).get, 32, 128) == 0.3


def changed(name, keys, drop=()):
    metadata, weights = model(name)
    metadata = {key: value for key, value in (metadata | keys).items() if key not in drop}
    return witness.run(metadata, weights, IDS)


def test_what_gemma3_files_leave_out():
    sound = changed("gemma3", {})["logits"]
    usual = [i % 6 != 5 for i in range(7)]
    for keys in ({"attention.sliding_window_pattern": 6}, {"attention.sliding_window_pattern": usual}):
        np.testing.assert_array_equal(changed("gemma3", {"gemma3." + k: v for k, v in keys.items()})["logits"], sound)
    np.testing.assert_array_equal(changed("gemma3", {}, {"gemma3.rope.freq_base_swa"})["logits"], sound)
    # No window: every layer sees all, and turns as the sixth does.
    open_ = changed("gemma3", {"gemma3.attention.sliding_window": 0})["logits"]
    np.testing.assert_array_equal(open_, changed("gemma3", {"gemma3.attention.sliding_window_pattern": 1})["logits"])
    assert np.abs(open_ - sound).max() > 1


def test_soft_cap():
    a = changed("gemma3", {"gemma3.final_logit_softcapping": 5.0})
    np.testing.assert_allclose(a["logits"], 5 * np.tanh(a["unembed.out"] / 5), rtol=1e-15)
    assert np.abs(a["unembed.out"]).max() > 10


def test_what_gpt_oss_files_leave_out():
    sound = changed("gpt-oss", {})["logits"]
    betas = {f"gpt-oss.rope.scaling.yarn_beta_{which}" for which in ("fast", "slow")}
    np.testing.assert_array_equal(changed("gpt-oss", {}, betas)["logits"], sound)
    np.testing.assert_array_equal(changed("gpt-oss", {"gpt-oss.attention.sliding_window_pattern": 2})["logits"], sound)


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "phi3", "gemma3", "gpt-oss"])
def test_heads_that_turn_in_part(name):
    a = changed(name, {f"{name}.rope.dimension_count": 8})
    for x in "qk":
        before = a.get(f"blocks.1.attn.{x}_norm", a[f"blocks.1.attn.{x}"])
        same = (a[f"blocks.1.attn.rot_{x}"] == before)[1:].all(axis=(0, 1))
        assert same.tolist() == [False] * 8 + [True] * (len(same) - 8)


@pytest.mark.parametrize(
    "name, which", [("phi3", None), ("qwen2", [0, 1, 0, 1]), ("qwen3", [1, 1, 0, 0]), ("gpt-oss", [0, 1, 1, 0])]
)
def test_windows(name, which):
    keys = {f"{name}.attention.sliding_window": 5}
    if which:
        keys[f"{name}.attention.sliding_window_pattern"] = [bool(w) for w in which]
    a = changed(name, keys)
    for i, w in enumerate(which or [1] * 4):
        seen = np.isfinite(a[f"blocks.{i}.attn.scores"][1])
        np.testing.assert_array_equal(seen, parts.visible(len(IDS), 5 if w else 0))
