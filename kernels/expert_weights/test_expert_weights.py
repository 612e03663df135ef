"""expert_weights: every kernel against the reference; they add up to 1; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import Case, check_kernel


def inputs(T, X, A, size=1.0):
    rng = np.random.default_rng(T + X)
    x = (size * rng.standard_normal((T, X))).astype(np.float32)
    return x, np.argsort(rng.random((T, X)), axis=-1)[:, :A].astype(np.int32)


def cases():
    for T, X, A in ((1, 1, 1), (3, 8, 4), (70, 32, 4), (5, 32, 17), (2, 128, 8)):
        for size in (1, 10, 60):
            yield Case(f"{T, X, A} size {size}", inputs(T, X, A, size))
        x, indices = inputs(T, X, A)
        for value in (np.nan, np.inf, -np.inf):
            broken = x.copy()
            broken[0, indices[0, 0]] = value
            yield Case(f"{T, X, A} one {value}", (broken, indices))


def test_every_kernel():
    check_kernel("expert_weights", cases())


def test_only_the_chosen_count():
    x, indices = inputs(9, 16, 3)
    others = x + np.float32(50) * (np.arange(16) != indices[:, :, None]).all(1)
    np.testing.assert_array_equal(ops.expert_weights(x, indices), ops.expert_weights(others, indices))
    np.testing.assert_allclose(ops.expert_weights(x, indices).sum(-1), 1, atol=3e-7)


def test_refusals():
    x, indices = inputs(3, 8, 2)
    with pytest.raises(errors.ArgumentError, match=r"indices\[1, 0\] is 8, expected 0 <= index < 8"):
        ops.expert_weights(x, np.int32([[0, 1], [8, 0], [1, 2]]))
    with pytest.raises(errors.ArgumentError, match=r"indices\[2, 1\] is -1, expected 0 <= index < 8"):
        ops.expert_weights(x, np.int32([[0, 1], [7, 0], [1, -1]]))
    for wrong in (indices[:2], indices[:, 0], indices[:, :0]):
        with pytest.raises(errors.ShapeError, match=r"indices is \[.*\], expected \[T, A\] with T = 3"):
            ops.expert_weights(x, wrong)
    with pytest.raises(errors.ShapeError, match=r"x is \[3, 8, 1\], expected \[T, X\]"):
        ops.expert_weights(x[..., None], indices)
