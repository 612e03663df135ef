"""The tokenizer.json that ct.to_hf writes for a GGUF file, read by Hugging Face's own program."""

import json
import lzma
import random

import cutaway as ct
import pytest
from cutaway.hf_tokenizer import tokenizer_files
from text.conftest import gguf_bytes
from text.folders import TINY, random_text
from text.vocabularies import NAMES, VOCAB

tokenizers = pytest.importorskip("tokenizers", reason="needs the extra test: pip install tokenizers")


def agree(path, n=300):
    files, notes = tokenizer_files(ct._core.open_gguf(str(path), header_only=True))
    node, ours = files["tokenizer.json"], ct.Tokenizer(path)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(node))
    added = {token["content"]: token["id"] for token in node["added_tokens"]}
    assert not notes and {text: theirs.token_to_id(text) for text in added} == added
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(n):
        # Beside a blank, GGUF's Gemma takes a U+2581 for another one; the folder spells the token of both with blanks.
        text = random_text(rng, sorted(added)[:40]).replace("\u2581", "")
        assert theirs.encode(text, add_special_tokens=False).ids == ours.encode(text, False, True).tolist(), (
            seed,
            text,
        )


@pytest.mark.parametrize("name", [*NAMES, *(f"tiny-{name}" for name in TINY)])
def test_vocabularies(tmp_path, name):
    (tmp_path / "m.gguf").write_bytes(lzma.decompress((VOCAB / f"{name}.gguf.xz").read_bytes()))
    agree(tmp_path / "m.gguf")


@pytest.mark.parametrize("kind", ["byte", "spm"])
def test_added_tokens_among_the_others(tmp_path, byte_vocab, spm_vocab, kind):
    """SmolLM2's control tokens come first, Gemma's line feeds in the middle; one that is never used leaves no gap."""
    table = byte_vocab if kind == "byte" else spm_vocab
    columns = {"tokens": ["\n\n", "<first>", "[never]"], "token_type": [4, 3, 5], "scores": [-1000.0, 0.0, 0.0]}
    for key in columns.keys() & table.keys():
        table[key][255:255] = columns[key]
    (tmp_path / "m.gguf").write_bytes(gguf_bytes({f"tokenizer.ggml.{key}": value for key, value in table.items()}))
    agree(tmp_path / "m.gguf")


@pytest.mark.model
def test_smollm2(smollm2):
    agree(smollm2)
