"""Tokenizers from Hugging Face folders: vectors, the peer, flags of added tokens, and what the files beside say."""

import json
import random

import cutaway as ct
import pytest
from cutaway.text import Tokenizer
from text.folders import SPM, TINY, change, random_text, tiny, write_folder
from text.test_split import PATTERNS

each_tiny = pytest.mark.parametrize("name", TINY)


@pytest.fixture
def folder(tmp_path):
    """folder("gpt2", {"model.ignore_merges": True}, config=..., generation=...) -> path of a changed tiny tokenizer."""

    def make(name, changes=None, config=None, **others):
        files = tiny(name)
        for path, value in (changes or {}).items():
            change(files["tokenizer.json"], path, value)
        files["tokenizer_config.json"].update(config or {})
        return write_folder(tmp_path / name, {**files, **others})

    return make


def peer(path):
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra test: pip install tokenizers")
    return tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))


def agree(path, n, parse_special=True, decode=True):
    """Ours and the peer's ids and texts for n random strings."""
    ours, theirs = Tokenizer(path), peer(path)
    theirs.encode_special_tokens = not parse_special
    added = [token.content for token in theirs.get_added_tokens_decoder().values()]
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(n):
        text = random_text(rng, added)
        ids = ours.encode(text, bos=False, parse_special=parse_special).tolist()
        assert ids == theirs.encode(text, add_special_tokens=False).ids, (seed, text)
        if decode:
            assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False), (seed, text)


# --- the world outside ------------------------------------------------------------------------------------------------


@each_tiny
def test_vectors(folder, name):
    t = Tokenizer(folder(name))
    assert t.kind == "hf-json"
    cases = tiny(name)["vectors"]
    assert len(cases) >= 30
    for case in cases:
        assert t.encode(case["text"], bos=False, parse_special=True).tolist() == case["ids"], case["text"]
        assert t.encode(case["text"], parse_special=True).tolist() == case["ids_with_bos"], case["text"]


@each_tiny
def test_ten_thousand_random_strings(folder, name):
    """Decoding is compared where no blank is put in front: see test_decoding_takes_every_prefix_away."""
    agree(folder(name), 10_000, decode=name != "phi3")
    agree(folder(name), 1_000, parse_special=False, decode=False)


@each_tiny
def test_the_gguf_of_the_same_tokenizer_gives_the_same_tokens(folder, vocabulary, name):
    a, b = Tokenizer(folder(name)), vocabulary(f"tiny-{name}")
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(500):
        text = random_text(rng, ["<|im_end|>", "<|endoftext|>", "<|user|>", "<end_of_turn>"])
        if name == "qwen2":  # its GGUF has no word for NFC
            text = ct._core.nfc(text).decode()
        for special in (False, True):
            ids = a.encode(text, bos=False, parse_special=special).tolist()
            assert ids == b.encode(text, bos=False, parse_special=special).tolist(), (seed, text)
            assert a.decode(ids) == b.decode(ids), (seed, text)


@pytest.mark.parametrize("pre", PATTERNS)
@pytest.mark.parametrize("removed", [False, True])
def test_published_patterns_are_known_by_their_text(folder, pre, removed):
    """Isolated matches, and the same said the other way round, as some conversions do."""
    if removed and pre in ("smollm", "deepseek-v3", "deepseek-llm", "deepseek-coder"):
        pytest.skip("patterns that leave characters out: not the same")
    splits = [
        {"type": "Split", "pattern": {"Regex": p}, "behavior": "Removed" if removed else "Isolated", "invert": removed}
        for p in PATTERNS[pre]
    ]
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    chain = {"type": "Sequence", "pretokenizers": [*splits, last]}
    whole = pre in ("llama-bpe", "tekken")
    path = folder("gpt2", {"pre_tokenizer": chain, "model.ignore_merges": whole})
    assert Tokenizer(path).pre == pre
    agree(path, 500)


def test_other_spellings_of_the_same_patterns(folder):
    digits = {"type": "Digits", "individual_digits": True}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    path = folder("gpt2", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, bytes_]}})
    assert Tokenizer(path).pre == "smollm"
    agree(path, 500)
    old = [" ".join(pair) for pair in tiny("gpt2")["tokenizer.json"]["model"]["merges"]]
    agree(folder("gpt2", {"model.merges": old, "model.type": ...}), 100)  # as GPT-2's own file
    cl100k = (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    )
    single = cl100k.replace("?+", "?").replace("++", "+").removesuffix("+")
    for pattern in (cl100k, single, cl100k.replace(r"\r\n", "\r\n")):  # line ends as they are, as some files have them
        path = folder("llama3", {"pre_tokenizer.pretokenizers.0.pattern.Regex": pattern})
        assert Tokenizer(path).pre == "llama-bpe"
        agree(path, 2000)


