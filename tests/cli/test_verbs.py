"""What all verbs have: help, an example, keys, exit codes and errors."""

import re
import sys
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


KEYS_OF = {
    "inspect": ["tiny:llama"],
    "plan": ["tiny:llama"],
    "tokenize": ["tiny:llama", "And"],
    "kernels": [],
    "run": ["tiny:llama", "-p", "And", "-n", 2],
    "chat": ["tiny:llama", "-p", "And", "-n", 2, "--template", "plain"],
    "trace": ["tiny:llama", "-p", "And"],
    "compare": ["tiny:llama", "numpy", "--ids", 1],
    "probe": ["add/scalar"],
    "check": ["tiny:llama", "--only", "repeat"],
    "quantize": ["tiny:llama", "{tmp}/q.gguf", "--format", "q8_0"],
    "convert": ["tiny:llama", "{tmp}/made"],
    "verify": ["tiny:llama", "{tmp}/hf", "--ids", "5,6,7"],
    "kl": ["tiny:llama", "tiny:llama", "-p", "In the beginning"],
    "bench": ["tiny:llama", "-p", 2, "-n", 2, "--runs", 1, "--no-peers"],
    "demo": ["--model", "tiny:llama"],
}


def documented(text: str) -> dict[str, set[str] | None]:
    """The keys of a help text, each with those of its rows: "a b[c, d]" -> {"a": None, "b": {"c", "d"}}."""
    words = text.split("keys with --json: ")[1].split(";")[0]
    found = re.findall(r"(\w+)(?:\[(?:name: )?([^\]]*)\])?", words)
    return {key: set(re.findall(r"\w+", inner)) or None for key, inner in found}


@pytest.mark.parametrize("verb", verbs())
def test_the_keys_are_those_that_help_names(verb, as_json, monkeypatch, tmp_path):
    from cutaway import roofline, speed

    peak = roofline.Peak(10.0, 1e12, 1e11, 2, "given", 1 << 20)
    monkeypatch.setattr(speed, "measure_peak", lambda threads, target, runs: peak)
    action = next(a for a in parser()._actions if a.dest == "verb")
    told = documented(" ".join(action.choices[verb].epilog.split()))
    if verb == "verify":
        ct.to_hf("tiny:llama", tmp_path / "hf")
    found = as_json(verb, *(str(word).replace("{tmp}", str(tmp_path)) for word in KEYS_OF[verb]))
    assert set(found) == set(told)
    for key, inner in told.items():
        if inner:
            value = found[key]
            rows = value if isinstance(value, list) else [value] if inner <= set(value) else list(value.values())
            assert rows and all(set(row) == inner for row in rows), key


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


def test_a_bug_exits_2_and_says_that_it_is_one(run, as_json, monkeypatch):
    """1 means that a check failed."""
    monkeypatch.setattr(ct.Model, "stream", lambda self, *args, **options: 1 / 0)
    code, out, err = run("run", "tiny:llama", "-p", "x")
    assert (code, out) == (2, "") and "ZeroDivisionError" in err and "this is a bug in cutaway" in err
    error = as_json("run", "tiny:llama", "-p", "x", code=2)["error"]
    assert (error["code"], error["type"]) == ("E099", "InternalError")


@pytest.mark.parametrize(
    "words, says",
    [
        (("inspect", "smolm2"), "did you mean smollm2?"),
        (("inspect", "tiny:lama"), "there are tiny:gpt2, tiny:llama"),
        (("plan", "tiny:llama", "--threads", "4"), "`cutaway plan --help`"),
        (("inspect", "tiny:llama", "--tensors", "blk.0.attn"), "near it: blk.0.attn"),
        (("inspect", "tiny:llama", "--key", ""), "has no key ''"),
        (("inspect", "tiny:llama", "--key", "a", "--layers"), "not allowed with"),
        (("kernels", "--op", ""), "there is no op ''"),
        (("run", "tiny:llama", "-p", "x", "-n", "0"), "'0', expected an integer from 1"),
        (("bench", "tiny:llama", "--runs", "-1"), "'-1', expected an integer from 1"),
        (("run", "tiny:llama", "--ids", ""), "there are no tokens to run"),
        (("run", "tiny:gpt2", "-p", ""), "there are no tokens to run"),
        (("probe", "rms_norm", "--shapes", "[]"), "shapes is empty"),
        (("probe", "rms_norm", "--shapes", "[[2, 64, 3]]"), "a shape is [2, 64, 3]"),
        (("probe", "rms_norm", "--shapes", "[[0, 4]]"), "a shape is [0, 4]"),
        (("probe", "rms_norm", "--format", "q4_1"), "rms_norm has no weights in a format"),
        (("compare", "tiny:llama", "numpy", "--html", "/no/such/page.html"), "there is no directory /no/such"),
        (("trace", "tiny:llama", "-p", "x", "-o", "/no/such/run.npz"), "there is no directory /no/such"),
    ],
    ids=lambda w: " ".join(w) if isinstance(w, tuple) else "",
)
def test_what_a_newcomer_gets_wrong(run, words, says):
    code, out, err = run(*words)
    assert (code, out) == (2, "") and says in err and "Traceback" not in err


def test_a_page_that_cannot_be_written_is_refused_before_the_work(run, monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules["cutaway.compare"], "compare", lambda *args, **options: pytest.fail("it ran"))
    assert run("compare", "tiny:llama", "numpy", "--html", tmp_path)[0] == 2
