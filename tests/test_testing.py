"""The measuring stick itself: agreement finds each way to be wrong, and the checks ask what they say."""

import subprocess
import sys

import numpy as np
import pytest
from cutaway import _core, ops, testing
from cutaway.testing import Case, assert_agrees, check_kernel, units_off

X = np.random.default_rng(0).standard_normal((4, 33)).astype(np.float32)


def test_a_rounding_is_one_unit():
    exact = np.array([1.0 + 2.0**-24])
    assert units_off(np.float32([1.0]), exact, exact)[0] == pytest.approx(1, rel=1e-6)
    assert units_off(np.float32([0.0]), np.array([2.0**-150]), np.zeros(1))[0] == 0.5  # half the smallest step


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1.01, 0.0])
def test_one_wrong_element_is_found_and_named(wrong):
    actual = X.copy()
    actual[2, 7] = wrong * X[2, 7] if wrong == 1.01 else wrong
    with pytest.raises(AssertionError, match=r"my case: .* units at \(2, 7\), tolerance 4"):
        assert_agrees(actual, X, np.abs(X), 4, "my case")


def test_nan_and_infinity_must_agree_in_kind():
    values = np.float32([np.nan, np.inf, -np.inf, 1])
    assert assert_agrees(values, values, np.ones(4), 0) == 0
    for wrong in (np.float32([1, np.inf, -np.inf, 1]), np.float32([np.nan, -np.inf, -np.inf, 1])):
        with pytest.raises(AssertionError):
            assert_agrees(wrong, values, np.ones(4), 1e9)


def test_beyond_float32_the_right_answer_is_infinity():
    assert assert_agrees(np.float32([np.inf]), np.array([1e39]), np.array([1e39]), 0) == 0


def test_shapes_must_agree():
    with pytest.raises(AssertionError, match="shape"):
        assert_agrees(X, X[:1], np.abs(X), 4)


def test_check_kernel_returns_the_worst_it_saw_and_fails_beyond_units(monkeypatch):
    case = Case("x", (X,), (np.ones(33, np.float32),), {"eps": 1e-5})
    worst = check_kernel("rms_norm", [case])
    assert 0 < worst <= ops.definition("rms_norm").UNITS
    monkeypatch.setattr(ops.definition("rms_norm"), "UNITS", worst * 0.99)
    with pytest.raises(AssertionError, match="rms_norm/.* x, 1 threads"):
        check_kernel("rms_norm", [case])


@pytest.mark.parametrize("fault", ["other bits", "changed input"])
def test_check_kernel_finds_targets_that_differ_and_inputs_that_change(monkeypatch, fault):
    run_op = _core.run_op

    def faulty(op, reads, weights, attributes, target, threads, guard):
        out = run_op(op, reads, weights, attributes, target, threads, guard)
        if fault == "changed input":
            reads[1][0, 0] += 1
        elif threads == 2:
            out[1, 1] = np.nextafter(out[1, 1], np.float32(9))
        return out

    case = Case("x", (X.copy(), X.copy()))
    monkeypatch.setattr(_core, "run_op", faulty)
    with pytest.raises(AssertionError, match=fault if fault == "other bits" else "y was changed"):
        check_kernel("add", [case])


def test_misaligned_copies_are_misaligned():
    for shift in (0, 1, 2, 3):
        (copy,) = testing._misaligned([X], shift)
        assert copy.ctypes.data % 64 == 4 * shift
        np.testing.assert_array_equal(copy, X)


def test_reading_behind_an_input_ends_the_process():
    code = """if True:
        import ctypes, numpy as np
        from cutaway import testing
        (copy,) = testing._misaligned([np.ones(33, np.float32)], None)
        assert ctypes.string_at(copy.ctypes.data + 131, 1) == b"\\x3f"
        print("read it all", flush=True)
        ctypes.string_at(copy.ctypes.data + 132, 1)"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "read it all\n" and ran.returncode < 0, ran  # by a signal; a sanitizer has its own


def test_the_forced_target_really_ran(request):
    target = request.config.getoption("--cutaway-target")
    _core.run_op("rms_norm", [X], [np.ones(33, np.float32)], {"eps": 1e-5})
    assert _core.last_kernel() == f"rms_norm/{target or _core.default_target()}"
    if target:
        assert _core.default_target() == target


@pytest.mark.parametrize("target", _core.targets())
def test_a_named_target_really_ran(target):
    ops.add(X, X, target=target)
    assert _core.last_kernel() == f"add/{target}"
