"""From tokenizer.json to GGUF's metadata: the same tokens, what is lost by name, and what cannot be said refused."""

import lzma
import random

import cutaway as ct
import pytest
from cutaway.errors import UnsupportedOperation
from cutaway.text import Tokenizer
from text.folders import TINY, change, random_text, tiny, write_folder
from text.vocabularies import VOCAB


@pytest.fixture
def folder(tmp_path):
    def make(name, changes=None, **others):
        files = tiny(name)
        for path, value in (changes or {}).items():
            change(files["tokenizer.json"], path, value)
        return write_folder(tmp_path / name, {**files, **others})

    return make


def written(path, metadata):
    ct.write_gguf(path, {"general.architecture": "llama", **metadata}, {})
    return Tokenizer(path)


@pytest.mark.parametrize("name", TINY)
def test_the_same_tokens_from_both(folder, tmp_path, name):
    a = Tokenizer(folder(name, **{"generation_config.json": {"eos_token_id": [40, 41]}}))
    metadata, lost = a.gguf_metadata()
    assert bool(lost) == (name == "qwen2")  # normal form C
    b = written(tmp_path / "made.gguf", metadata)
    assert b.kind == ("gguf-spm" if name in ("phi3", "gemma3") else "gguf-bpe") and b.pre == (a.pre or "default")
    assert (b.eos_id, b.add_bos, b.end_ids) == (a.eos_id, a.add_bos, a.end_ids)
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(1000):
        text = random_text(rng, ["<|im_end|>", "<|endoftext|>", "<|user|>", "<end_of_turn>"])
        if name == "qwen2":
            text = ct._core.nfc(text).decode()
        for special in (False, True):
            assert ct.tokenize_diff(a, b, text, parse_special=special, bos=True), (seed, text)


@pytest.mark.parametrize("name", TINY)
def test_as_the_converter_of_llama_cpp_writes_it(folder, tmp_path, name):
    """Tokens, types and merges to the letter, where ours does not pad; scores in the same order."""
    ours, _ = Tokenizer(folder(name)).gguf_metadata()
    (tmp_path / "theirs.gguf").write_bytes(lzma.decompress((VOCAB / f"tiny-{name}.gguf.xz").read_bytes()))
    theirs = ct._core.open_gguf(str(tmp_path / "theirs.gguf"))
    n = len(ours["tokenizer.ggml.tokens"])
    for key in ("tokens", "token_type", "merges", "pre", "model"):
        key = f"tokenizer.ggml.{key}"
        if key not in ours:
            continue
        want = theirs.value(key)
        if key.endswith("token_type"):  # the unknown token is a control token to that converter
            ours[key] = [3 if kind == 2 else kind for kind in ours[key]]
        assert ours[key] == (want[:n] if isinstance(want, list) and key != "tokenizer.ggml.merges" else want), key
    if name in ("phi3", "gemma3"):
        made = [i for i, score in enumerate(ours["tokenizer.ggml.scores"]) if score < 0]
        order = sorted(made, key=lambda i: -ours["tokenizer.ggml.scores"][i])
        assert order == sorted(made, key=lambda i: (-theirs.value("tokenizer.ggml.scores")[i], i))


def test_chat_templates_and_what_is_lost(folder, tmp_path):
    token = {"id": 1024, "content": "<t>", "single_word": False, "lstrip": False, "rstrip": True, "normalized": False}
    added = [*tiny("gpt2")["tokenizer.json"]["added_tokens"], {**token, "special": False}]
    several = [{"name": "default", "template": "a"}, {"name": "tools", "template": "b"}]
    path = folder("gpt2", {"added_tokens": added}, **{"tokenizer_config.json": {"chat_template": several}})
    metadata, lost = Tokenizer(path).gguf_metadata()
    assert len(lost) == 1 and "<t>" in lost[0]
    t = written(tmp_path / "made.gguf", metadata)
    assert t.chat_templates == {"default": "a", "tools": "b"} and t.token_id("<t>") == 1024
    many = folder("gpt2", **{"generation_config.json": {"eos_token_id": [40, 41, 42]}})
    assert "ends generation" in Tokenizer(many).gguf_metadata()[1][0]


@pytest.mark.parametrize(
    "name, changes, words",
    [
        ("gpt2", {"model.ignore_merges": True}, "has no name for how it splits"),
        ("gemma3", {"model.ignore_merges": True}, "ignore_merges"),
        ("gemma3", {"model.merges.5": ...}, "do not merge"),
        ("phi3", "swap", "take turns"),
    ],
)
def test_what_gguf_cannot_say_is_refused(folder, name, changes, words):
    if changes == "swap":  # a token's merges far apart, with others between
        merges = tiny(name)["tokenizer.json"]["model"]["merges"]
        made = ["".join(pair) for pair in merges]
        twice = next(i for i, text in enumerate(made) if text in made[:i])
        changes = {"model.merges": [*merges[:twice], *merges[twice + 1 :], merges[twice]]}
    with pytest.raises(UnsupportedOperation, match=words):
        Tokenizer(folder(name, changes)).gguf_metadata()


def test_gguf_has_its_own_keys(vocabulary):
    with pytest.raises(UnsupportedOperation, match="came from GGUF"):
        vocabulary("tiny-gpt2").gguf_metadata()


def test_where_two_tokenizers_part(folder, vocabulary):
    same = ct.tokenize_diff(folder("qwen2"), vocabulary("tiny-qwen2"), "the same")
    assert same and same.first is same.at is None and "the same" in repr(same)
    diff = ct.tokenize_diff(folder("qwen2"), vocabulary("tiny-qwen2"), "the cafe\u0301 x")
    assert not diff and diff.at == len("the ca") and diff.a.ids[diff.first] != diff.b.ids[diff.first]
    assert diff.to_dict()["same"] is False and "parts at token" in repr(diff)
    shorter = ct.tokenize_diff(vocabulary("tiny-phi3"), vocabulary("tiny-gemma3"), "")
    assert shorter and len(shorter.a) == 0
    assert ct.tokenize_diff(vocabulary("tiny-gemma3"), vocabulary("tiny-gpt2"), "", bos=True).first == 0
