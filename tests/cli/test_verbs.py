"""What all verbs have: help, an example, keys, exit codes and errors."""

from pathlib import Path

import cutaway as ct
import pytest
from cutaway.cli import main, parser
from cutaway.errors import NonFiniteError
from cutaway.loading import find


def verbs() -> list[str]:
    action = next(a for a in parser()._actions if a.dest == "verb")
    return list(action.choices)


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example_and_its_keys(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"example:\n  cutaway {verb}" in text
    assert "keys with --json: " in text


@pytest.mark.parametrize("verb", verbs())
def test_the_example_of_every_verb_parses(verb):
    import shlex

    action = next(a for a in parser()._actions if a.dest == "verb")
    line = action.choices[verb].epilog.split("example:\n  cutaway ")[1].split("\n")[0]
    assert parser().parse_args(shlex.split(line)).verb == verb


WITH_MODEL = [
    ("inspect",), ("plan",), ("tokenize", "x"), ("run", "-p", "x"), ("chat", "-p", "x"), ("trace", "-p", "x"),
    ("compare", "numpy"), ("check",), ("bench",),
]  # fmt: skip


@pytest.mark.parametrize("words", WITH_MODEL, ids=lambda w: w[0])
def test_a_file_that_is_not_there(words, run, as_json, tmp_path):
    words = (words[0], tmp_path / "no.gguf", *words[1:])
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "[E001]" in err and "hint:" in err
    error = as_json(*words, code=2)["error"]
    assert set(error) == {"code", "type", "message", "hint", "details"}
    assert (error["code"], error["type"]) == ("E001", "ModelNotFoundError")


@pytest.mark.parametrize("words", WITH_MODEL, ids=lambda w: w[0])
def test_a_file_that_is_no_model(words, as_json, tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(Path(find("tiny:llama")).read_bytes()[:1000])
    assert as_json(words[0], path, *words[1:], code=2)["error"]["code"] == "E002"


@pytest.mark.parametrize("words", [("nonsense",), ("run",), ("run", "tiny:llama", "--threads", "two"), ()], ids=str)
def test_words_that_mean_nothing(words, run, as_json):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "hint: `cutaway" in err
    assert as_json(*words, code=2)["error"]["type"] == "Usage"


def test_options_that_cannot_be_had(as_json):
    assert as_json("run", "tiny:llama", "-p", "x", "--device", "cuda", code=2)["error"]["type"] == "DeviceError"
    assert as_json("run", "tiny:llama", "-p", "x", "--target", "mmx", code=2)["error"]["code"].startswith("E0")
    assert as_json("run", "tiny:llama", "--ids", "1,two", code=2)["error"]["type"] == "Usage"
    assert as_json("run", "tiny:llama", "--ids", "99999", code=2)["error"]["code"] == "E007"


def test_an_error_inside_a_verb_is_not_dressed_up_as_a_result(as_json, monkeypatch):
    def fails(self, *args, **options):
        raise NonFiniteError("blocks.2.mlp.out holds NaN", layer=2, stage="blocks.2.mlp.out")

    monkeypatch.setattr(ct.Model, "stream", fails)
    error = as_json("run", "tiny:llama", "-p", "x", code=2)["error"]
    assert error["details"] == {"layer": 2, "stage": "blocks.2.mlp.out"}
