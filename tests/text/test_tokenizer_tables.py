"""Tables of a tokenizer that are absent, of a wrong type or length, or at odds. G35.. are rows of the catalogue."""

import pytest
from cutaway.errors import ConfigError, TokenizerFormatError, UnsupportedModelError


def spoil(vocab, **changes):
    return {key: value for key, value in {**vocab, **changes}.items() if value is not None}


@pytest.mark.parametrize("model", [None, "bert", "t5", "no_vocab", ""])
def test_unknown_tokenizers(tokenizer_of, byte_vocab, model):
    with pytest.raises(UnsupportedModelError, match="tokenizer.ggml.model is"):
        tokenizer_of(spoil(byte_vocab, model=model))


@pytest.mark.parametrize("pre", [None, "default", "(a+)+$", "gpt-5", "gpt2"])
def test_unknown_pre_tokenisers_are_not_guessed(tokenizer_of, byte_vocab, pre):
    with pytest.raises(UnsupportedModelError, match="tokenizer.ggml.pre is"):
        tokenizer_of(spoil(byte_vocab, pre=pre))


@pytest.mark.parametrize("key", ["bos", "eos", "unknown", "padding", "eot", "eom"])
@pytest.mark.parametrize("value", [260, 2**32 - 1, (5, -1), (5, -(2**31))])
def test_special_ids_outside_the_table(tokenizer_of, byte_vocab, key, value):  # G35
    with pytest.raises(ConfigError, match=f"{key}_token_id is .*expected 0 <= id < 260"):
        tokenizer_of({**byte_vocab, f"{key}_token_id": value})
    assert getattr(tokenizer_of({**byte_vocab, f"{key}_token_id": 259})._core, f"{key}_id") == 259


def test_default_ids_are_checked_too(tokenizer_of):  # G35
    with pytest.raises(ConfigError, match="bos_token_id is absent, which means 1, expected 0 <= id < 1"):
        tokenizer_of({"model": "llama", "tokens": ["a"], "scores": [0.0]})


@pytest.mark.parametrize(
    "changes, says",
    [  # G36
        ({"tokens": None}, "tokens is missing"),
        ({"tokens": [1, 2, 3]}, "tokens"),
        ({"tokens": "a"}, "tokens"),
        ({"tokens": []}, "missing or empty"),
        ({"token_type": [1] * 259}, "token_type has 259 entries, expected one for each of the 260"),
        ({"token_type": [1] * 261}, "261 entries"),
        ({"token_type": [1.0] * 260}, "token_type"),
        ({"token_type": ["1"] * 260}, "token_type"),
        ({"token_type": [1] * 259 + [7]}, r"token_type\[259\] is 7"),
        ({"token_type": [0] + [1] * 259}, r"token_type\[0\] is 0"),
        ({"token_type": [-1] + [1] * 259}, r"token_type\[0\] is -1"),
        ({"scores": [0.0] * 3}, "scores has 3 entries"),
        ({"merges": None}, "merges is missing"),
        ({"merges": [1, 2]}, "merges"),
    ],
)
def test_tables_of_the_wrong_type_or_length(tokenizer_of, byte_vocab, changes, says):
    with pytest.raises(TokenizerFormatError, match=says):
        tokenizer_of(spoil(byte_vocab, **changes))


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"scores": None}, "scores"),
        ({"scores": [0.0] * 264}, "scores has 264 entries, expected one for each of the 265"),
        ({"scores": [0.0] * 264 + [float("nan")]}, r"scores\[264\] is NaN"),
        ({"scores": ["0"] * 265}, "scores"),
    ],
)
def test_scores(tokenizer_of, spm_vocab, changes, says):
    with pytest.raises(TokenizerFormatError, match=says):
        tokenizer_of(spoil(spm_vocab, **changes))


@pytest.mark.parametrize("text", ["<0x-1>", "<0xZZ>", "<0x1>", "<0x100>", "<0X41>", "0x41", "<0x41> "])
def test_byte_tokens(tokenizer_of, spm_vocab, text):  # G37
    spm_vocab["tokens"][259] = text
    assert tokenizer_of(spm_vocab).piece(259) == text.encode()  # of type normal: ordinary text
    spm_vocab["token_type"][259] = 6
    with pytest.raises(TokenizerFormatError, match="token 259 is of type byte"):
        tokenizer_of(spm_vocab)


@pytest.mark.parametrize(
    "merge",
    [
        "ab",
        "",
        " ",
        "a ",
        " b",
        "a  b",
        "a b c",
        "a b ",
        "a a",
        "abc a",
        "ab ab",
        "x y",
        "a \xff",
        "a " + "b" * 5000,
        "ab c d",
    ],
)
def test_bad_merges(tokenizer_of, byte_vocab, merge):  # G38
    with pytest.raises(TokenizerFormatError, match=r"merges\[2\]") as caught:
        tokenizer_of({**byte_vocab, "merges": ["a b", "ab c", merge]})
    assert caught.value.details["index"] == 2


def test_a_merge_given_twice(tokenizer_of, byte_vocab):
    with pytest.raises(TokenizerFormatError, match=r"merges\[2\] repeats \[0\]"):
        tokenizer_of({**byte_vocab, "merges": ["a b", "ab c", "a b"]})


@pytest.mark.parametrize(
    "text, says",
    [("", "is empty"), ("a", "repeats the text"), (b"\xff", "is not UTF-8"), ("<tag>", "repeats the text")],
)
@pytest.mark.parametrize("kind", [1, 3])
def test_bad_token_texts(tokenizer_of, byte_vocab, text, says, kind):  # T05
    byte_vocab["tokens"][258], byte_vocab["token_type"][258] = text, kind
    with pytest.raises(TokenizerFormatError, match=says):
        tokenizer_of(byte_vocab)


def test_every_byte_needs_a_token(tokenizer_of, byte_vocab):
    byte_vocab["tokens"][65] = "[PAD]"
    with pytest.raises(TokenizerFormatError, match="no token for byte 65"):
        tokenizer_of(byte_vocab)
    t = tokenizer_of({**byte_vocab, "unknown_token_id": 258})
    assert t.encode("BAB").tolist() == [66, 258, 66]  # never dropped


def test_a_vocabulary_without_byte_tokens_uses_the_unknown_one(tokenizer_of, spm_vocab):
    spm_vocab["token_type"][3 + 0xC3] = 1
    t = tokenizer_of(spm_vocab)
    assert t.encode("aé", bos=False).tolist()[-1] == 0
    assert not t.roundtrip("aé") and "no token covers" in t.roundtrip("aé").why


def test_a_huge_chat_template_is_only_data(tokenizer_of, byte_vocab):  # G39
    template = "{{ cycler.__init__.__globals__ }}" + "x" * (20 << 20)
    assert tokenizer_of({**byte_vocab, "tokenizer.chat_template": template}).chat_template == template
