"""attention: every kernel against the reference; the bits of its chain; prefill and decode; faults found; refusals."""

import numpy as np
import pytest
from cutaway import _core, errors, ops, ref
from cutaway.testing import Case, assert_agrees, check_kernel

SHAPES = [  # T, S, H, G, E
    *[(2, 5, 2, 1, E) for E in (1, 15, 16, 17, 31, 32, 33, 127)],
    *[(S, S, 4, 2, 16) for S in (1, 15, 16, 17, 31, 32, 33)],
    (7, 127, 3, 3, 64),
    (1, 211, 9, 3, 64),
    (5, 133, 9, 3, 64),
    (1, 4099, 1, 1, 80),
    (60, 90, 7, 1, 20),  # more queries than a tile has; heads of a key head in groups of unequal size
    (2, 700, 50, 1, 16),  # more heads to a key head than a tile has queries
    (3, 40, 2, 2, 96),
    (3, 40, 4, 1, 256),
]


def inputs(T, S, H, G, E, seed=0):
    rng = np.random.default_rng(seed + S)
    q = rng.standard_normal((T, H, E)).astype(np.float32)
    keys, values = rng.standard_normal((2, S, G, E)).astype(np.float32)
    return q, keys, values


def cases():
    for T, S, H, G, E in SHAPES:
        q, keys, values = inputs(T, S, H, G, E)
        attributes = {"scale": E**-0.5}
        name = f"{T, S, H, G, E}"
        yield Case(name, (q, keys, values), (), attributes)
        yield Case(f"{name} f16", (q, keys.astype(np.float16), values.astype(np.float16)), (), attributes)
        yield Case(f"{name} window", (q, keys, values), (), {**attributes, "window": 1 + S // 3})
        yield Case(f"{name} large scores", (5 * q, 5 * keys, values), (), attributes)
        yield Case(f"{name} huge scores", (30 * q, 30 * keys, values), (), attributes)
        yield Case(f"{name} offset", (q, keys + np.float32(30), values + np.float32(100)), (), attributes)
        yield Case(f"{name} subnormal", (q, keys, values * np.float32(1e-39)), (), attributes)
        yield Case(f"{name} all equal", (q, np.full_like(keys, 0.3), np.full_like(values, 3.3)), (), attributes)
        yield Case(f"{name} zeros", (np.zeros_like(q), keys, values), (), attributes)
        outlier = values.copy()
        outlier[S // 2] = 1e20
        yield Case(f"{name} outlier", (q, keys, outlier), (), attributes)
        sinks = np.linspace(-2, 9, H, dtype=np.float32)
        yield Case(f"{name} sinks", (q, keys, values), (sinks,), attributes)
        yield Case(f"{name} sinks, window", (q, keys, values), (sinks,), {**attributes, "window": 1 + S // 3})
        yield Case(f"{name} sinks, large scores", (5 * q, 5 * keys, values), (sinks,), attributes)
        for value in (np.nan, np.inf, -np.inf):
            broken = q.copy()
            broken[0, 0, E // 2] = value
            yield Case(f"{name} one {value}", (broken, keys, values), (), attributes)
    # A tile whose first query sees position 1023, the last before a multiple of 512, and its last one 589 from 512 on.
    yield Case("scores far from their base", inputs(700, 1418, 1, 1, 2), (), {"scale": 0.7, "window": 32})
    yield Case("more queries than CUDA has rows of scratch", inputs(150, 160, 9, 3, 33), (), {"scale": 0.2})


def test_more_positions_than_scores_of_a_tile_are_kept_for():  # eight heads of one token have 1.1 million scores
    q, keys, values = inputs(2, 140_000, 8, 1, 2)
    check_kernel("attention", [Case("long", (q, keys, values), (), {"scale": 0.7})])


def test_every_kernel():
    check_kernel("attention", cases())


@pytest.mark.parametrize("target", _core.targets())
def test_same_bits_as_its_chain(target):
    for case in cases():
        q, keys, values = case.reads
        scores = ops.attention_scores(q, keys, **case.attributes, target=target)
        pattern = ops.softmax(scores, *case.weights, target=target)
        chain = ops.attention_mix(pattern, values, target=target)
        np.testing.assert_array_equal(
            ops.attention(*case.reads, *case.weights, **case.attributes, target=target), chain, case.name
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("window", [0, 1, 20, 64])
@pytest.mark.parametrize("target", _core.targets())
def test_prefill_gives_the_bits_of_decode(target, window, dtype):
    q, keys, values = inputs(150, 150, 6, 2, 40)
    keys, values = keys.astype(dtype), values.astype(dtype)
    run = lambda t, s: ops.attention(q[t], keys[:s], values[:s], scale=0.3, window=window, target=target)
    whole = run(slice(0, 150), 150)
    for t in (0, 1, 15, 16, 17, 63, 64, 65, 149):
        np.testing.assert_array_equal(run(slice(t, t + 1), t + 1)[0], whole[t])
    chunks = [run(slice(begin, begin + 50), begin + 50) for begin in (0, 50, 100)]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_positions_not_seen_reach_nothing():
    q, keys, values = inputs(9, 40, 4, 2, 16)
    clean = ops.attention(q, keys, values, scale=0.25, window=8)
    for array in (keys, values):
        array[:24], array[32:] = np.nan, np.nan  # query 0, at position 31, sees 24 to 31
    np.testing.assert_array_equal(ops.attention(q, keys, values, scale=0.25, window=8)[0], clean[0])


@pytest.mark.parametrize("position", [50, 51])  # the first and the last that queries which go together may see
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("target", _core.targets())
def test_a_nan_reaches_only_queries_that_see_it(target, dtype, position):
    q, keys, values = inputs(70, 100, 6, 2, 33)
    keys, values = keys.astype(dtype), values.astype(dtype)
    run = lambda k, v, window: ops.attention(q, k, v, scale=0.25, window=window, target=target)
    for window in (0, 21):
        clean = run(keys, values, window)
        for broken in (0, 1):
            pair = [keys.copy(), values.copy()]
            pair[broken][position] = np.nan  # seen by the queries at this position and behind it
            z, first = run(*pair, window), position - 30
            last = first + (window or 70)
            np.testing.assert_array_equal(z[:first], clean[:first])
            np.testing.assert_array_equal(z[last:], clean[last:])
            assert np.isnan(z[first:last]).all()


@pytest.mark.parametrize("target", _core.targets())
def test_rows_dropped_in_blocks_of_512_change_no_bit(target):
    q, keys, values = inputs(20, 1300, 4, 2, 24)
    for window in (100, 600):
        whole = ops.attention(q, keys, values, scale=0.25, window=window, target=target)
        first = (1280 - window + 1) // 512 * 512
        kept = ops.attention(q, keys[first:], values[first:], scale=0.25, window=window, target=target)
        np.testing.assert_array_equal(kept, whole)
        for t in (0, 7, 19):
            one = ops.attention(
                q[t : t + 1], keys[: 1281 + t], values[: 1281 + t], scale=0.25, window=window, target=target
            )
            np.testing.assert_array_equal(one[0], whole[t])


def test_one_percent_in_one_channel_is_found():  # the tolerance is not so wide that a real fault fits in
    definition = ops.definition("attention")
    for sharpness in (1, 5, 30):
        q, keys, values = inputs(5, 133, 9, 3, 64)
        call = (sharpness * q, sharpness * keys, values)
        magnitude, expected = definition.magnitude(*call, scale=0.125), ref.attention(*call, scale=0.125)
        broken = ops.attention(*call, scale=0.125)
        assert_agrees(broken, expected, magnitude, definition.UNITS)
        broken[..., 5] *= 1.01
        with pytest.raises(AssertionError, match="units at"):
            assert_agrees(broken, expected, magnitude, definition.UNITS)


def test_refusals():
    q, keys, values = inputs(3, 5, 4, 2, 8)
    with pytest.raises(errors.ShapeError, match="q has 4 heads and keys 3, expected a multiple"):
        ops.attention(q, np.ones((5, 3, 8), np.float32), np.ones((5, 3, 8), np.float32), scale=1.0)
    with pytest.raises(errors.ShapeError, match=r"keys is \[5, 2, 7\], expected \[S, G, E\] with E = 8"):
        ops.attention(q, keys[..., :7], values, scale=1.0)
    with pytest.raises(errors.ShapeError, match=r"values is \[4, 2, 8\], expected \[5, 2, 8\], the shape of keys"):
        ops.attention(q, keys, values[:4], scale=1.0)
    with pytest.raises(errors.ShapeError, match="keys has 2 positions, expected at least the 3 of q"):
        ops.attention(q, keys[:2], values[:2], scale=1.0)
    with pytest.raises(errors.ArgumentError, match="keys and values are in two formats"):
        ops.attention(q, keys, values.astype(np.float16), scale=1.0)
    with pytest.raises(errors.ArgumentError, match="window is -1"):
        ops.attention(q, keys, values, scale=1.0, window=-1)
    with pytest.raises(errors.ShapeError, match=r"sinks is \[3\], expected one for each head: \[H\] = \[4\]"):
        ops.attention(q, keys, values, np.ones(3, np.float32), scale=1.0)
    with pytest.raises(errors.ArgumentError, match="missing a required argument: 'scale'"):
        ops.attention(q, keys, values)
