"""Makes conformance/*.json: PYTHONPATH=python:tests python tests/data/vocab/make_conformance.py [NAME...]

llama-cpp-python 0.3.36 speaks for GGUF, tokenizers 0.23.3 for tokenizer.json, tiktoken 0.14.0 and quicktok 0.4.0 (which
must agree) for real vocabularies of tiktoken's kind."""

import ctypes
import json
import sys
import tempfile
import unicodedata
from pathlib import Path

import cutaway as ct
from text.conformance import CASES, STORED, digest, path_of, quicktok, texts_of
from text.test_split import PATTERNS


class LlamaCpp:
    def __init__(self, path):
        import llama_cpp

        self.c, self.path = llama_cpp, str(path)
        self.model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model.model)

    def about(self):
        vocab = self.vocab
        ids = {"bos_id": self.c.llama_vocab_bos(vocab), "eos_id": self.c.llama_vocab_eos(vocab)}
        ids = {name: None if id_ < 0 else id_ for name, id_ in ids.items()}
        return {**ids, "add_bos": self.c.llama_vocab_get_add_bos(vocab), "size": self.c.llama_vocab_n_tokens(vocab)}

    def special(self):
        """What the file calls control and user-defined. Not qwen2's </s> and gpt-oss's <|start|>, which llama.cpp makes
        special by their looks; the second it then finds in any text."""
        file = ct._core.open_gguf(self.path, header_only=True)
        tokens, types = (file.value(f"tokenizer.ggml.{name}") for name in ("tokens", "token_type"))
        return [t for t, kind in zip(tokens, types, strict=True) if kind in (3, 4) and t != "<|start|>"]

    def encode(self, text, special, bos):
        return self.model.tokenize(text.encode(), add_bos=bos, special=special)

    def decode(self, ids):
        out = ctypes.create_string_buffer(1 << 20)
        array = (self.c.llama_token * len(ids))(*ids)
        n = self.c.llama_detokenize(self.vocab, array, len(ids), out, len(out), False, True)
        return out.raw[:n].decode("utf-8", "replace")


class HuggingFace:
    def __init__(self, path):
        import tokenizers

        self.peer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))

    def about(self):
        [*front] = self.peer.encode("").ids
        return {"add_bos": bool(front), "size": self.peer.get_vocab_size()} | ({"bos_id": front[0]} if front else {})

    def special(self):
        return [token.content for _, token in sorted(self.peer.get_added_tokens_decoder().items())]

    def encode(self, text, special, bos):
        self.peer.encode_special_tokens = not special
        return self.peer.encode(text, add_special_tokens=bos).ids

    def decode(self, ids):
        return self.peer.decode(ids, skip_special_tokens=False)


class Published(HuggingFace):
    """A GGUF's byte-level table in `tokenizers`, cut by the published pattern."""

    def __init__(self, path, pre):
        import tokenizers as hf

        file = ct._core.open_gguf(str(path), header_only=True)
        tokens, merges = (file.value(f"tokenizer.ggml.{name}") for name in ("tokens", "merges"))
        pairs = [tuple(merge.split(" ")) for merge in merges]
        self.peer = hf.Tokenizer(hf.models.BPE(vocab={text: i for i, text in enumerate(tokens)}, merges=pairs))
        cut = [hf.pre_tokenizers.Split(hf.Regex(pattern), "isolated") for pattern in PATTERNS[pre]]
        last = hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self.peer.pre_tokenizer = hf.pre_tokenizers.Sequence([*cut, last])
        self.peer.decoder = hf.decoders.ByteLevel()
        self.peer.add_special_tokens(["<|endoftext|>"])


class Tiktoken:
    def __init__(self, name):
        import quicktok as other
        import tiktoken

        ranks, self.specials, pattern = quicktok(name)
        self.nfc = name == "qwen3"
        self.peer = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=self.specials)
        self.other = other.get_encoding({"o200k": "o200k_harmony"}.get(name, name))

    def about(self):
        return {"add_bos": False, "bos_id": None}

    def special(self):
        return sorted(self.specials, key=self.specials.get)

    def encode(self, text, special, bos):
        text = unicodedata.normalize("NFC", text) if self.nfc else text
        plain = self.peer.encode_ordinary(text)
        assert list(self.other.encode_ordinary(text)) == plain
        return self.peer.encode(text, allowed_special="all") if special else plain

    def decode(self, ids):
        return self.peer.decode(ids)


def vectors(witness, special):
    for text in texts_of(special):
        whole = text if isinstance(text, str) else text[0] * text[1]
        row = {
            "plain": witness.encode(whole, special=False, bos=False),
            "special": witness.encode(whole, special=True, bos=False),
            "bos": witness.encode(whole, special=True, bos=True),
        }
        row["decoded"] = witness.decode(row["plain"])
        if row["decoded"] == whole:
            del row["decoded"]
        yield {"text": text, **(row if isinstance(text, str) else {k: digest(v) for k, v in row.items()})}


def main(names):
    STORED.mkdir(exist_ok=True)
    for name in names or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            path = path_of(case, Path(folder))
            if case.source == "quicktok":
                witness = Tiktoken(case.of)
            elif name == "deepseek-llm":  # llama.cpp leaves numbers whole, which DeepSeek's own vocabulary never shows
                witness = Published(path, name)
            else:
                witness = LlamaCpp(path) if case.kind != "hf-json" else HuggingFace(path)
            special = witness.special()
            chosen = [special[i] for i in sorted({0, 1, len(special) // 2, len(special) - 1}) if i < len(special)]
            made = {"witness": type(witness).__name__, "about": witness.about(), "special": chosen}
            rows = ",\n".join(json.dumps(row) for row in vectors(witness, chosen))
        text = json.dumps(made)[:-1] + f', "vectors": [\n{rows}\n]}}\n'
        (STORED / f"{name}.json").write_text(text)
        print(name, len(text))


main(sys.argv[1:])
