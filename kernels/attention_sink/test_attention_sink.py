"""attention_sink: every kernel against the reference; with the pattern it adds up to 1; each refusal."""

import numpy as np
import pytest
from cutaway import errors, ops
from cutaway.testing import Case, check_kernel


def inputs(T, H, S, size=1.0):
    rng = np.random.default_rng(T + S)
    scores = (size * rng.standard_normal((T, H, S))).astype(np.float32)
    scores[..., S // 2 + 1 :][0] = -np.inf  # masked
    return scores, rng.standard_normal(H).astype(np.float32)


def cases():
    for T, H, S in ((1, 1, 1), (2, 3, 15), (3, 4, 16), (5, 2, 33), (2, 8, 600)):
        for size in (1.0, 30.0):
            scores, sinks = inputs(T, H, S, size)
            yield Case(f"{T, H, S} size {size}", (scores,), (sinks,))
            yield Case(f"{T, H, S} size {size}, sink far below", (scores,), (sinks - 60,))
            yield Case(f"{T, H, S} size {size}, sink far above", (scores,), (sinks + 60,))
        for value in (np.nan, np.inf):
            broken = scores.copy()
            broken[0, 0, 0] = value
            yield Case(f"{T, H, S} one {value}", (broken,), (sinks,))


def test_every_kernel():
    check_kernel("attention_sink", cases())


def test_rows_whose_sums_round_one_way():  # worst seen 2.38; 10.5 if only groups of 512 are added apart
    for width, value in ((50, -0.00070301211), (497, -0.0047557917), (523, -9.633672e-05), (4096, -0.021097876)):
        scores = np.full((1, 1, width), value, np.float32)
        check_kernel("attention_sink", [Case(f"{scores.shape} {value}", (scores,), (np.zeros(1, np.float32),))])


def test_adds_up_to_one_with_the_pattern():  # worst seen 2.4e-7
    scores, sinks = inputs(5, 4, 77)
    total = ops.softmax(scores, sinks).astype(np.float64).sum(-1) + ops.attention_sink(scores, sinks)
    np.testing.assert_allclose(total, 1, atol=6e-7)


def test_sinks_must_be_one_a_head():
    scores, sinks = inputs(2, 3, 5)
    with pytest.raises(errors.ShapeError, match=r"sinks is \[2\], expected one for each head: \[H\] = \[3\]"):
        ops.attention_sink(scores, sinks[:2])


def test_scores_must_be_rows_of_heads():
    scores, sinks = inputs(2, 3, 5)
    for wrong in (scores[0], scores[..., :0]):
        with pytest.raises(errors.ShapeError, match=r"scores is \[.*\], expected \[T, H, S\]"):
            ops.attention_sink(wrong, sinks)
