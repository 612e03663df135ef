"""No tolerance hides a fault of one part in a hundred: every channel of every stage of a real model would show it."""

import importlib

import cutaway as ct
import numpy as np
import pytest
from cutaway.reference.numpy_executor import NumpyExecutor
from cutaway.testing import units_off

compare = importlib.import_module("cutaway.compare")


def hidden_channels(model, text, monkeypatch):
    """(stages judged, channels judged, those whose value made 1 % larger would still be within the tolerance)."""
    trace = compare._Trace(model, model.to_tokens(text).ids)
    stages, channels, hidden = 0, 0, []
    judge = compare._row

    def row(stage, op, kernel, reference, actual, expected, magnitude, tolerance):
        nonlocal stages, channels
        if "@" not in stage:
            faulty = np.asarray(actual, np.float32) * np.float32(1.01)
            off = units_off(faulty, np.broadcast_to(expected, faulty.shape), magnitude)
            heads = stage.endswith(("scores", "pattern"))
            worst = off.max(axis=(0, 2)) if heads else off.reshape(len(off), -1).max(axis=0)
            stages, channels = stages + 1, channels + worst.size
            hidden.extend((stage, int(c)) for c in np.flatnonzero(worst <= tolerance))
        return judge(stage, op, kernel, reference, actual, expected, magnitude, tolerance)

    monkeypatch.setattr(compare, "_row", row)
    exact = model.numerics == "exact"
    assert all(
        r.ok for r in compare._isolate_numpy(trace, NumpyExecutor(model.graph, model.file, exact=exact, kv=model.kv))
    )
    return stages, channels, hidden


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("numerics", ["fast", "exact"])
def test_smollm2(smollm2, numerics, monkeypatch):
    stages, channels, hidden = hidden_channels(ct.load(smollm2, numerics=numerics), "Once upon a time", monkeypatch)
    assert stages >= 695 and channels > 490_000 and hidden == []
