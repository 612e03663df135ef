"""ct.inspect: what a header says, as values, as JSON and in print."""

import json
import os
import time

import cutaway as ct
import pytest
from cutaway.errors import ArgumentError, MappingError
from cutaway.inspect import TOKENIZERS
from files.build import F16, METADATA, build, u64
from files.folder import write
from files.opening import TINY, put


def test_inspect_a_real_file():
    info = ct.inspect(TINY / "llama/llama-F16.gguf")
    expected = {
        "architecture": "llama",
        "layers": 4,
        "width": 64,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 16,
        "feed_forward": 160,
    }
    expected |= {
        "context": 512,
        "vocabulary": 1024,
        "tokenizer": "gpt2",
        "chat_template": False,
        "tied_head": False,
        "experts": None,
    }
    summary = info.summary()
    assert {key: summary[key] for key in expected} == expected
    assert info.missing() == [] and info.key("llama.block_count") == 4
    assert [row["layer"] for row in info.layers()] == [None, 0, 1, 2, 3]
    assert (
        sum(row["bytes"] for row in info.layers())
        == sum(row["bytes"] for row in info.formats())
        == sum(t["bytes"] for t in info.tensors())
    )
    assert {row["format"]: row["bits_per_weight"] for row in info.formats()} == {"f16": 16.0, "f32": 32.0}
    assert len(info.tensors("blk.0.*")) == 9 and info.tensors("blk.0.attn_q.weight")[0]["shape"] == [64, 64]
    assert info.tensors(sort="bytes")[0]["bytes"] == 131072
    text = repr(info)
    for words in (
        "llama-F16.gguf: gguf v3, 623.3 KiB, 39 tensors",
        "1024, byte-level BPE",
        "4 of width 16, 2 for keys and values",
    ):
        assert words in text
    with pytest.raises(MappingError, match="near it: llama.block_count"):
        info.key("llama.blok_count")


def test_inspect_to_json(tmp_path):
    info = ct.inspect(
        put(tmp_path, build(METADATA | {"nan": ("f32", float("nan")), "long": ("u8[]", list(range(17)))}))
    )
    plain = json.loads(info.to_json(), parse_constant=lambda word: pytest.fail(word))
    assert plain["metadata"]["nan"] == "nan" and plain["metadata"]["long"] == {
        "type": "u8[]",
        "length": 17,
        "first": list(range(16)),
    }
    assert json.loads(info.to_json(arrays=None))["metadata"]["long"] == list(range(17))
    assert plain["tensors"] == info.tensors().to_dict() and plain["types"]["long"] == "u8[]"
    assert list(plain) == (
        ["path", "parts", "kind", "bytes", "header_bytes", "summary", "missing", "warnings"]
        + ["metadata", "types", "formats", "layers", "tensors"]
    )


def test_inspect_a_folder_and_its_tokenizer(tmp_path):
    folder = write(tmp_path / "m")
    assert ct.inspect(folder).missing() == [f"tokenizer not said is not one of {', '.join(TOKENIZERS)}"]
    (folder / "vocab.json").write_text("{}")
    (folder / "merges.txt").write_text("")
    (folder / "tokenizer_config.json").write_text('{"chat_template": null}')
    info = ct.inspect(folder)
    assert info.missing() == [] and info.summary()["chat_template"] is False
    assert "5, byte-level BPE (vocab.json)\n" in repr(info)
    (folder / "tokenizer.json").write_text("{}")
    for name, text in (("tokenizer_config.json", '{"chat_template": "x"}'), ("chat_template.jinja", "x")):
        (folder / name).write_text(text)
        assert ct.inspect(folder).summary()["chat_template"] is True
        (folder / name).write_text("[")
    (folder / "chat_template.jinja").unlink()
    info = ct.inspect(folder)
    assert info.summary()["chat_template"] is False and "5, BPE (tokenizer.json)\n" in repr(info)


def test_inspect_says_what_cannot_run(tmp_path):
    metadata = {"general.architecture": ("string", "mamba"), "tokenizer.ggml.model": ("string", "rwkv")}
    missing = ct.inspect(put(tmp_path, build(metadata, {}))).missing()
    assert [line.split()[0:2] for line in missing] == [
        ["architecture", "mamba"],
        ["tokenizer", "rwkv"],
        ["there", "are"],
    ]


def test_inspect_a_large_file_at_once(tmp_path):
    """20 GB of tensors, sparse: nothing but the header is read."""
    path = put(
        tmp_path,
        build({"general.architecture": ("string", "llama")}, {"w": ((1,), F16)}, {"tensor.0.ne.0": u64(10**10)}),
    )
    os.truncate(path, 20 * 10**9 + 4096)
    start = time.perf_counter()
    assert ct.inspect(path).formats()[0]["bytes"] == 20 * 10**9
    assert time.perf_counter() - start < 0.1


def test_inspect_sorts_by_its_columns_only():
    info = ct.inspect(TINY / "llama/llama-F16.gguf")
    for column in info.tensors()[0]:
        assert len(info.tensors(sort=column)) == 39
    with pytest.raises(ArgumentError, match="sort is 'size', expected one of name, format"):
        info.tensors(sort="size")
