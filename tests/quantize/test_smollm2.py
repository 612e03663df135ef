"""A real model: GGUF -> folder -> GGUF gives the same bits, and every format what its bits allow."""

import cutaway as ct
import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.model]


def test_there_and_back(smollm2, tmp_path):
    """q4_1 becomes float32 in the folder, which holds it to the bit; exact numerics give the same logits from all."""
    ct.to_hf(smollm2, tmp_path / "hf")
    ct.quantize(tmp_path / "hf", tmp_path / "back.gguf", "keep")
    text = "Once upon a time, in 1611, there was"
    logits = [ct.load(p, numerics="exact").run(text) for p in (smollm2, tmp_path / "hf", tmp_path / "back.gguf")]
    assert np.array_equal(logits[0], logits[1]) and np.array_equal(logits[1], logits[2])
    found = ct.verify(smollm2, tmp_path / "hf", text)
    assert found and found.lossless and not found.notes


def test_mixes(smollm2, tmp_path):
    """Relative errors: Q4_K_M's largest 0.047, MXFP4's 0.123; gguf's own quantiser gives 0.126 there."""
    for name, most in (("q4_k_m", 0.05), ("mxfp4", 0.1245)):
        report = ct.quantize(smollm2, tmp_path / f"{name}.gguf", name)
        assert max(row.rel for row in report.rows) <= most
        assert ct.load(tmp_path / f"{name}.gguf").generate("Once upon a time", max_new_tokens=4).ids
