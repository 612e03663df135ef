"""The witness itself: llama.cpp, as installed here, says of a real file what our stored numbers say."""

import pytest

pytestmark = [pytest.mark.peers("llama_cpp"), pytest.mark.model]

# Exact arithmetic over the dequantised weights picks these; the closest call among them is 0.16 logits, at step 4.
PROMPT, PROMPT_IDS = "Once upon a time", [6403, 1980, 253, 655]
GREEDY_IDS = [28, 260, 2240, 282]


@pytest.fixture(scope="module")
def peer(smollm2):
    import llama_cpp

    model = llama_cpp.Llama(str(smollm2), n_ctx=64, n_threads=2, verbose=False)
    yield model
    model.close()


def test_llama_cpp_tokenizes_as_stored(peer):
    assert peer.tokenize(PROMPT.encode(), add_bos=False) == PROMPT_IDS


def test_llama_cpp_continues_as_stored(peer):
    tokens = []
    for token in peer.generate(PROMPT_IDS, temp=0.0, repeat_penalty=1.0):
        tokens.append(token)
        if len(tokens) == len(GREEDY_IDS):
            break
    assert tokens == GREEDY_IDS
