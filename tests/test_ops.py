"""Ops by name: signatures and docstrings, listing, and what is refused on the way in."""

import inspect

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core, errors, ops

X, W = np.random.default_rng(0).standard_normal((2, 3, 8)).astype(np.float32)
W = W[0]


def test_a_function_says_what_it_takes_and_computes():
    assert list(inspect.signature(ct.ops.rms_norm).parameters) == ["x", "w", "eps", "target", "threads"]
    assert ct.ops.rms_norm.__doc__.startswith("rms_norm: y[t] = w * x[t] / sqrt(mean(x[t]^2) + eps)")
    assert ct.ops.rms_norm.__name__ == "rms_norm"
    assert {op["name"] for op in _core.ops()} <= set(dir(ct.ops)) & {*dir(ct.ref), *dir(ct.ops)}


def test_the_reference_has_the_same_arguments_and_means_the_same():
    np.testing.assert_allclose(ct.ops.rms_norm(X, W, 1e-5), ct.ref.rms_norm(X, W, 1e-5), rtol=1e-6)
    assert ct.ref.rms_norm(X, W).dtype == np.float64


def test_kernels_lists_what_runs_here():
    assert ct.ops.kernels("rms_norm", "cpu") == [f"rms_norm/{target}" for target in _core.targets()]


def test_a_near_miss_is_answered_with_the_name():
    for ask in (lambda: ct.ops.rms_nrom, lambda: ct.ops.kernels("rms_nrom"), lambda: ct.ref.rms_nrom):
        with pytest.raises(errors.ArgumentError) as caught:
            ask()
        assert "rms_norm" in caught.value.hint and "rms_norm" in caught.value.details["matches"]
    assert not hasattr(ct.ops, "rms_nrom")
    with pytest.raises(errors.ArgumentError, match="there is no op"):
        _core.run_op("rms_nrom", [X], [W], {})


def test_a_target_that_cannot_run_is_refused():
    with pytest.raises(errors.UnsupportedOperation, match="rms_norm has no kernel for target neon; it has"):
        ops.rms_norm(X, W, target="neon")
    with pytest.raises(errors.UnsupportedOperation, match=r"no kernel for target \\x0a|no kernel for target"):
        ops.rms_norm(X, W, target="\n")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ops.rms_norm(X), "missing a required argument: 'w'"),
        (lambda: ops.rms_norm(X, W, epsilon=1), "unexpected keyword argument 'epsilon'"),
        (lambda: ops.rms_norm(X, W, 1e-5, "avx2"), "too many positional arguments"),
        (lambda: ops.rms_norm(None, W), "rms_norm: x is missing"),
        (lambda: ops.rms_norm(X, W.astype(np.float64) / 3), "w holds float64 values that float32 cannot hold exactly"),
        (lambda: ops.rms_norm(X, np.full(8, 2**24 + 1)), "w holds int64 values that float32 cannot hold exactly"),
        (lambda: ops.rms_norm(X.astype(np.complex64), W), "x is an array of complex64, expected numbers"),
        (lambda: ops.rms_norm(["a"], W), "x is an array of <U1, expected numbers"),
        (lambda: ops.rms_norm(X, W, threads=0), "threads is 0, expected 1 to 1024"),
        (lambda: _core.run_op("add", [X, X, X], [], {}), "add: got 3 reads, expected at most 2"),
        (lambda: _core.run_op("add", [X, X], [], {"eps": 1}), "add has no attribute eps"),
        (lambda: _core.run_op("rms_norm", [X], [W], {}), "attribute eps is missing"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, words):
    with pytest.raises(errors.ArgumentError, match=words):
        call()


def test_five_axes_are_refused():
    with pytest.raises(errors.ShapeError, match="x has 5 axes, expected at most 4"):
        ops.copy(np.ones((1, 1, 1, 1, 1), np.float32))


def test_conversions_keep_every_value():
    right = ops.rms_norm(X, W)
    for same in (X.astype(np.float64), np.asfortranarray(X), X.astype(">f4"), X[:, ::-1].copy()[:, ::-1], X.tolist()):
        np.testing.assert_array_equal(ops.rms_norm(same, W), right)
    np.testing.assert_array_equal(ops.copy(np.arange(6)), [0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(ops.copy(np.array([np.nan, np.inf])), [np.nan, np.inf])  # float64, exact


def test_nothing_in_nothing_out():
    assert ops.add(np.ones((0, 8), np.float32), np.ones((0, 8), np.float32)).shape == (0, 8)
    assert ops.rms_norm(np.ones((0, 8), np.float32), W).shape == (0, 8)