METASPACE = {"type": "Metaspace", "replacement": "\u2581", "split": False}


@pytest.mark.parametrize("name", SPM)
@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_metaspace(folder, name, scheme):
    """As in newer conversions of Llama 2 and Mistral: a blank in front unless there is one, of the text or of every
    stretch between added tokens."""
    node = {**METASPACE, "prepend_scheme": scheme}
    path = folder(name, {"normalizer": None, "pre_tokenizer": node, "decoder": node})
    agree(path, 2000, decode=False)
    t = Tokenizer(path)
    assert t.decode(t.encode("ab  c", bos=False)) == "ab  c"
    old = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True, "split": False}
    if scheme == "always":
        agree(folder(name, {"normalizer": None, "pre_tokenizer": old, "decoder": old}), 200, decode=False)


def test_decoding_takes_every_prefix_away(folder):
    """Phi-3's tokenizer puts a blank in front of every stretch. The peer's decoder takes away the first only, so that
    text does not come back; ours all of them, so that it does."""
    path = folder("phi3")
    t = Tokenizer(path)
    text = "one<|end|>two<|end|> three"
    ids = t.encode(text, bos=False, parse_special=True)
    assert t.decode(ids) == text
    assert peer(path).decode(ids.tolist(), skip_special_tokens=False) == "one<|end|> two<|end|>  three"


# --- added tokens -----------------------------------------------------------------------------------------------------


def token(id, content, **flags):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": id, "content": content, **plain, **flags}


FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"]


@pytest.mark.parametrize("flag", FLAGS)
def test_one_flag(folder, flag):
    texts = {
        "single_word": ("a<t> <t>b <t> _<t>\u0301 <t>!", ["a<t> <t>b ", 0, " _<t>\u0301 ", 0, "!"]),
        "lstrip": ("a \n<t> b", ["a", 0, " b"]),
        "rstrip": ("a <t> \u3000\nb<t>", ["a ", 0, "b", 0]),
        "normalized": ("a<t>b", ["a", 0, "b"]),
        "special": ("a<t>b", ["a<t>b"]),
    }
    text, want = texts[flag]
    added = [*tiny("gpt2")["tokenizer.json"]["added_tokens"], token(1024, "<t>", **{flag: True})]
    t = Tokenizer(folder("gpt2", {"added_tokens": added}))
    got = [""]
    for id, piece in zip(t.encode(text), t.encode(text).pieces, strict=True):
        if id == 1024:
            got += [0, ""]
        else:
            got[-1] += piece.decode("latin-1")
    got = [part if part == 0 else part.encode("latin-1").decode() for part in got if part != ""]
    assert got == want
    assert t.is_special(1024) == (flag == "special") and t.token_id("<t>") == 1024


