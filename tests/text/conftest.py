"""Tokenizers for these tests: five real vocabularies, and small ones that a test spells out."""

import lzma
import struct

import pytest
from cutaway.text import Tokenizer
from text.vocabularies import ALPHABET, VOCAB

SEPARATOR = "\n__ggml_vocab_test__\n"

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def _string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def _element(kind, value):
    return _string(value) if kind == STRING else struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def _value(value):
    """A value as GGUF: str, bool, int (u32), float, lists of str, i32, float; (kind, value) picks another kind."""
    kinds = {str: STRING, bytes: STRING, bool: BOOL, int: U32, float: F32}
    if isinstance(value, tuple):
        return struct.pack("<I", value[0]) + _element(*value)
    if isinstance(value, list):
        kind = kinds[type(value[0])] if value else STRING
        kind = I32 if kind == U32 else kind
        return struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(_element(kind, v) for v in value)
    return struct.pack("<I", kinds[type(value)]) + _element(kinds[type(value)], value)


def gguf_bytes(metadata):
    entries = b"".join(_string(key) + _value(value) for key, value in metadata.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + entries


@pytest.fixture
def tokenizer_of(tmp_path):
    """make(metadata) -> Tokenizer, through a file; keys without a dot stand under tokenizer.ggml."""

    def make(metadata):
        path = tmp_path / "vocab.gguf"
        full = {key if "." in key else f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
        path.write_bytes(gguf_bytes({"general.architecture": "llama", **full}))
        return Tokenizer(str(path))

    return make


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
    """vocabulary("qwen2") -> Tokenizer of a real model, unpacked once."""
    made = {}

    def get(name):
        if name not in made:
            path = tmp_path_factory.mktemp("vocab") / f"{name}.gguf"
            path.write_bytes(lzma.decompress((VOCAB / f"{name}.gguf.xz").read_bytes()))
            made[name] = Tokenizer(str(path))
        return made[name]

    return get


@pytest.fixture(scope="session")
def vectors():
    """vectors("qwen2") -> [(text, ids)], by llama.cpp; no BOS, special tokens as text."""

    def get(name):
        blocks = (VOCAB / f"{name}.inp").read_bytes().decode("utf-8").split(SEPARATOR)[:-1]
        lines = (VOCAB / f"{name}.out").read_text().split("\n")[: len(blocks)]
        return [(block, [int(i) for i in line.split()]) for block, line in zip(blocks, lines, strict=True)]

    return get


@pytest.fixture
def byte_vocab():
    """A byte-level vocabulary to spoil: 256 bytes, "ab", "abc", a control token, a user-defined one."""
    tokens = [ALPHABET[b] for b in range(256)] + ["ab", "abc", "<|end|>", "<tag>"]
    return {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [1] * 258 + [3, 4],
        "merges": ["a b", "ab c"],
    }


@pytest.fixture
def spm_vocab():
    """A SentencePiece vocabulary to spoil."""
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{b:02X}>" for b in range(256)),
        "\u2581",
        "a",
        "b",
        "ab",
        "\u2581ab",
        "<tag>",
    ]
    return {
        "model": "llama",
        "tokens": tokens,
        "token_type": [2, 3, 3] + [6] * 256 + [1] * 5 + [4],
        "scores": [0.0] * 259 + [-5.0, -4.0, -4.0, -1.0, -2.0, 0.0],
    }
