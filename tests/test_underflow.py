"""Products of scales below float32's normal range: their rounding is no fault, and a fault among them still is one."""

import cutaway as ct
import numpy as np
import pytest
from cutaway import ops
from cutaway.kernels.formats import format as formats
from cutaway.kernels.quantize_q8 import quantize_q8
from cutaway.testing import Case, check_kernel, expectation, units_off

TEXT = "And the LORD said unto Moses"
SCALES = {0: 2.0**-127, 1: 2.0**-126, 7: 2.0**-120}  # by their byte


def weight(N, K, bytes_, seed=0):
    """mxfp4 [N, K] whose rows take these scales in turn; None: as quantised."""
    raw = formats.module("mxfp4").pack(np.random.default_rng(seed).standard_normal((N, K)).astype(np.float32))
    blocks = raw.reshape(N, -1, 17)
    for i, byte in enumerate(bytes_):
        if byte is not None:
            blocks[i :: len(bytes_), :, 0] = byte
    return ops.Stored("mxfp4", raw)


def rounded(T, K, size, seed=1):
    return quantize_q8.reference((np.random.default_rng(seed).standard_normal((T, K)) * size).astype(np.float32))


@pytest.mark.parametrize("size", [1e-3, 1e-2, 1, 30])
@pytest.mark.parametrize("byte", SCALES)
def test_every_product(byte, size):
    w, x = weight(48, 576, [byte, None, byte]), rounded(4, 576, size)
    experts = ops.Stored("mxfp4", np.stack([w.raw, weight(48, 576, [None], 2).raw]))
    chosen = np.int32([[0, 1], [1, 0], [1, 1], [0, 0]])
    own = rounded(8, 576, size).reshape(4, 36)
    own["d"][:, 18:] *= np.float32(2.0**-20)  # of the second chosen expert: far below the first one's
    # Worst seen 0.46, of gated_matmul 0.50; measured against the terms' own size 7400.
    worst = check_kernel("matmul", [Case("", (x,), (w, np.linspace(-1e-37, 1e-37, 48, dtype=np.float32)))])
    worst = max(worst, check_kernel("experts_matmul", [Case("", (i, chosen), (experts, None)) for i in (x, own)]))
    assert worst < 1.8
    if size <= 1:  # beyond, gates overflow exp
        worst = check_kernel("gated_matmul", [Case("", (x,), (weight(48, 576, [None], 3), w))])
        assert worst < 2.0


@pytest.mark.parametrize("K", [576, 8192])
def test_sums_below_the_normal_range_in_exact_numerics(K):
    w, x = weight(16, K, [0, 1, 7, None]), np.random.default_rng(1).standard_normal((3, K)).astype(np.float32)
    x[:2] *= np.float32([[1e-3], [1e-5]])
    chosen, experts = np.int32([[0, 1]] * 3), ops.Stored("mxfp4", np.stack([w.raw, w.raw]))
    worst = check_kernel("matmul", [Case("", (x,), (w, None))])
    worst = max(worst, check_kernel("experts_matmul", [Case("", (x, chosen), (experts, None))]))
    assert worst < 6  # worst seen 1.5; measured against the terms' own size 13 and 43
    expected, now = expectation("matmul", [x], [w], {})
    before = ops.definition("matmul").magnitude(x, w)
    assert units_off(ops.matmul(x, w), expected, before).max() > (24 if K == 8192 else 10)
    assert np.array_equal(now[:, 3::4], before[:, 3::4]) and np.array_equal(now[2], before[2])


@pytest.mark.parametrize("size", [1e-31, 1e-34])
@pytest.mark.parametrize("name", ["q4_0", "q8_0", "q4_k", "q6_k"])
def test_tiny_activations_in_other_formats(name, size):
    rng = np.random.default_rng(0)
    w = ops.Stored(name, formats.module(name).pack((rng.standard_normal((32, 512)) * 1e-3).astype(np.float32)))
    check_kernel("matmul", [Case(f"{name} {size}", (rounded(3, 512, size),), (w, None))])


def test_what_is_normal_is_measured_as_before():
    """Rows of tiny scales, and tokens of tiny activations, beside it: no element of a normal row gains a bit."""
    w = weight(48, 576, [0, None])
    x = np.concatenate([rounded(2, 576, 1), rounded(2, 576, 1e-33)])
    definition = ops.definition("matmul")
    before = definition.magnitude(x, w, spread=w.spread)
    expected, now = expectation("matmul", [x], [w], {})
    assert (now >= before).all() and (now[:, ::2] > before[:, ::2]).all()
    assert np.array_equal(now[:2, 1::2], before[:2, 1::2])
    y = ops.matmul(x, w)
    assert units_off(y, expected, now).max() < 1.2  # worst seen 0.3
    # An error of the size that rounding has at 2^-127, relative to a normal row, is a fault there.
    wrong = y * np.float32(1 + 2.0**-12)
    off = units_off(wrong, expected, now)
    assert (off[:2, 1::2].max(0) > definition.UNITS).all() and off[:2, ::2].max() < definition.UNITS


@pytest.fixture(scope="module", params=["fast", "exact"])
def model(request, data, tmp_path_factory):
    """The tiny llama in mxfp4, of which rows 3, 5 and 6 of every eight have the scales above."""
    path = tmp_path_factory.mktemp("underflow") / f"{request.param}.gguf"
    source = ct.load(data / "tiny/llama/llama-F16.gguf").file
    tensors = {t.name: (t.format, t.shape, source.raw(t.name)) for t in source.tensors}
    for name, (kind, shape, raw) in list(tensors.items()):
        if len(shape) == 2 and name != "token_embd.weight":
            stored = ct.pack("mxfp4", ct.unpack(kind, raw.reshape(shape[0], -1)))
            for row, byte in zip((3, 5, 6), SCALES, strict=True):
                stored.reshape(shape[0], -1, 17)[row::8, :, 0] = byte
            tensors[name] = ("mxfp4", shape, stored.reshape(-1))
    ct.write_gguf(path, {k: (source.types[k], v) for k, v in source.metadata.items()}, tensors)
    return ct.load(path, numerics=request.param)


def test_a_right_model_is_clean(model):
    report = ct.compare(model, "numpy", TEXT)
    assert report.first is None, report.summary()
    values = model.run_with_cache(TEXT, names_filter="blocks.0.attn.v")[1]["blocks.0.attn.v"].reshape(-1, 8)
    assert 0 < np.abs(values[:, 3]).max() < 1e-36 and np.abs(values[:, 0]).max() > 1e-3, "the tiny rows are tiny"


# Row, and the fault that must be found there: rounding at 2^-127 is 2^-17 of a row's size, so finer ones cannot be.
@pytest.mark.parametrize(("row", "part"), [(0, 0.01), (3, 0.1), (5, 0.1), (6, 0.01)])
def test_a_wrong_row_is_found(model, row, part):
    def fault(act, hook):
        act.reshape(-1)[row::8] *= np.float32(1 + part)

    for stage in ("blocks.0.attn.v", "blocks.1.mlp.pre_linear"):
        with model.hooks([(stage, fault)]):
            report = ct.compare(model, "numpy", TEXT)
        assert [r.stage for r in report.rows if not r.ok] == [stage], (row, report.summary())