@each_tiny
@pytest.mark.parametrize("alone", ["  ", "\n", None])
def test_all_flags_together(folder, name, alone):
    """Tokens that overlap, contain blanks and what normalisers change, with every flag at random. White space by
    itself: the peer panics where one token takes along what is another."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    contents = ["<t>", "<t><u>", "> <", "the", "e\u0301", "\u212b", "\u2581\u2581", "a b", "日本", "'s", "\u0301"]
    for round in range(4):
        files = tiny(name)["tokenizer.json"]
        first = max(max(files["model"]["vocab"].values()), *(t["id"] for t in files["added_tokens"])) + 1
        new = [text for text in ([alone] if alone else contents) if text not in files["model"]["vocab"]]
        added = [token(first + i, text, **{f: rng.random() < 0.4 for f in FLAGS}) for i, text in enumerate(new)]
        path = folder(name, {"added_tokens": files["added_tokens"] + added, "model.ignore_merges": round == 3})
        try:
            agree(path, 100 if alone else 300, decode=False)
        except AssertionError as error:
            raise AssertionError(f"flags by seed {seed}, round {round}: {added}") from error


def test_an_added_token_is_found_and_never_merged(folder):
    """With ignore_merges a piece that is a token is taken whole; one that only added_tokens has is none."""
    added = [
        *tiny("llama3")["tokenizer.json"]["added_tokens"],
        token(1024, "wonderful", single_word=True, special=True),
    ]
    t = Tokenizer(folder("llama3", {"added_tokens": added}))
    assert 1024 not in t.encode("wonderful").tolist() and 1024 in t.encode("wonderful", parse_special=True).tolist()
    assert 1024 not in t.encode("wonderfully", parse_special=True).tolist()


# --- unknown characters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fuse", [False, True])
def test_unknown_characters(folder, fuse):
    path = folder("gemma3", {"model.byte_fallback": False, "model.fuse_unk": fuse})
    t = Tokenizer(path)
    unknown = t.token_id("<unk>")
    assert t.encode("a文語b", bos=False).tolist().count(unknown) == (1 if fuse else 2)
    agree(path, 1000, decode=False)


# --- the files beside -------------------------------------------------------------------------------------------------


def test_what_the_folder_says(folder):
    t = Tokenizer(folder("llama3"))
    assert (t.bos_id, t.eos_id, t.add_bos, t.vocab_size, t.model_max_context) == (1015, 1016, True, 1024, 512)
    assert not Tokenizer(folder("llama3", config={"add_bos_token": False})).add_bos
    assert Tokenizer(folder("gpt2", config={"add_bos_token": True, "bos_token": "<|endoftext|>"})).add_bos
    written = {"content": "<|im_end|>", "lstrip": False}
    assert Tokenizer(folder("gpt2", config={"eos_token": written})).eos_id == 1014


def test_ids_that_the_tokenizer_does_not_name_are_the_models(folder):
    config = {"eos_token": None, "bos_token": None}
    model = {"eos_token_id": 5, "bos_token_id": 6, "pad_token_id": 7, "max_position_embeddings": 4096}
    t = Tokenizer(folder("gpt2", config=config, **{"config.json": model}))
    assert (t.eos_id, t.bos_id, t.model_max_context) == (5, 6, 4096) and not t.add_bos and 5 in t.end_ids
    special = {"eos_token": "<|im_end|>"}
    t = Tokenizer(folder("gpt2", config=config, **{"config.json": model, "special_tokens_map.json": special}))
    assert t.eos_id == 1014
    t = Tokenizer(folder("gpt2", config=config, **{"config.json": {"pad_token_id": -1, "bos_token_id": 0}}))  # LLaMA's
    assert t.bos_id == 0


def test_every_end_of_generation(folder):
    """A list in generation_config.json, as Llama 3's; and gpt-oss goes on after <|end|>."""
    t = Tokenizer(folder("llama3", **{"generation_config.json": {"eos_token_id": [7, 8]}}))
    assert {7, 8, t.eos_id} <= set(t.end_ids)
    t = Tokenizer(folder("gpt-oss"))
    both = [t.token_id(text) for text in ("<|return|>", "<|end|>")]
    files = tiny("gpt-oss")["tokenizer.json"]["added_tokens"]
    call = next(i for i, a in enumerate(files) if a["content"] == "<|pad|>")
    t = Tokenizer(folder("gpt-oss", {f"added_tokens.{call}.content": "<|call|>"}))
    assert both[0] in t.end_ids and both[1] not in t.end_ids and t.token_id("<|call|>") in t.end_ids


def test_no_limit_is_no_context(folder):
    config = {"model_max_length": 1000000000000000019884624838656}
    assert Tokenizer(folder("gpt2", config=config)).model_max_context is None
    nested = {"text_config": {"max_position_embeddings": 77, "vocab_size": 1030}}
    t = Tokenizer(folder("gpt2", config=config, **{"config.json": nested}))
    assert t.model_max_context == 77 and t.vocab_size == 1030


def test_ids_without_a_text_have_one(folder):
    t = Tokenizer(folder("gpt2", **{"config.json": {"vocab_size": 1100}}))
    assert t.vocab_size == 1100 and t.decode([1099]) == "[PAD1099]"
    assert 1099 not in t.encode("[PAD1099]", parse_special=True).tolist()


