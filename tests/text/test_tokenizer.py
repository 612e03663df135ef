"""Tokenizers: llama.cpp's vectors and a real file; then every way in which a table or a text can be bad."""

import pytest

NAMES = ["gpt-2", "qwen2", "llama-bpe", "llama-spm", "phi-3"]


@pytest.mark.parametrize("name", NAMES)
def test_vectors_of_llama_cpp(vocabulary, vectors, name):
    cases = vectors(name)
    assert len(cases) == 46
    wrong = [text for text, ids in cases if vocabulary(name).encode(text, bos=False).tolist() != ids]
    assert wrong == []
