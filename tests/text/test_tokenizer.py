"""What a tokenizer says of itself, begin tokens, special and added tokens, and the Tokens that it gives."""

import cutaway as ct
import numpy as np
import pytest
from cutaway.errors import ArgumentError, ConfigError, TokenizerFormatError, TokenNotFound

# --- what a tokenizer says of itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, kind, pre, size, bos, eos, add_bos, end, context",
    [
        ("gpt-2", "gguf-bpe", "gpt-2", 50257, 50256, 50256, False, [50256], 1024),
        ("qwen2", "gguf-bpe", "qwen2", 151936, 151643, 151643, False, [151643, 151645], 32768),
        ("llama-bpe", "gguf-bpe", "llama-bpe", 128256, 128000, 128001, True, [128001, 128009], 8192),
        ("llama-spm", "gguf-spm", "default", 32000, 1, 2, True, [2], 4096),
        ("phi-3", "gguf-spm", "default", 32064, 1, 32000, True, [32000, 32007], 4096),
    ],
)
def test_what_the_file_says(vocabulary, name, kind, pre, size, bos, eos, add_bos, end, context):
    t = vocabulary(name)
    assert (t.kind, t.pre, t.vocab_size) == (kind, pre, size)
    assert (t.bos_id, t.eos_id, t.add_bos, t.end_ids) == (bos, eos, add_bos, end)
    assert t.model_max_context == context
    assert t.is_special(t.bos_id) and not t.is_special(t.token_id("e"))


def test_absent_ids_are_none(tokenizer_of, byte_vocab):
    t = tokenizer_of(byte_vocab)
    assert t.bos_id is t.eos_id is t.eot_id is t.model_max_context is t.chat_template is None
    assert not t.add_bos
    with pytest.raises(TokenNotFound):
        t.encode("a", bos=True)


@pytest.mark.parametrize(
    "tokens, types, end",
    [
        (["<|return|>", "<|call|>", "<|end|>"], [3, 3, 3], ["<|return|>", "<|call|>"]),  # gpt-oss goes on after <|end|>
        (["<|return|>", "<|end|>"], [3, 3], ["<|return|>", "<|end|>"]),
        (["</s>", "<eos>"], [3, 3], ["</s>", "<eos>"]),
        (["</s>", "<eos>"], [4, 4], []),  # HTML, in Gemma's vocabulary
        (["<|im_end|>", "<end_of_turn>", "<|eom_id|>"], [4, 3, 1], ["<|im_end|>", "<end_of_turn>", "<|eom_id|>"]),
    ],
)
def test_end_of_generation(tokenizer_of, byte_vocab, tokens, types, end):
    byte_vocab["tokens"] = byte_vocab["tokens"][:258] + tokens
    byte_vocab["token_type"] = byte_vocab["token_type"][:258] + types
    assert tokenizer_of(byte_vocab).end_ids == sorted(258 + tokens.index(text) for text in end)


def test_token_id(vocabulary):
    t = vocabulary("gpt-2")
    assert t.piece(t.token_id(" the")) == b" the" and t.piece(t.token_id(b"\xff")) == b"\xff"
    assert t.token_id("<|endoftext|>") == 50256
    with pytest.raises(TokenNotFound, match="no token reads"):
        t.token_id("no such token")


def test_padded_ids_have_a_text(vocabulary):
    assert vocabulary("qwen2").decode([151935]) == "[PAD151935]"


# --- BOS --------------------------------------------------------------------------------------------------------------


def test_bos_is_added_once_and_said_so(vocabulary):  # T10
    t = vocabulary("llama-bpe")
    plain = t.encode("hi", bos=False)
    assert not plain.bos_added
    for bos in ("model", True):
        added = t.encode("hi", bos=bos)
        assert added.bos_added and added.tolist() == [128000, *plain]
        written = t.encode("<|begin_of_text|>hi", bos=bos, parse_special=True)
        assert written.tolist() == [128000, *plain] and not written.bos_added
    assert t.encode("", bos=True).tolist() == [128000]
    for bad in ("yes", 1, None):
        with pytest.raises(ArgumentError):
            t.encode("hi", bos=bad)


@pytest.mark.parametrize(
    "changes, adds",
    [
        ({"pre": "gpt-2"}, False),
        ({"pre": "llama-bpe"}, True),
        ({"pre": "llama-bpe", "add_bos_token": False}, False),
        ({"pre": "qwen2", "add_bos_token": True}, True),
    ],
)
def test_who_adds_bos(tokenizer_of, byte_vocab, changes, adds):
    assert tokenizer_of({**byte_vocab, "bos_token_id": 258, **changes}).add_bos == adds


