"""Tokenizers against llama.cpp's and Hugging Face's ids, against BPE's definition, and there and back again."""

import json
import lzma
import random

import cutaway as ct
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text.folders import random_text
from text.test_split import PATTERNS
from text.vocabularies import BYTE_LEVEL, HARD, NAMES, VOCAB

# --- the world outside ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_vectors_of_llama_cpp(vocabulary, vectors, name):
    cases = vectors(name)
    assert len(cases) == 46
    wrong = [text for text, ids in cases if vocabulary(name).encode(text, bos=False).tolist() != ids]
    assert wrong == []


@pytest.mark.parametrize("name", ["gpt2", "llama3", "qwen2", "gpt-oss", "phi3", "gemma3"])
def test_vectors_of_tiny_models(vocabulary, name):
    """By Hugging Face's tokenizers, special tokens parsed, and by llama.cpp, special tokens as text."""
    t = vocabulary(f"tiny-{name}")
    cases = json.loads((VOCAB / "tiny.json").read_text())[name]
    assert len(cases) == 32
    for case in cases:
        assert t.encode(case["text"], bos=False, parse_special=True).tolist() == case["ids"], case["text"]
        assert t.encode(case["text"], bos=False).tolist() == case["plain"], case["text"]


@pytest.mark.model
def test_smollm2(smollm2):
    tokenizer = ct.Tokenizer(smollm2)
    assert tokenizer.encode("Once upon a time").tolist() == [6403, 1980, 253, 655]
    chat = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    ids = [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198]
    assert tokenizer.encode(chat, parse_special=True).tolist() == ids
    assert not tokenizer.add_bos and tokenizer.end_ids == [0, 2] and tokenizer.model_max_context == 8192


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_tokenizers_by_hugging_face_agrees(vocabulary, tmp_path, name):
    """Ten thousand random strings, with the published pattern run by an engine."""
    peer = pytest.importorskip("tokenizers", reason="needs the extra test: pip install tokenizers")
    path = tmp_path / "vocab.gguf"
    path.write_bytes(lzma.decompress((VOCAB / f"{name}.gguf.xz").read_bytes()))
    file = ct._core.open_gguf(str(path))
    tokens, merges = file.value("tokenizer.ggml.tokens"), file.value("tokenizer.ggml.merges")
    table = {text: i for i, text in enumerate(tokens)}
    pairs = [tuple(m.split(" ")) for m in merges]
    witness = peer.Tokenizer(peer.models.BPE(vocab=table, merges=pairs, ignore_merges=name == "llama-bpe"))
    cut = [peer.pre_tokenizers.Split(peer.Regex(pattern), "isolated") for pattern in PATTERNS[name]]
    last = peer.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    witness.pre_tokenizer = peer.pre_tokenizers.Sequence([*cut, last])
    witness.decoder = peer.decoders.ByteLevel()
    t = vocabulary(name)
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for i in range(10_000):
        text = "".join(rng.choices(HARD, k=rng.randrange(60))) if i % 2 else random_text(rng)
        ids = t.encode(text, bos=False).tolist()
        assert ids == witness.encode(text).ids, (seed, text)
        assert t.decode(ids) == witness.decode(ids, skip_special_tokens=False)


# --- the definition ---------------------------------------------------------------------------------------------------


