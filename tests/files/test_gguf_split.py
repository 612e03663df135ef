"""A model in several GGUF files. g34 is a row of the catalogue of bad inputs."""

from pathlib import Path

import cutaway as ct
import pytest
from cutaway import _core
from cutaway.errors import GGUFError, LimitExceededError, ModelNotFoundError, WeightLoadingError
from files.build import METADATA, TENSORS, build
from files.opening import put

NAMES = list(TENSORS)


def split(tmp_path, replace=None, count=3, stem="m"):
    """Writes TENSORS over three parts, one tensor each; `replace`: {part: {key: (type, value)}}."""
    for no in range(count):
        metadata = dict(METADATA) if no == 0 else {}
        metadata |= {"split.no": ("u16", no), "split.count": ("u16", count), "split.tensors.count": ("i32", 3)}
        metadata |= (replace or {}).get(no, {})
        put(tmp_path, build(metadata, {NAMES[no]: TENSORS[NAMES[no]]}), f"{stem}-{no + 1:05}-of-{count:05}.gguf")
    return tmp_path / f"{stem}-00001-of-{count:05}.gguf"


def refused_split(path, *kinds):
    with pytest.raises(WeightLoadingError) as caught:
        _core.open_gguf(path)
    assert type(caught.value) in kinds, f"{type(caught.value).__name__}: {caught.value}"
    return caught.value


def test_split_files_are_one_file(tmp_path):
    file = _core.open_gguf(split(tmp_path))
    assert [Path(p).name for p in file.parts] == [f"m-{i:05}-of-00003.gguf" for i in (1, 2, 3)]
    assert [(t.name, t.part) for t in file.tensors] == [(name, i) for i, name in enumerate(NAMES)]
    assert file.value("general.architecture") == "llama" and file.warnings == []
    assert file.bytes == sum(p.stat().st_size for p in tmp_path.iterdir())
    for name in NAMES:
        assert file.raw(name)[0] == 1  # the first of its part
    info = ct.inspect(file.parts[0])
    assert "in 3 parts" in repr(info) and [row["part"] for row in info.tensors()] == [0, 1, 2]


def test_g34_part_missing(tmp_path):
    path = split(tmp_path)
    (tmp_path / "m-00002-of-00003.gguf").unlink()
    error = refused_split(path, ModelNotFoundError)
    assert "2 of 3 parts are there, missing m-00002-of-00003.gguf" in error.message


def test_g34_not_the_first_part(tmp_path):
    split(tmp_path)
    error = refused_split(tmp_path / "m-00002-of-00003.gguf", GGUFError)
    assert "part 2 of 3" in error.message and "m-00001-of-00003.gguf" in error.hint


def test_g34_renamed(tmp_path):
    path = split(tmp_path).rename(tmp_path / "model.gguf")
    assert "-00001-of-00003.gguf" in refused_split(path, GGUFError).message


@pytest.mark.parametrize(
    "part, key, value",
    [
        (1, "split.no", ("u16", 2)),
        (1, "split.count", ("u16", 4)),
        (2, "split.tensors.count", ("i32", 4)),
        (2, "general.architecture", ("string", "gpt2")),
    ],
)
def test_g34_parts_disagree(tmp_path, part, key, value):
    error = refused_split(split(tmp_path, {part: {key: value}}), GGUFError)
    assert key in error.message and f"m-{part + 1:05}-of-00003.gguf" in error.message


def test_g34_wrong_number_of_tensors(tmp_path):
    wrong = {no: {"split.tensors.count": ("i32", 5)} for no in range(3)}
    assert "hold 3 tensors" in refused_split(split(tmp_path, wrong), GGUFError).message


def test_g34_tensor_in_two_parts(tmp_path):
    path = split(tmp_path)
    keys = {"split.no": ("u16", 2), "split.count": ("u16", 3), "split.tensors.count": ("i32", 3)}
    put(tmp_path, build(keys, {NAMES[0]: TENSORS[NAMES[0]]}), "m-00003-of-00003.gguf")
    error = refused_split(path, GGUFError)
    assert "token_embd.weight appears twice" in error.message and "m-00001-of-00003" in error.message


def test_g34_counts_that_are_no_counts(tmp_path):
    path = split(tmp_path, {0: {"split.count": ("u32", 2**32 - 1)}})
    refused_split(path, LimitExceededError)
    path = split(tmp_path, {0: {"split.count": ("string", "../../../etc/3")}})
    with pytest.raises(WeightLoadingError, match="split.count is the string"):
        _core.open_gguf(path)
