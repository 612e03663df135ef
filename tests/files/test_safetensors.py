"""Refusals of damaged and hostile safetensors files and folders; s01.. and f01.. are rows of the catalogue."""

import json
import os
import pickle
import time

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core
from cutaway.errors import (
    ConfigError,
    CutawayError,
    LimitExceededError,
    MappingError,
    ModelFormatError,
    ModelNotFoundError,
    SafetensorsError,
    TruncatedFileError,
    UnsupportedModelError,
    WeightLoadingError,
)
from files.folder import SHAPES, arrays, header_of, joined, safetensors, write, write_shards
from hypothesis import given, settings
from hypothesis import strategies as st

LAYER = "model.layers.0."


def refused(tmp_path, weights, kind, match=None, **changes):
    """The error that a folder with these weights is refused with: of `kind`, exactly, in printable words."""
    with pytest.raises(CutawayError, match=match) as caught:
        _core.open_model(write(tmp_path / "model", weights=weights, **changes))
    assert type(caught.value) is kind, f"{type(caught.value).__name__}: {caught.value}"
    assert caught.value.message.isprintable()
    return caught.value


def changed(**entries):
    """A file of one tensor [2] of f32, with what its header says of it changed; None takes a key away."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | entries
    return joined({"t": {key: value for key, value in entry.items() if value is not None}}, b"\0" * 8)


def raw_number(text):
    return joined(b'{"t": {"dtype": "F32", "shape": [%b], "data_offsets": [0, 4]}}' % text, b"\0" * 4)


def test_a_whole_folder(tmp_path):
    weights = arrays()
    file = _core.open_model(write(tmp_path / "model"))
    assert (file.kind, file.folder, file.warnings) == ("safetensors", str(tmp_path / "model"), [])
    assert file.value("general.architecture") == "llama" and file.value("general.name") == "model"
    stored = weights[LAYER + "mlp.down_proj.weight"]
    assert np.array_equal(file.raw("blk.0.ffn_down.weight").view("f4").reshape(4, 6), stored)
    m = ct.load(tmp_path / "model", numerics="exact")
    assert m.run([1, 2, 3]).shape == (1, 3, 5) and m.path == tmp_path / "model"
    assert _core.open_model(str(tmp_path / "model") + "//").folder == str(tmp_path / "model")


# --- the container ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(8))
def test_s01_too_short(tmp_path, size):
    assert f"has {size} bytes" in refused(tmp_path, b"\2\0\0\0\0\0\0\0"[:size], SafetensorsError).message


@pytest.mark.parametrize("length", [0, 1, 1000, 100_000_001, 2**63, 2**64 - 1])
def test_s01_header_length(tmp_path, length):
    weights = joined(*header_of(arrays({"t": (2,)})), length=length)
    assert f"a header of {length} bytes" in refused(tmp_path, weights, SafetensorsError).message


def test_s01_header_length_is_capped_by_the_caller(tmp_path):
    folder = write(tmp_path / "model")
    with pytest.raises(LimitExceededError, match="the cap is 100$|the cap is 100 "):
        _core.open_model(folder, limits={"header_bytes": 100})
    with pytest.raises(LimitExceededError, match="more tensors than the cap, 3"):
        ct.inspect(folder, limits={"tensors": 3})


@pytest.mark.parametrize(
    "text", [b"[]", b'"x"', b' {"a": 1}', b"\xef\xbb\xbf{}", b'{"\xff": 1}', b'{"a": 1', b"{}x", b"{'a': 1}"]
)
def test_s02_no_json_object(tmp_path, text):
    error = refused(tmp_path, joined(text), SafetensorsError)
    assert f"(byte offset {error.details['offset']})" in error.message and error.details["offset"] >= 8


def test_s03_repeated_tensor(tmp_path):
    entry = b'"t": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}'
    refused(tmp_path, joined(b"{%b, %b}" % (entry, entry), b"\0" * 4), SafetensorsError, "repeated|twice")


@pytest.mark.parametrize("entries", [{"dtype": None}, {"shape": None}, {"data_offsets": None}, {"extra": 1}])
def test_s04_inner_keys(tmp_path, entries):
    refused(tmp_path, changed(**entries), SafetensorsError, 'tensor t (lacks|has "extra")')


def test_s04_repeated_inner_key(tmp_path):
    text = b'{"t": {"dtype": "F32", "dtype": "F16", "shape": [2], "data_offsets": [0, 8]}}'
    refused(tmp_path, joined(text, b"\0" * 8), SafetensorsError, "dtype")


@pytest.mark.parametrize("entries", [{"dtype": 1}, {"shape": 2}, {"data_offsets": [0]}, {"data_offsets": [0, 4, 8]}])
def test_s04_inner_types(tmp_path, entries):
    refused(tmp_path, changed(**entries), SafetensorsError, "lacks")


@pytest.mark.parametrize(
    "text", [b"1.0", b"1e0", b"-0", b"-1", b"01", b"+1", b"18446744073709551616", b"9" * 400, b'"1"', b"null", b"true"]
)
def test_s05_numbers(tmp_path, text):
    refused(tmp_path, raw_number(text), SafetensorsError)


def test_s06_nesting(tmp_path):
    started = time.monotonic()
    refused(tmp_path, joined(b'{"t":' + b"[" * 100_000), SafetensorsError, "depth")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "offsets, kind, words",
    [
        ([[0, 8], [12, 20]], SafetensorsError, "there is a hole"),
        ([[4, 12], [12, 20]], SafetensorsError, "there is a hole"),
        ([[0, 8], [4, 12]], SafetensorsError, "it overlaps"),
        ([[0, 8], [0, 8]], SafetensorsError, "it overlaps"),
        ([[8, 0], [8, 16]], SafetensorsError, "lies at 8 to 0"),
        ([[0, 8], [8, 16]], SafetensorsError, "4 bytes follow the last tensor"),
        ([[0, 8], [2**62, 2**62 + 8]], SafetensorsError, "there is a hole"),
    ],
)
def test_s07_tiling(tmp_path, offsets, kind, words):
    header = {f"t{i}": {"dtype": "F32", "shape": [2], "data_offsets": at} for i, at in enumerate(offsets)}
    refused(tmp_path, joined(header, b"\0" * 20), kind, words)


def test_f01_cut_short(tmp_path):
    weights = safetensors(arrays())
    error = refused(tmp_path, weights[:-5], TruncatedFileError, "5 are missing")
    assert error.details["expected"] == len(weights) and error.details["have"] == len(weights) - 5


@pytest.mark.parametrize(
    "dtype, shape, end",
    [("F32", [3], 8), ("F32", [2**31, 2**31], 8), ("F32", [2**32, 2**32], 0), ("F64", [2**62], 8), ("F4", [15], 8),
     ("F32", [0, 2**62, 4], 0), ("F6_E2M3", [1], 1)],
)  # fmt: skip
def test_s08_sizes(tmp_path, dtype, shape, end):
    refused(tmp_path, changed(dtype=dtype, shape=shape, data_offsets=[0, end]), SafetensorsError, "overflow|bits")


def test_s09_scalars_and_empty_axes(tmp_path):
    extra = {"scalar": np.float32(1).reshape(()), "empty": np.zeros((3, 0), np.float32)}
    file = _core.open_model(write(tmp_path / "model", weights=safetensors(arrays() | extra)))
    assert len(file.warnings) == 1 and "scalar" in file.warnings[0] and "2 tensors" in file.warnings[0]


@pytest.mark.parametrize("rank", [9, 100_000])
def test_s10_rank(tmp_path, rank):
    refused(tmp_path, changed(shape=[1] * rank), LimitExceededError, f"has {rank} axes")


@pytest.mark.parametrize("metadata", [[], 1, {"a": 1}, {"a": None}, {"a": {"b": "c"}}])
def test_s11_metadata(tmp_path, metadata):
    header, data = header_of(arrays())
    refused(tmp_path, joined({"__metadata__": metadata, **header}, data), SafetensorsError, "__metadata__")


def test_s11_large_metadata(tmp_path):
    header, data = header_of(arrays())
    weights = joined({"__metadata__": {"format": "pt", "a": "x" * 5_000_000}, **header}, data)
    assert len(_core.open_model(write(tmp_path / "model", weights=weights)).tensors) == len(SHAPES)


@pytest.mark.parametrize("name", ["", "n" * 1025])
def test_s11_names(tmp_path, name):
    weights = joined({name: {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, b"\0" * 4)
    refused(tmp_path, weights, SafetensorsError, "a tensor name of")


@pytest.mark.parametrize("dtype", ["F128", "\x1b[2J", ""])
def test_q06_unknown_dtype(tmp_path, dtype):
    refused(tmp_path, changed(dtype=dtype), UnsupportedModelError, "supported are F32, F16 and BF16")


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint8])
def test_q06_dtypes_that_no_weight_has(tmp_path, dtype):
    weights = arrays(dtype=np.float32)
    for name in list(weights)[2:8]:
        weights[name] = weights[name].astype(dtype)
    error = refused(tmp_path, safetensors(weights), UnsupportedModelError, "6 tensors")
    assert LAYER + "self_attn.q_proj.weight" in error.message and error.message.count("model.layers") == 4


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_s14_a_pickle(tmp_path, protocol):
    error = refused(tmp_path, pickle.dumps([1] * 100, protocol), SafetensorsError, "pickle: refused")
    assert "convert" in error.hint


@pytest.mark.parametrize(
    "start, words", [(b"GGUF\3\0\0\0" + b"\0" * 40, "header"), (b"<!DOCTYPE html>" + b" " * 40, "HTML"),
                     (b"PK\3\4" + b"\0" * 40, "ZIP"), (b"\0" * 64, "zeros"), (b"\x1f\x8b" + b"\1" * 40, "compressed")]
)  # fmt: skip
def test_s14_other_files(tmp_path, start, words):
    refused(tmp_path, start, SafetensorsError, words)


def test_f01_lfs_pointer(tmp_path):
    text = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"
    error = refused(tmp_path, text, TruncatedFileError, "LFS pointer.*expected 123456 bytes")
    assert "git lfs pull" in error.hint


def test_f03_cut_while_open(tmp_path):
    folder = write(tmp_path / "model")
    file = _core.open_model(folder)
    os.truncate(folder / "model.safetensors", 700)
    for name in ("blk.0.attn_q.weight", "token_embd.weight"):  # made on reading, and as it lies
        with pytest.raises(TruncatedFileError):
            file.raw(name)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=4))
def test_bytes_changed_at_random(tmp_path_factory, changes):
    data = bytearray(safetensors(arrays()))
    for at, byte in changes:
        data[at] = byte
    folder = write(tmp_path_factory.getbasetemp() / "fuzzed", weights=bytes(data))
    try:
        file = _core.open_model(folder)
        assert all(file.raw(t.name).size == t.bytes for t in file.tensors)
    except WeightLoadingError as error:
        assert error.message.isprintable()


# --- shards -----------------------------------------------------------------------------------------------------------

NAMES = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def halves():
    items = list(arrays().items())
    return {NAMES[0]: dict(items[:5]), NAMES[1]: dict(items[5:])}


def test_shards_are_as_one_file(tmp_path):
    one, two = _core.open_model(write(tmp_path / "m")), _core.open_model(write_shards(tmp_path / "m2", halves()))
    assert len(two.parts) == 2 and two.bytes > one.bytes
    assert {t.name: t.shape for t in one.tensors} == {t.name: t.shape for t in two.tensors}
    assert all(np.array_equal(one.raw(t.name), two.raw(t.name)) for t in one.tensors)
    assert {k: v for k, v in one.metadata.items() if k != "general.name"} == {
        k: v for k, v in two.metadata.items() if k != "general.name"
    }


def test_links_to_elsewhere_are_followed(tmp_path):
    """As the hub's cache has them: names in a snapshot that point to blobs beside it."""
    folder = write_shards(tmp_path / "m", halves())
    (tmp_path / "blobs").mkdir()
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(tmp_path / "blobs" / str(i))
        path.symlink_to(f"../blobs/{i}")
    assert len(_core.open_model(folder).tensors) == len(SHAPES)


