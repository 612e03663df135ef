"""What the CUDA tests share: the tiny models on the device and on the CPU, and scripts in a process of their own."""

import functools
import os
import subprocess
import sys
import textwrap

import cutaway as ct
import pytest

FILES = {
    "gpt2": "gpt2/gpt2-F16.gguf",
    "llama": "llama/llama-F16.gguf",
    "llama3-rope": "llama3-rope/llama3-rope-BF16.gguf",
    "qwen2": "qwen2/qwen2-F16.gguf",
    "qwen3": "qwen3/qwen3-BF16.gguf",
    "phi3": "phi3/phi3-F16.gguf",
    "phi3-longrope": "phi3-longrope/phi3-longrope-BF16.gguf",
    "gemma3": "gemma3/gemma3-BF16.gguf",
    "gpt-oss": "gpt-oss/gpt-oss-BF16.gguf",
    "gpt-oss-mxfp4": "gpt-oss/gpt-oss-MXFP4_MOE.gguf",
    "q4_1": "llama-k/llama-k-Q4_1.gguf",
    "q5_0": "llama-k/llama-k-Q5_0.gguf",
    "q6_k": "llama-k/llama-k-Q6_K.gguf",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "cuda":
            item.add_marker(pytest.mark.cuda)


@pytest.fixture(scope="session")
def model(tiny):
    """model("llama", kv="f16"): on the device, exact; loaded once, so tests must not close it."""

    @functools.cache
    def load(name, device="cuda", **options):
        folder, file = FILES[name].split("/")
        return ct.load(tiny(folder) / file, device=device, **{"numerics": "exact", **options})

    return load


@pytest.fixture
def alone():
    """alone(script, **environment): runs Python in a process of its own; its output, or what it raised."""

    def run(script, **environment):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