def test_add_bos_without_a_bos(tokenizer_of, byte_vocab):
    with pytest.raises(ConfigError, match="no bos_token_id"):
        tokenizer_of({**byte_vocab, "add_bos_token": True})
    assert not tokenizer_of({**byte_vocab, "pre": "llama-bpe"}).add_bos


# --- special and added tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, text", [("gpt-2", "<|endoftext|>"), ("llama-spm", "<s>"), ("llama-bpe", "<|eot_id|>")])
def test_special_text_is_plain_unless_asked_for(vocabulary, name, text):  # T09
    t = vocabulary(name)
    plain = t.encode(f"a{text}b", bos=False)
    assert not any(t.is_special(i) for i in plain) and t.decode(plain) == f"a{text}b"
    parsed = t.encode(f"a{text}b", bos=False, parse_special=True)
    assert [i for i in parsed if t.is_special(i)] == [t.token_id(text)]
    assert t.decode(parsed) == f"a{text}b" and t.decode(parsed, skip_special=True) == "ab"


def test_phi3_added_tokens(vocabulary):
    t = vocabulary("phi-3")
    ids = t.encode("<|user|>hi<|end|>", bos=False, parse_special=True).tolist()
    assert ids == [32010, *t.encode("hi", bos=False), 32007]
    assert t.encode("x</s>", bos=False).tolist()[-1] == 2  # user-defined: found without asking


def with_added(byte_vocab, texts, kind):
    byte_vocab["tokens"] = byte_vocab["tokens"][:258] + texts
    byte_vocab["token_type"] = byte_vocab["token_type"][:258] + [kind] * len(texts)
    return byte_vocab


@pytest.mark.parametrize("kind, parse", [(3, True), (4, False)])
def test_the_leftmost_and_longest_added_token_wins(tokenizer_of, byte_vocab, kind, parse):  # T05
    texts = ["<x", "<x>", "<x><y>z", "<y>", "x>", "ba", "\0nul", "🦙"]
    t = tokenizer_of(with_added(byte_vocab, texts, kind))

    def pieces(text):
        return [p.decode() for p in t.encode(text, parse_special=parse).pieces]

    assert pieces("<x><y>z") == ["<x><y>z"]
    assert pieces("<x><y>a") == ["<x>", "<y>", "a"]  # the longest that is really there
    assert pieces("<xx>") == ["<x", "x>"]
    assert pieces("a\0nul") == ["a", "\0nul"]
    assert pieces("aba🦙🦙b") == ["a", "ba", "🦙", "🦙", "b"]  # before the merge of "ab"
    if parse:
        assert [p.decode() for p in t.encode("<x>").pieces] == ["<", "x", ">"]


def test_a_merge_never_makes_a_control_token(tokenizer_of, byte_vocab, spm_vocab):
    with pytest.raises(TokenizerFormatError, match=r"merges\[0\].*the two together are no token"):
        byte_vocab["token_type"][256] = 3
        tokenizer_of(byte_vocab)
    spm_vocab["tokens"] += ["<", "s", ">", "<s"]
    spm_vocab["token_type"] += [1] * 4
    spm_vocab["scores"] += [-1.0] * 4
    t = tokenizer_of(spm_vocab)
    assert t.token_id("<s>") == 1 and 1 not in t.encode("<s>", bos=False).tolist()


# --- Tokens -----------------------------------------------------------------------------------------------------------


def test_tokens_behave_like_an_array(vocabulary):
    t = vocabulary("llama-bpe")
    tokens = t.encode("a🦙")
    assert len(tokens) == len(tokens.pieces) == len(list(tokens)) and tokens[0] == 128000 and tokens.bos_added
    assert b"".join(tokens.pieces[1:]) == "a🦙".encode()
    array = np.asarray(tokens)
    assert array.dtype == np.int32 and array.shape == (len(tokens),) and np.asarray(tokens, np.int64).dtype == np.int64
    assert (tokens[1:] == tokens.ids[1:]).all()
    with pytest.raises(ValueError):
        tokens.ids[0] = 1
    assert "BOS added" in repr(tokens) and "'a'" in repr(tokens) and "b'" in repr(tokens)
    assert "Tokens(40: " in repr(t.encode("1 x" * 20, bos=False)) and ", ... 8 more)" in repr(
        t.encode("1 x" * 20, bos=False)
    )


def test_a_tokenizer_by_a_models_name_or_path(tiny):
    by_name, by_path = ct.Tokenizer("tiny:llama"), ct.Tokenizer(tiny("llama") / "llama-F16.gguf")
    assert by_name.encode("And God").tolist() == by_path.encode("And God").tolist()