@pytest.mark.parametrize(
    "name", ["../../x.safetensors", "/etc/x.safetensors", "https://x/y.safetensors", "..\\x.safetensors", "",
             ".safetensors", "x.bin", "a\0.safetensors", 1, None, ["x.safetensors"]]
)  # fmt: skip
def test_s12_shard_names(tmp_path, name):
    folder = write_shards(tmp_path / "m", halves(), dict.fromkeys(SHAPES, name))
    with pytest.raises(SafetensorsError, match="expected the plain name"):
        _core.open_model(folder)


def test_s12_missing_shard(tmp_path):
    folder = write_shards(tmp_path / "m", halves())
    (folder / NAMES[1]).unlink()
    with pytest.raises(ModelNotFoundError, match=f"names 2 shards, of which these are missing: {NAMES[1]}"):
        _core.open_model(folder)


def test_s12_one_tensor_in_two_shards(tmp_path):
    shards = halves()
    shards[NAMES[1]]["model.embed_tokens.weight"] = shards[NAMES[0]]["model.embed_tokens.weight"]
    with pytest.raises(SafetensorsError, match="model.embed_tokens.weight is in two shards"):
        _core.open_model(write_shards(tmp_path / "m", shards))


def test_s12_tensor_not_in_its_shard(tmp_path):
    right = {tensor: name for name, tensors in halves().items() for tensor in tensors}
    for wrong in (right | {"model.norm.weight": NAMES[0]}, right | {"no.such": NAMES[0]}):
        with pytest.raises(SafetensorsError, match="where the index has it"):
            _core.open_model(write_shards(tmp_path / "m", halves(), wrong))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": '])
