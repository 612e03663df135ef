"""tokenizer.json files that are damaged, or ask for what is not there: each refused by name, none guessed at."""

import json
import random

import pytest
from cutaway.errors import (
    ConfigError,
    CutawayError,
    LimitExceededError,
    ModelNotFoundError,
    TokenizerFormatError,
    UnsupportedModelError,
)
from cutaway.text import Tokenizer
from text.folders import TINY, change, random_text, tiny, write_folder


def refuses(tmp_path, name, changes, error, words, **others):
    files = tiny(name)
    for path, value in changes.items():
        change(files["tokenizer.json"], path, value)
    with pytest.raises(error, match=words) as caught:
        Tokenizer(write_folder(tmp_path / str(len(list(tmp_path.iterdir()))), {**files, **others}))
    return caught.value


UNSUPPORTED = [  # T01, T04
    ("gpt2", {"model": None}, "model is missing"),
    ("gpt2", {"model.type": "Unigram"}, r'model.type is "Unigram"; supported: BPE'),
    ("gpt2", {"model.type": "WordPiece"}, 'model.type is "WordPiece"'),
    ("gpt2", {"model.dropout": 0.1}, "model.dropout"),
    ("gpt2", {"model.end_of_word_suffix": "</w>"}, "end_of_word_suffix"),
    ("gpt2", {"normalizer": {"type": "Lowercase"}}, 'normalizer is "Lowercase"; supported: NFC'),
    ("gpt2", {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}]}}, r'normalizers\[0\] is "NFKC"'),
    ("gpt2", {"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}}, "another Replace"),
    ("gpt2", {"normalizer": {"type": "Prepend", "prepend": "x"}}, 'Prepend of "x"'),
    ("phi3", {"normalizer.normalizers.1": {"type": "Prepend", "prepend": "\u2581"}}, "a second Prepend"),
    ("gpt2", {"normalizer": {"type": "Prepend", "prepend": "\u2581"}}, "before ByteLevel"),
    ("gpt2", {"pre_tokenizer": {"type": "BertPreTokenizer"}}, 'pre_tokenizer is "BertPreTokenizer"'),
    ("gpt2", {"pre_tokenizer": None}, "with this pre_tokenizer"),
    ("gpt2", {"pre_tokenizer.add_prefix_space": True}, "add_prefix_space is true"),
    ("qwen2", {"pre_tokenizer.pretokenizers.0.pattern.Regex": "(a+)+$"}, r"pretokenizers\[0\].pattern is \"\(a\+\)"),
    ("qwen2", {"pre_tokenizer.pretokenizers.0.pattern.Regex": "(?:a|aa)*b"}, "no pre-tokeniser here"),
    ("qwen2", {"pre_tokenizer.pretokenizers.0.behavior": "MergedWithNext"}, "MergedWithNext"),
    ("qwen2", {"pre_tokenizer.pretokenizers.0.invert": True}, "inverted"),
    ("qwen2", {"pre_tokenizer.pretokenizers.1": {"type": "Digits", "individual_digits": False}}, "individual_digits"),
    ("qwen2", {"pre_tokenizer.pretokenizers.1": {"type": "FixedLength", "length": 0}}, "FixedLength"),
    ("gemma3", {"pre_tokenizer.pattern.String": "x"}, "no pre-tokeniser here"),
    ("gemma3", {"normalizer": None, "pre_tokenizer": None}, "neither ByteLevel nor Metaspace"),
    ("gemma3", {"pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "split": True}}, "split is true"),
    ("gemma3", {"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "split": False}}, 'replacement is "_"'),
    ("gpt2", {"decoder": None}, "decoder is missing"),
    ("gpt2", {"decoder": {"type": "WordPiece"}}, 'decoder is "WordPiece"'),
    ("phi3", {"decoder.decoders.3.start": 2}, "another Strip"),
    ("phi3", {"decoder.decoders.0.content": "x"}, r"decoders\[0\]"),
    ("phi3", {"decoder.decoders.1": {"type": "CTC"}}, '"CTC"'),
    ("gpt2", {"post_processor": {"type": "BertProcessing"}}, 'post_processor is "BertProcessing"'),
]


@pytest.mark.parametrize("name, changes, words", UNSUPPORTED)
def test_unsupported_by_name(tmp_path, name, changes, words):
    error = refuses(tmp_path, name, changes, UnsupportedModelError, words)
    assert error.code == "E003" and error.details["path"].endswith("tokenizer.json") and "supported" in str(error)


def special(ids):
    token = {"SpecialToken": {"id": "<x>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    of = {} if ids is None else {"<x>": {"id": "<x>", "ids": ids, "tokens": ["<x>"]}}
    return {"post_processor": {"type": "TemplateProcessing", "single": [token, text], "special_tokens": of}}


DAMAGED = [  # T02, T03, T05
    ({"model.vocab": None}, "model.vocab is missing"),
    ({"model.vocab": {}, "added_tokens": []}, "there are no tokens"),
    ({"model.vocab.!": -1}, "an integer as id"),
    ({"model.vocab.!": 1.0}, "a number as id"),
    ({"model.vocab.!": "0"}, "a string as id"),
    ({"model.vocab.!": 1}, "which is that of"),
    ({"model.vocab.!": ...}, "no token for byte 33"),
    ({"model.vocab.": 5000}, "is empty"),
    ({"model.merges": None}, "model.merges is missing"),
    ({"model.merges.0": "ab"}, r"model.merges\[0\] is neither"),
    ({"model.merges.0": ["a"]}, r"model.merges\[0\] is neither"),
    ({"model.merges.0": ["a", "no such token"]}, "the right part is no token"),
    ({"model.merges.0": ["!", "!"]}, "the two together are no token"),
    ({"model.merges.0": ["Ġ", "th"]}, "repeats"),
    ({"model.unk_token": "<nowhere>"}, "unk_token"),
    ({"added_tokens": {}}, "expected a list"),
    ({"added_tokens.0.content": ""}, r"added_tokens\[0\] is empty"),
    ({"added_tokens.0.id": None}, "has nothing as id"),
    ({"added_tokens.0.id": 1}, "which is that of"),
    ({"added_tokens.1.id": 1012, "added_tokens.1.content": "<|endoftext|>"}, "repeats the id"),
    ({"added_tokens.1.content": "<|endoftext|>"}, "repeats the text"),
    ({"added_tokens.0.content": "!"}, "repeats the text"),
    ({"added_tokens.0.special": 1}, "expected true or false"),
    (special(None), "is absent"),
    (special([99999]), "special_tokens is 99999"),
    ({"pre_tokenizer": {}}, "pre_tokenizer.type is missing"),
    ({"normalizer": {"type": "Sequence"}}, "normalizer.normalizers is missing"),
]


@pytest.mark.parametrize("changes, words", DAMAGED)
def test_damaged_tables(tmp_path, changes, words):
    assert refuses(tmp_path, "gpt2", changes, TokenizerFormatError, words).code == "E002"


def test_limits(tmp_path):
    for id in (4194304, 2**31, 2**62):
        refuses(tmp_path, "gpt2", {"model.vocab.!": id}, LimitExceededError, "expected below 4194304")
    refuses(tmp_path, "gpt2", special([1, 2]), UnsupportedModelError, "several tokens")


def test_the_files_beside(tmp_path):
    refuses(tmp_path, "gpt2", {}, ConfigError, "eos_token_id is 5000", **{"config.json": {"eos_token_id": 5000}})
    refuses(tmp_path, "gpt2", {}, ConfigError, "eos_token_id", **{"generation_config.json": {"eos_token_id": [-1]}})
    beside = {"tokenizer_config.json": {"add_bos_token": True}}
    refuses(tmp_path, "gpt2", {}, ConfigError, "there is no bos_token", **beside)
    refuses(tmp_path, "gpt2", {}, ConfigError, "JSON", **{"generation_config.json": "{"})
    refuses(tmp_path, "gpt2", {}, ConfigError, "not UTF-8", **{"chat_template.jinja": b"\xff"})


def test_no_tokenizer_json(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"tokenizer.json"):
        Tokenizer(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"x")
    with pytest.raises(UnsupportedModelError, match="save_pretrained|tokenizer.model and no tokenizer.json"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("name", TINY)
def test_random_damage_is_refused_or_harmless(tmp_path, name):
    """Bytes changed at random, and values put in place of others: an error of ours, or a tokenizer that encodes and
    decodes whatever comes."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    whole = json.dumps({**tiny(name)["tokenizer.json"]}).encode()
    values = [None, True, -1, 0, 2**40, 1.5, "", "x", [], {}, [[]], {"type": "Sequence"}]
    survived = 0
    for _ in range(150):
        if rng.random() < 0.5:
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        else:
            node = tiny(name)["tokenizer.json"]
            spot, key = node, rng.choice(list(node))
            while isinstance(spot[key], dict | list) and spot[key] and rng.random() < 0.8:
                spot = spot[key]
                key = rng.choice(list(spot)) if isinstance(spot, dict) else rng.randrange(len(spot))
            spot[key] = rng.choice(values)
            data = json.dumps(node).encode()
        path = write_folder(tmp_path / "model", {"tokenizer.json": bytes(data)})
        try:
            t = Tokenizer(path)
        except CutawayError:
            continue
        survived += 1
        for _ in range(3):
            text = random_text(rng, ["<|im_end|>"])
            t.decode(t.encode(text, bos=False, parse_special=True))
        t.decode_bytes(list(range(t.vocab_size)))
    assert survived > 5, f"seed {seed}"


@pytest.mark.parametrize("name", TINY)
def test_hostile_text_takes_linear_time(tmp_path, name):  # T06
    """Ten times the text, at most twenty times the time; a megabyte of each takes well under a second."""
    from text.test_tokenizer_input import HOSTILE, cpu_s

    t = Tokenizer(write_folder(tmp_path / "model", tiny(name)))
    for what, unit in {**HOSTILE, "bars": "<|", "NFC": "e\u0301\u0323"}.items():
        short = unit * (20_000 // len(unit.encode()))
        once = cpu_s(lambda text=short: t.encode(text, bos=False))
        ten_times = cpu_s(lambda text=short * 10: t.encode(text, bos=False))
        assert ten_times <= 20 * once + 0.01, f"{what}: {once * 1e3:.2f} ms became {ten_times * 1e3:.2f} ms"