def test_chat_templates(folder):
    assert Tokenizer(folder("gpt2")).chat_template is None
    assert Tokenizer(folder("gpt2", config={"chat_template": "x"})).chat_template == "x"
    several = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    assert Tokenizer(folder("gpt2", config={"chat_template": several})).chat_templates == {
        "default": "a",
        "tool_use": "b",
    }
    beside = {"chat_template.json": {"chat_template": "p"}}
    assert Tokenizer(folder("gemma3", config={"chat_template": None}, **beside)).chat_template == "p"
    assert Tokenizer(folder("gemma3", config={"chat_template": "x"}, **beside)).chat_template == "x"
    own = Tokenizer(folder("gpt2", config={"chat_template": "x"}, **{"chat_template.jinja": "jé"}))
    assert own.chat_template == "jé"


def test_a_file_alone(folder):
    path = folder("llama3") / "tokenizer.json"
    (path.parent / "tokenizer_config.json").unlink()
    t = Tokenizer(path)
    assert t.add_bos and t.bos_id == 1015 and t.eos_id is None
    assert json.loads(path.read_bytes())["model"]["type"] == "BPE"


# --- vocab.json and merges.txt ----------------------------------------------------------------------------------------


def older(path, old=False):
    """The folder's tokenizer.json taken apart into what stood there before it."""
    root = json.loads((path / "tokenizer.json").read_bytes())
    added = {token["content"]: token["id"] for token in root["added_tokens"]}
    vocab = {text: id for text, id in root["model"]["vocab"].items() if text not in added}
    (path / "vocab.json").write_text(json.dumps(vocab))
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in root["model"]["merges"]]
    (path / "merges.txt").write_bytes("\r\n".join(["#version: 0.2", *lines, ""]).encode())
    config = json.loads((path / "tokenizer_config.json").read_bytes())
    config.pop("added_tokens_decoder", None)
    if old:
        (path / "added_tokens.json").write_text(json.dumps(added))
    else:
        config["added_tokens_decoder"] = {str(token.pop("id")): token for token in root["added_tokens"]}
    return config


@pytest.mark.parametrize("name", ["gpt2", "qwen2"])
@pytest.mark.parametrize("old", [False, True])
def test_vocab_and_merges(folder, name, old):
    path = folder(name, **{"config.json": {"model_type": name}})
    whole = Tokenizer(path)
    config = older(path, old) | {"tokenizer_class": {"gpt2": "GPT2Tokenizer", "qwen2": "Qwen2TokenizerFast"}[name]}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").unlink()
    t = Tokenizer(path)
    assert (t.pre, t.vocab_size, t.end_ids, t.kind) == (whole.pre, whole.vocab_size, whole.end_ids, "hf-json")
    rng = random.Random(7)
    for _ in range(500):
        text = random_text(rng, ["<|endoftext|>", "<|im_end|>"])
        assert t.encode(text, parse_special=True).tolist() == whole.encode(text, parse_special=True).tolist()


def test_vocab_and_merges_do_not_say_how_others_split(folder):
    """SmolLM2 and Phi-4 name GPT-2's class and split otherwise."""
    path = folder("gpt2", **{"config.json": {"model_type": "llama"}})
    config = older(path)
    (path / "tokenizer.json").unlink()
    for named in ("GPT2Tokenizer", "Qwen2Tokenizer", "LlamaTokenizer", None):
        (path / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": named}))
        with pytest.raises(
            ct.errors.UnsupportedModelError, match="tokenizer_class is .*supported: GPT2Tokenizer of gpt2"
        ):
            Tokenizer(path)
    (path / "config.json").unlink()
    (path / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "GPT2Tokenizer"}))
    assert Tokenizer(path).pre == "gpt-2"


# --- there and back again ---------------------------------------------------------------------------------------------


@each_tiny
def test_decoding_gives_the_text_back(folder, name):
    """NFC aside, and U+2581, which SentencePiece's vocabularies write a blank as. One by one as all at once."""
    t = Tokenizer(folder(name))
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(1000):
        text = random_text(rng, ["<|im_end|>", "<|endoftext|>", "<|user|>", "<end_of_turn>"])
        want = ct._core.nfc(text).decode() if name == "qwen2" else text
        want = want.replace("\u2581", " ") if name in SPM else want
        for special in (False, True):
            ids = t.encode(text, bos=False, parse_special=special)
            if not (name == "qwen2" and special):  # NFC works between added tokens
                assert t.decode(ids) == want, (seed, text)
            stream = ct.Utf8Stream(t)
            assert "".join(stream.push(id) for id in ids) + stream.flush() == t.decode(ids), (seed, text)
