"""The tiny trained models as the tests of models read them."""

from functools import cache
from pathlib import Path

import numpy as np
from cutaway import _core
from cutaway.reference import witness
from cutaway.reference.weights import FileWeights

TINY = Path(__file__).parent.parent / "data" / "tiny"
FILES = {
    "gpt2": "gpt2-F16.gguf",
    "llama": "llama-F16.gguf",
    "llama3-rope": "llama3-rope-BF16.gguf",
    "qwen2": "qwen2-F16.gguf",
    "qwen3": "qwen3-BF16.gguf",
    "phi3": "phi3-F16.gguf",
    "phi3-longrope": "phi3-longrope-BF16.gguf",
    "gemma3": "gemma3-BF16.gguf",
    "gpt-oss": "gpt-oss-BF16.gguf",
}
FOLDERS = {"llama-k": "hf", "gemma3-short": "hf"}  # no GGUF can hold the second; of the first it would be large
PROMPTS = ("short", "mid", "long")


def path_of(name):
    return TINY / name / (FILES | FOLDERS)[name]


@cache
def model(name):
    """(metadata, weights by name) as the witness takes them: a file's by the gguf package, a folder's by our reader."""
    if name in FOLDERS:
        file = _core.open_model(path_of(name))
        return file.metadata, FileWeights(file).all()
    import gguf

    reader = gguf.GGUFReader(path_of(name))
    metadata = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("tokenizer.")}
    weights = {t.name: gguf.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1].tolist()) for t in reader.tensors}
    return metadata, weights


@cache
def golden(name):
    return dict(np.load(TINY / name / "golden.npz"))


@cache
def sound_logits(name, prompt):
    return witness.run(*model(name), golden(name)[prompt + "_ids"])["logits"]


def loss(logits, ids):
    """Of every token after the first."""
    x = np.asarray(logits[:-1], np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x).sum(axis=-1)) - x[np.arange(len(ids) - 1), ids[1:]]