def test_s12_bad_index(tmp_path, text):
    folder = write_shards(tmp_path / "m", halves())
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(SafetensorsError):
        _core.open_model(folder)


def test_s12_too_many_shards(tmp_path):
    with pytest.raises(LimitExceededError, match="2 shards, the cap is 1"):
        _core.open_model(write_shards(tmp_path / "m", halves()), limits={"parts": 1})


# --- the folder -------------------------------------------------------------------------------------------------------


def test_no_config(tmp_path):
    with pytest.raises(ModelNotFoundError, match="has no config.json") as caught:
        ct.inspect(tmp_path)
    assert "config.json and model.safetensors" in caught.value.hint
    (tmp_path / "model.Q8_0.gguf").touch()
    with pytest.raises(ModelNotFoundError, match="it has model.Q8_0.gguf") as caught:
        ct.load(tmp_path)
    assert "inside it" in caught.value.hint


@pytest.mark.parametrize("old", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_pickled_weights_only(tmp_path, old):
    folder = write(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / old)
    with pytest.raises(UnsupportedModelError, match="a pickle: refused") as caught:
        _core.open_model(folder)
    assert "convert it to safetensors" in caught.value.hint


@pytest.mark.parametrize("other", ["consolidated.00.pth", "tf_model.h5", "model.onnx"])
def test_weights_of_other_programs_only(tmp_path, other):
    folder = write(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / other)
    with pytest.raises(UnsupportedModelError, match=f"{other} only; supported is model.safetensors"):
        _core.open_model(folder)


def test_an_adapter(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match="holds an adapter") as caught:
        _core.open_model(tmp_path)
    assert "merge_and_unload" in caught.value.hint


def test_no_weights(tmp_path):
    folder = write(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match="neither model.safetensors nor"):
        _core.open_model(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_g40_only_regular_files(tmp_path, name):
    folder = write(tmp_path / "m")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ModelFormatError, match="a pipe, expected a regular file"):
        _core.open_model(folder)


def test_the_file_in_the_folder_says_to_name_the_folder(tmp_path):
    with pytest.raises(CutawayError, match="a safetensors file") as caught:
        _core.open_model(write(tmp_path / "m") / "model.safetensors")
    assert "pass the folder" in caught.value.hint


@pytest.mark.parametrize("changes, name", [
    ({"num_attention_heads": 2, "num_key_value_heads": 1}, "k_proj"), ({"intermediate_size": 7}, "gate_proj"),
    ({"vocab_size": 6}, "embed_tokens"), ({"hidden_size": 8}, "embed_tokens"), ({"head_dim": 2}, "q_proj"),
])  # fmt: skip
def test_s13_config_contradicts_the_tensors(tmp_path, changes, name):
    error = refused(tmp_path, None, ConfigError, "by the numbers of config.json", **changes)
    assert name in error.message and error.details["found"] != error.details["expected"]


def test_missing_tensors(tmp_path):
    weights = arrays()
    del weights["model.layers.0.mlp.up_proj.weight"]
    error = refused(tmp_path, safetensors(weights), MappingError, "model.layers.0.mlp.up_proj.weight is missing")
    assert "disagree" in error.hint
    refused(tmp_path, safetensors({"x": np.zeros(1, np.float32)}), MappingError, "model.embed_tokens.weight")
    refused(tmp_path, None, MappingError, "layers.1", num_hidden_layers=2)


def test_s13_code_in_the_folder_is_never_imported(tmp_path):
    folder = write(tmp_path / "m", auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('imported')")
    info = ct.inspect(folder)
    assert any("never imported" in warning for warning in info.warnings)


def test_inspect_and_plan(tmp_path):
    folder = write(tmp_path / "m")
    info = ct.inspect(folder)
    assert info.path == str(folder) and info.kind == "safetensors"
    assert info.missing() == ["tokenizer not said is not one of gpt2, llama, tokenizer.json, vocab.json"]
    (folder / "tokenizer.json").write_text("{}")
    assert info.missing() == [] and info.summary()["tokenizer"] == "tokenizer.json"
    assert json.loads(info.to_json())["kind"] == "safetensors"
    assert ct.plan(folder).fits and ct.plan(folder).file == "m"
