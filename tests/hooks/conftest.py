"""The tiny models, loaded once per way to load them."""

import functools

import cutaway as ct
import pytest

FILES = {
    "llama": "llama/llama-F16.gguf",
    "gpt2": "gpt2/gpt2-F16.gguf",
    "q4_1": "llama-k/llama-k-Q4_1.gguf",
    "q4_k": "llama-k/llama-k-Q4_K.gguf",
    "q6_k": "llama-k/llama-k-Q6_K.gguf",
    "qwen3": "qwen3/qwen3-BF16.gguf",
    "phi3": "phi3/phi3-F16.gguf",
    "gemma3": "gemma3/gemma3-BF16.gguf",
    "gpt-oss": "gpt-oss/gpt-oss-BF16.gguf",
}
TEXT = "And the LORD said unto Moses, Go"


@pytest.fixture(scope="session")
def model(tiny):
    """model("llama", numerics="exact", threads=2): loaded once; tests must not close it."""

    @functools.cache
    def load(name, **options):
        folder, file = FILES[name].split("/")
        return ct.load(tiny(folder) / file, **options)

    return load
