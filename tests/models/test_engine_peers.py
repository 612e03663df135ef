"""The engine beside llama.cpp on the same files: logits as near as its rounding of activations allows."""

import cutaway as ct
import numpy as np
import pytest

pytestmark = pytest.mark.peers("llama_cpp")


def peer_logits(path, ids):
    import llama_cpp

    model = llama_cpp.Llama(
        str(path), n_ctx=512, n_batch=512, n_threads=2, logits_all=True, verbose=False, type_k=0, type_v=0
    )
    model.eval(ids)
    out = np.array(model.scores[: len(ids)])
    model.close()
    return out


# llama.cpp rounds activations to float16 in front of F16 weights, to 8 bits in front of quantised ones (256 at a
# time for the K formats), and takes gpt2's GELU from a float16 table. Beside each the largest difference seen; twice
# that passes.
@pytest.mark.parametrize(
    "name, numerics, off",
    [
        ("llama/llama-F16", "exact", 0.0092),  # 0.0046
        ("gpt2/gpt2-F16", "exact", 0.0090),  # 0.0045
        ("llama3-rope/llama3-rope-BF16", "exact", 0.066),  # 0.033
        ("llama-k/llama-k-Q8_0", "fast", 0.17),  # 0.086
        ("llama-k/llama-k-Q4_1", "fast", 0.18),  # 0.092
        ("llama-k/llama-k-Q4_K", "fast", 0.43),  # 0.214
        ("llama-k/llama-k-Q6_K", "fast", 0.46),  # 0.231
    ],
)
def test_logits(data, name, numerics, off):
    path = data / "tiny" / f"{name}.gguf"
    m = ct.load(path, numerics=numerics)
    ids = m.to_tokens("And the LORD spake unto Moses, saying, Speak unto the children of Israel").tolist()
    theirs, mine = peer_logits(path, ids), m.run(ids)[0]
    assert np.abs(mine - theirs).max() < off
    assert (mine.argmax(-1) == theirs.argmax(-1)).mean() > 0.9


@pytest.mark.model
def test_smollm2(smollm2):
    m = ct.load(smollm2, numerics="exact")
    ids = m.to_tokens("Once upon a time, in a land far away").tolist()
    theirs, mine = peer_logits(smollm2, ids), m.run(ids)[0]
    assert (mine.argmax(-1) == theirs.argmax(-1)).all()
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.999  # models.md: 0.9993 to 0.9995 on 4-bit files
