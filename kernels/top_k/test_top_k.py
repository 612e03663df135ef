"""top_k: every kernel against the reference; equals, NaN and infinities; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import Case, check_kernel, non_finite_rows


def cases():
    rng = np.random.default_rng(0)
    for T, X, k in ((1, 1, 1), (3, 8, 4), (70, 32, 4), (5, 32, 32), (2, 128, 8), (4, 33, 1)):
        yield Case(f"{T, X, k}", (rng.standard_normal((T, X)).astype(np.float32),), (), {"k": k})
        yield Case(f"{T, X, k} many equal", (rng.integers(0, 3, (T, X)).astype(np.float32),), (), {"k": k})
        yield Case(f"{T, X, k} all equal", (np.zeros((T, X), np.float32),), (), {"k": k})
        for name, x in non_finite_rows(X):
            yield Case(f"{T, X, k} {name}", (x,), (), {"k": k})
            yield Case(f"{T, X, k} only {name}", (np.full_like(x, x[1, X // 2]),), (), {"k": k})


def test_every_kernel():
    check_kernel("top_k", cases())


def test_descending_and_of_equals_the_first():
    x = np.float32([[1, 3, np.nan, 3, 2], [np.nan] * 5, [np.nan, 1, 3, np.nan, 2]])
    for threads in (1, 3):
        got = ops.top_k(x, 4, threads=threads)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, [[1, 3, 4, 0], [0, 1, 2, 3], [2, 4, 1, 0]])


@pytest.mark.parametrize("k", [0, 6, -1])
def test_k_is_one_to_the_columns(k):
    with pytest.raises(errors.ArgumentError, match="expected 1 to 5, the columns of x"):
        ops.top_k(np.ones((2, 5), np.float32), k)


def test_x_must_be_rows_of_experts():
    with pytest.raises(errors.ShapeError, match=r"x is \[2, 5, 3\], expected \[T, X\]"):
        ops.top_k(np.ones((2, 5, 3), np.float32), 2)
