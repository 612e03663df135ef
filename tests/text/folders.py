"""Hugging Face folders for these tests: six tiny tokenizers, changed as a test likes."""

import copy
import functools
import json
import lzma

from text.vocabularies import ALPHABET, VOCAB

TINY = ["gpt2", "llama3", "qwen2", "gpt-oss", "phi3", "gemma3"]
SPM = ["phi3", "gemma3"]


@functools.cache
def _tiny():
    return json.loads(lzma.decompress((VOCAB / "tiny-hf.json.xz").read_bytes()))


def tiny(name):
    """{"tokenizer.json": ..., "tokenizer_config.json": ..., "vectors": ...}, the caller's own to change."""
    return copy.deepcopy(_tiny()[name])


def write_folder(path, files):
    """Writes the files of a folder: dicts as JSON, str and bytes as they are."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name == "vectors":
            continue
        data = content if isinstance(content, (str, bytes)) else json.dumps(content)
        (path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def from_ranks(name, ranks, specials, pattern):
    """A byte-level folder of tiktoken's kind of table, with every way to cut a token in two as a merge; the rest as in
    the tiny tokenizer `name`, without a BOS."""
    alphabet = [ALPHABET[byte] for byte in range(256)]
    spelt = lambda token: "".join(alphabet[byte] for byte in token)
    cuts = [
        (rank, ranks[token[:i]], ranks[token[i:]], token[:i], token[i:])
        for token, rank in ranks.items()
        for i in range(1, len(token))
        if token[:i] in ranks and token[i:] in ranks
    ]
    files = tiny(name)
    node = files["tokenizer.json"]
    node["model"]["vocab"] = {spelt(token): rank for token, rank in ranks.items()}
    node["model"]["merges"] = [[spelt(left), spelt(right)] for *_, left, right in sorted(cuts)]
    node["model"]["ignore_merges"] = True
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    node["added_tokens"] = [{"id": id, "content": text, **flags} for text, id in specials.items()]
    node["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern
    node["post_processor"] = None
    return {"tokenizer.json": node}


def change(node, path, value):
    """Sets a value deep in a dict: change(d, "model.vocab.a", 3); list indices are numbers. `...` deletes."""
    *parts, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parts:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value


WORDS = ["the", " of", "And", "I'LL", "he's", "don't", " 12345", "  ", "\n\n", "\r\n", "f(x) {", "한국", "日本", "é"]
WORDS += [
    "e\u0301",
    " earth",
    "LORD",
    "a1b2",
    "://w.",
    "\u3000",
    "‘",
    "ǅ",
    "ﬀ",
    " \u0301",
    "\u1100\u1161\u11a8",
    "\u2581",
]
LETTERS = " \t\n\r'sStabcdeft0123456789!?.,<>|/_-²ⅧßñéЖ文語ب🦙🏽\u0301\u0323\u200d\u00a0\ufffd\x00\u2581\u212b\u0958ſ"


def random_text(rng, added=()):
    """Up to thirty pieces that are hard on tokenizers: letters, words, characters of every script, added tokens."""
    pieces = []
    for _ in range(rng.randrange(30)):
        roll = rng.random()
        if added and roll < 0.1:
            pieces.append(rng.choice(added))
        elif roll < 0.5:
            pieces.append(rng.choice(LETTERS))
        elif roll < 0.9:
            pieces.append(rng.choice(WORDS))
        else:
            # Blocks that have long been full: peers know other versions of Unicode.
            first, last = rng.choice(
                [(0x20, 0x250), (0x400, 0x460), (0x5D0, 0x5EA), (0x1E00, 0x1EFF), (0x4E00, 0x9FA5)]
            )
            pieces.append(chr(rng.randrange(first, last)))
    return "".join(pieces)
