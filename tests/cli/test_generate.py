"""Verbs that write text: run and chat."""

import sys

import cutaway as ct
import pytest

MANIFEST = {"file", "bytes", "arch", "numerics", "kv", "device", "target", "threads", "version"}


def test_run(run, as_json):
    expected = ct.load("tiny:llama").generate("In the beginning", max_new_tokens=12)
    found = as_json("run", "tiny:llama", "-p", "In the beginning", "-n", 12, "--logprobs", 2)
    assert set(found) == {
        "text", "ids", "prompt_ids", "stop", "logprobs", "top_logprobs", "stats", "manifest",
    }  # fmt: skip
    assert set(found["manifest"]) == MANIFEST
    assert (found["text"], found["ids"], found["stop"]) == (expected.text, expected.ids, "length")
    assert len(found["logprobs"]) == 12 and len(found["top_logprobs"][0]) == 2
    code, out, err = run("run", "tiny:llama", "-p", "In the beginning", "-n", 12)
    assert (code, out) == (0, expected.text + "\n")
    assert "tok/s" in err and "stopped by length" in err
    ids = ",".join(map(str, found["prompt_ids"]))
    assert as_json("run", "tiny:llama", "--ids", ids, "-n", 12)["text"] == expected.text


def test_run_samples_by_its_seed(as_json):
    sample = lambda seed: as_json(
        "run", "tiny:llama", "-p", "And", "-n", 16, "--temperature", 1.5, "--top-k", 40, "--top-p", 0.95, "--min-p",
        0.001, "--seed", seed,
    )["ids"]  # fmt: skip
    assert sample(1) == sample(1) != sample(2)


def test_run_stops_before_its_stop_text(as_json):
    found = as_json("run", "tiny:llama", "-p", "In the beginning", "-n", 30, "--stop", "LORD")
    assert found["stop"] == "stop" and "LORD" not in found["text"]
    assert as_json("run", "tiny:llama", "-p", "a", "-n", 600, code=2)["error"]["type"] == "ContextLengthExceeded"
    assert as_json("run", "tiny:llama", "-p", "a", "--temperature", -1, code=2)["error"]["type"] == "ArgumentError"


def test_run_passes_the_options_of_load(as_json):
    manifest = as_json(
        "run", "tiny:llama", "-p", "a", "-n", 1, "--numerics", "exact", "--threads", 1, "--target", "scalar",
        "--kv", "f16",
    )["manifest"]  # fmt: skip
    assert [manifest[k] for k in ("numerics", "threads", "target", "kv")] == ["exact", 1, "scalar", "f16"]


def test_chat_keeps_the_session_between_turns(as_json):
    words = ("chat", "tiny:llama", "--template", "plain", "-n", 8)
    found = as_json(*words, "-p", "In the beginning", "-p", "And then")
    assert set(found) == {"turns", "manifest"}
    first, second = found["turns"]
    assert set(first) == {"user", "assistant", "ids", "stop", "stats", "reused_tokens"}
    assert first["reused_tokens"] == 0 and second["reused_tokens"] > 5
    # A second turn that continues a session is the turn that runs everything anew.
    whole = f"In the beginning\n{first['assistant']}\nAnd then\n"
    assert second["ids"] == ct.load("tiny:llama").generate(whole, max_new_tokens=8).ids


def test_chat_reads_a_line_of_standard_input_per_turn(as_json, run, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("In the beginning\n\nAnd then\n"))
    found = as_json("chat", "tiny:llama", "--template", "plain", "-n", 4)
    assert [t["user"] for t in found["turns"]] == ["In the beginning", "And then"]


def test_chat_refuses_what_a_model_cannot(as_json):
    assert as_json("chat", "tiny:llama", "-p", "x", code=2)["error"]["type"] == "TemplateError"
    long = ("chat", "tiny:llama", "-p", "x " * 40, "--template", "plain", "--n-ctx", 16)
    assert as_json(*long, code=2)["error"]["type"] == "ContextLengthExceeded"


@pytest.mark.model
def test_chat_with_a_real_model(smollm2, as_json):
    found = as_json("chat", smollm2, "--template", "chatml", "-p", "What is the capital of France?", "-n", 12)
    assert found["turns"][0]["ids"] == [504, 3575, 282, 4649, 314, 7042, 30, 2]


def test_what_a_model_writes_cannot_steer_a_terminal(run, monkeypatch):
    ids = ",".join(map(str, ct.Tokenizer("tiny:llama").encode("a\x1b[2J\tb\r\n", bos=False)))
    assert run("tokenize", "tiny:llama", "--ids", ids)[1] == "a\x1b[2J\tb\r\n\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("tokenize", "tiny:llama", "--ids", ids)[1] == "a\\x1b[2J\tb\\r\n\n"
    step = ct.Step(ct.load("tiny:llama").to_tokens("x", bos=False)[0], "\x1b]0;title\x07", None)
    monkeypatch.setattr(ct.Model, "stream", lambda self, *args, **options: iter([step]))
    out = run("run", "tiny:llama", "-p", "x")[1]
    assert "\\x1b]0;title\\x07" in out and "\x1b" not in out
