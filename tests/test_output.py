"""Files that are whole or what they were, and values as JSON."""

import json
import math
import os

import numpy as np
import pytest
from cutaway.errors import SaveError
from cutaway.output import counted, escape, plain, table, write_whole


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def fails(f):
        f.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match="No space left on device") as caught:
        write_whole(path, fails)
    assert caught.value.details == {"path": str(path), "errno": 28}
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.txt"]


def test_links_stay_links(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/real")
    write_whole(tmp_path / "link", lambda f: f.write(b"new"))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "real").read_bytes() == b"new"


def test_what_is_no_file_is_written_in_place():
    read, write = os.pipe()
    write_whole(f"/dev/fd/{write}", lambda f: f.write(b"page"))
    assert os.read(read, 10) == b"page"
    os.close(read), os.close(write)


@pytest.mark.parametrize("name, says", [(".", "it is a directory"), ("no/a.txt", "there is no directory")])
def test_places_where_no_file_can_stand(tmp_path, name, says):
    with pytest.raises(SaveError, match=says):
        write_whole(tmp_path / name, lambda f: pytest.fail("it wrote"))


def test_plain_values_are_json():
    given = {"a": (1, np.float32(0.5)), 2: [math.nan, -math.inf], "b": np.arange(3), "c": np.int64(7), "d": None}
    expected = {"a": [1, 0.5], "2": ["nan", "-inf"], "b": [0, 1, 2], "c": 7, "d": None}
    assert plain(given) == expected == json.loads(json.dumps(plain(given), allow_nan=False))


def test_text():
    assert table([("id", "name"), (7, "a"), (123, "b")], right=(0,)) == " id  name\n  7  a\n123  b"
    assert (counted(0, "token"), counted(1, "token")) == ("0 tokens", "1 token")
    assert escape("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"
