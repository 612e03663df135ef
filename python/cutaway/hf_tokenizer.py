"""tokenizer.ggml.* metadata as tokenizer.json and tokenizer_config.json: csrc/text/tokenizer_to_gguf.cpp backwards."""

from __future__ import annotations

from typing import Any

# The regular expressions of the splits that GGUF names: those of the models' own tokenizer.json files, which
# csrc/text/pre_tokenizers.cpp knows as well. A "Digits" stands in front where a list says so.
_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_BEGIN = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LLAMA3 = rf"{_CONTRACTION}|{_BEGIN}\p{{L}}+|\p{{N}}{{1,3}}{_TAIL}"
_QWEN2 = rf"{_CONTRACTION}|{_BEGIN}\p{{L}}+|\p{{N}}{_TAIL}"
_O200K = (
    rf"{_BEGIN}{_UPPER}*{_LOWER}+{_CONTRACTION}?|{_BEGIN}{_UPPER}+{_LOWER}*{_CONTRACTION}?|\p{{N}}{{1,3}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT2_NAMES, _SMOLLM_NAMES = ("gpt-2", "phi-2", "mpt", "olmo"), ("smollm", "starcoder", "refact", "command-r")
_PATTERNS = {name: _LLAMA3 for name in ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2")}
_PATTERNS |= {name: _LLAMA3 for name in ("dbrx", "smaug-bpe", "glm4")}
_PATTERNS |= {name: _QWEN2 for name in ("qwen2", "deepseek-r1-qwen", "stablelm2")}
_PATTERNS |= {name: _O200K for name in ("gpt-4o", "llama4")}
_WHOLE_WORDS_FIRST = ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2")  # ignore_merges
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BLANK = "\u2581"


def tokenizer_files(file: Any) -> tuple[dict[str, Any], list[str]]:
    """The JSON files of a GGUF file's tokenizer by name, none where they cannot say it, and notes on what is lost."""
    key = lambda name, fallback=None: (
        file.value(f"tokenizer.ggml.{name}") if f"tokenizer.ggml.{name}" in file.keys else fallback
    )
    model, pre = key("model"), key("pre", "")
    if model is None:
        return {}, ["the file has no tokenizer, so the folder has none"]
    if model == "gpt2" and pre not in (*_GPT2_NAMES, *_SMOLLM_NAMES, *_PATTERNS):
        return {}, [f"tokenizer.ggml.pre is {pre!r}, whose rule is not known here: there is no tokenizer.json"]
    if model not in ("gpt2", "llama"):
        return {}, [f"tokenizer.ggml.model is {model!r}, which is not known here: there is no tokenizer.json"]
    tokens = key("tokens")
    types = key("token_type") or [NORMAL] * len(tokens)
    ids = {name: key(f"{name}_token_id") for name in ("bos", "eos", "unknown", "padding")}
    if model == "llama":
        ids = {k: d if ids[k] is None else ids[k] for k, d in (("bos", 1), ("eos", 2), ("unknown", 0))} | {
            "padding": ids["padding"]
        }
    add_bos = key("add_bos_token")
    if add_bos is None:
        add_bos = ids["bos"] is not None and (model == "llama" or pre in _WHOLE_WORDS_FIRST)
    root: dict[str, Any] = {"version": "1.0", "truncation": None, "padding": None}
    name = str(file.value("general.name") if "general.name" in file.keys else "").lower()
    phi3 = "phi-3" in name or "phi3" in name  # whose added tokens take white space along: csrc/text/tokenizer_gguf.cpp
    plain = ("<unk>", "<s>", "<|endoftext|>")
    root["added_tokens"] = [
        {"id": i, "content": text, "single_word": False, "lstrip": False,
         "rstrip": phi3 and (kind != USER_DEFINED or text == "</s>") and text not in plain,
         "normalized": False, "special": kind != USER_DEFINED}
        for i, (text, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (UNKNOWN, CONTROL, USER_DEFINED)
    ]  # fmt: skip
    root |= (
        _byte_level(pre, tokens, types, key("merges", []), ids["unknown"])
        if model == "gpt2"
        else _sentencepiece(tokens, types, key("scores", []), key("add_space_prefix", True), ids["unknown"])
    )
    root["post_processor"] = _post_processor(tokens, ids["bos"]) if add_bos else None
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": bool(add_bos),
        "add_eos_token": bool(key("add_eos_token", False)),
        "clean_up_tokenization_spaces": False,
    }
    for name, short in (("bos", "bos"), ("eos", "eos"), ("unknown", "unk"), ("padding", "pad")):
        if ids[name] is not None:
            config[f"{short}_token"] = tokens[ids[name]]
    if "tokenizer.chat_template" in file.keys:
        config["chat_template"] = file.value("tokenizer.chat_template")
    files = {"tokenizer.json": root, "tokenizer_config.json": config}
    ends = [i for i in (ids["eos"], key("eot_token_id"), key("eom_token_id")) if i is not None]
    if ends:
        files["generation_config.json"] = {"eos_token_id": ends if len(set(ends)) > 1 else ends[0]}
    return files, []


def _vocab(tokens: list[str], types: list[int]) -> dict[str, int]:
    """The tokens that merging makes, and every other up to the last of them: `tokenizers` numbers an added token that
    the vocabulary does not have anew, from the vocabulary's size on, whatever id stands beside it."""
    made = max((i for i, kind in enumerate(types) if kind in (NORMAL, UNKNOWN, BYTE)), default=-1) + 1
    return {text: i for i, text in enumerate(tokens[:made])}


def _byte_level(
    pre: str, tokens: list[str], types: list[int], merges: list[str], unknown: int | None
) -> dict[str, Any]:
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pre not in _PATTERNS}
    chain = [last]
    if pre in _SMOLLM_NAMES:
        chain = [{"type": "Digits", "individual_digits": True}, last]
    elif pre in _PATTERNS:
        split = {"type": "Split", "pattern": {"Regex": _PATTERNS[pre]}, "behavior": "Isolated", "invert": False}
        chain = [split, last]
    model = {
        "type": "BPE", "dropout": None, "unk_token": None if unknown is None else tokens[unknown],
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
        "ignore_merges": pre in _WHOLE_WORDS_FIRST,
        "vocab": _vocab(tokens, types),
        "merges": [merge.split(" ") for merge in merges],
    }  # fmt: skip
    return {
        "normalizer": None,
        "pre_tokenizer": chain[0] if len(chain) == 1 else {"type": "Sequence", "pretokenizers": chain},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": model,
    }


def _sentencepiece(
    tokens: list[str], types: list[int], scores: list[float], prefix: bool, unknown: int
) -> dict[str, Any]:
    vocab = _vocab(tokens, types)
    usable = {text for text, i in vocab.items() if types[i] == NORMAL}
    # Neighbours merge wherever the result is a token, the highest score first; of equal scores the leftmost.
    merges = []
    for text in sorted(usable, key=lambda text: -scores[vocab[text]]):
        merges += [[text[:k], text[k:]] for k in range(1, len(text)) if text[:k] in usable and text[k:] in usable]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
    normalizer: dict[str, Any] = replace
    back: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
                                  {"type": "ByteFallback"}, {"type": "Fuse"}]  # fmt: skip
    if prefix:
        normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": BLANK}, replace]}
        back.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": normalizer,
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": back},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": tokens[unknown], "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": vocab, "merges": merges,
        },
    }  # fmt: skip


def _post_processor(tokens: list[str], bos: int) -> dict[str, Any]:
    begin, text = {"SpecialToken": {"id": tokens[bos], "type_id": 0}}, lambda x: {"Sequence": {"id": x, "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, text("A")],
        "pair": [begin, text("A"), begin, text("B")],
        "special_tokens": {tokens[bos]: {"id": tokens[bos], "ids": [bos], "tokens": [tokens[bos]]}},
    }