def merge_slowly(tokens, merges, text):
    """Byte-level BPE by its definition: the lowest merge, leftmost, one at a time."""
    ranks = {tuple(m.split(" ")): i for i, m in enumerate(merges)}
    parts = list(text)
    while True:
        pairs = [(ranks.get(pair, len(ranks)), i) for i, pair in enumerate(zip(parts, parts[1:], strict=False))]
        best, at = min(pairs, default=(len(ranks), 0))
        if best == len(ranks):
            return [tokens.index(part) for part in parts]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def test_merging_follows_its_definition_at_every_length(tokenizer_of, byte_vocab):
    """Merge tables in no sensible order; pieces on both sides of the length where the way of merging changes, 48."""
    rng = random.Random(3)
    for _ in range(12):
        made = ["a", "b", "c"]
        merges = []
        while len(made) < 40:
            left, right = rng.choice(made), rng.choice(made)
            if left + right not in made and len(left + right) < 12:
                made.append(left + right)
                merges.append(f"{left} {right}")
        rng.shuffle(merges)
        tokens = byte_vocab["tokens"][:256] + made[3:]
        t = tokenizer_of({"model": "gpt2", "pre": "gpt-2", "tokens": tokens, "merges": merges})
        for length in (1, 2, 3, 20, 47, 48, 49, 50, 120):
            text = "".join(rng.choices("abc", k=length))
            assert t.encode(text).tolist() == merge_slowly(tokens, merges, text), (merges, text)


def score_slowly(tokens, scores, text):
    parts = list(text)
    while True:
        joined = [a + b for a, b in zip(parts, parts[1:], strict=False)]
        pairs = [(-scores[tokens.index(j)], i) for i, j in enumerate(joined) if j in tokens]
        if not pairs:
            return [tokens.index(part) for part in parts]
        at = min(pairs)[1]
        parts[at : at + 2] = [joined[at]]


@pytest.mark.parametrize("blank_inside", [False, True])
def test_sentencepiece_follows_its_definition_at_every_length(tokenizer_of, spm_vocab, blank_inside):
    """With and without tokens that span words, which decides whether words merge one by one. Many scores are equal."""
    rng = random.Random(4)
    for _ in range(8):
        made = ["\u2581", "a", "b", "c"]
        while len(made) < 40:
            new = rng.choice(made) + rng.choice(made)
            spans = "\u2581" in new.lstrip("\u2581")
            if new not in made and len(new) < 9 and (blank_inside or not spans):
                made.append(new)
        tokens = spm_vocab["tokens"][:259] + made
        scores = [0.0] * 259 + [float(-rng.randrange(6)) for _ in made]
        t = tokenizer_of(
            {
                "model": "llama",
                "tokens": tokens,
                "scores": scores,
                "token_type": [2, 3, 3] + [6] * 256 + [1] * len(made),
            }
        )
        for length in (1, 2, 20, 47, 48, 49, 120):
            text = "".join(rng.choices(" abc", k=length))
            want = score_slowly(tokens, scores, "\u2581" + text.replace(" ", "\u2581"))
            assert t.encode(text, bos=False).tolist() == want, (made, text)


# --- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.one_of(st.text(max_size=60), st.text(HARD, max_size=60)))
def test_random_strings_come_back(vocabulary, name, text):
    trip = vocabulary(name).roundtrip(text)
    if name in BYTE_LEVEL or "\u2581" not in text:
        assert trip, trip
    else:
        assert not trip and "U+2581" in trip.why


@pytest.mark.parametrize("name", NAMES)
def test_small_texts(vocabulary, name):  # T13
    t = vocabulary(name)
    assert t.encode("", bos=False).tolist() == [] and t.decode([]) == ""
    assert t.roundtrip(" ") and t.roundtrip("\0") and t.roundtrip("a\0b") and t.roundtrip("  ")
    special = t.decode([t.bos_id]) * 2
    assert t.encode(special, bos=False, parse_special=True).tolist() == [t.bos_id] * 2
    assert t.roundtrip(special, parse_special=True)


def test_roundtrip_names_the_byte_and_the_rule(tokenizer_of, byte_vocab, vocabulary):
    trip = vocabulary("llama-spm").roundtrip("ab\u2581c")
    assert not trip and trip.at == 2 and "U+2581" in trip.why and "at byte 2" in repr(trip)
    byte_vocab["tokens"][ord("q")] = "[PAD]"
    byte_vocab["unknown_token_id"] = 258
    trip = tokenizer_of(byte_vocab).roundtrip("xqz")
    assert not trip and trip.at == 1 and "no token covers these bytes" in trip.why and trip.back == b"x<|end|>z"
