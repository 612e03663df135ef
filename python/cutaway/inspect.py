"""What a model file holds, from its header alone: metadata, tensors, bytes by layer and format, what we cannot run."""

from __future__ import annotations

import difflib
import fnmatch
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cutaway import _core
from cutaway.errors import ArgumentError, MappingError
from cutaway.output import escape, plain, table
from cutaway.text import folder_tokenizer

# The tokenizers we speak, as tokenizer.ggml.model names them, and the files that a Hugging Face folder has instead.
TOKENIZERS = {
    "gpt2": "byte-level BPE",
    "llama": "SentencePiece-style BPE",
    "tokenizer.json": "BPE",
    "vocab.json": "byte-level BPE",
}


def inspect(path: str | os.PathLike[str], *, limits: Mapping[str, int] | None = None) -> Inspection:
    """Read the header of a GGUF file, of all parts of a split one, or of a Hugging Face folder, which is shown as the
    GGUF made from it would be; no tensor data, so a 20 GB file takes no longer.

    path: the file, the first part of a split model, or the folder.
    limits: caps to raise for a file that you trust, e.g. {"string_bytes": 1 << 28}.

    Raises ModelNotFoundError (with the nearest name), GGUFError, SafetensorsError, ConfigError, TruncatedFileError,
    LimitExceededError or UnsupportedModelError, each with the byte offset. Tensor formats of GGUF that we cannot run do
    not raise: see `.missing()`.
    """
    from cutaway.loading import find  # here, because loading knows models and models know graphs

    return Inspection(_core.open_model(find(path), header_only=True, limits=dict(limits or {})))


class Metadata(Mapping[str, Any]):
    """The metadata in file order; each value is converted when it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getitem__(self, key: str) -> Any:
        return self._file.value(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.keys)

    def __len__(self) -> int:
        return len(self._file.keys)

    def type(self, key: str) -> str:
        """The type that the file declares: "u32", or "string[]" for an array."""
        return str(self._file.value_type(key))

    def __repr__(self) -> str:
        width = max((len(key) for key in self), default=0)
        return "\n".join(f"{key:<{width}}  {self.type(key):<9} {self._shown(key)}" for key in self)

    def _shown(self, key: str) -> str:
        if self.type(key).endswith("[]"):
            n = self._file.length(key)
            return f"{n} elements" if n > 8 else _shorten(self[key])
        return _shorten(self[key])


class Rows(list[dict[str, Any]]):
    """A list of rows that prints as a table."""

    def __repr__(self) -> str:
        if not self:
            return "(none)"
        columns = list(self[0])
        cells = [[_cell(column, row[column]) for column in columns] for row in self]
        right = [i for i, column in enumerate(columns) if isinstance(self[0][column], int | float)]
        return table([columns, *cells], right)

    def to_dict(self) -> list[dict[str, Any]]:
        """The rows as plain dicts."""
        return [dict(row) for row in self]

    def to_json(self) -> str:
        """The rows as JSON."""
        return json.dumps(plain(self.to_dict()), allow_nan=False)


class Inspection:
    """A file's header. Prints as a summary; `.metadata`, `.tensors()`, `.layers()`, `.formats()` print as tables."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.parts: list[str] = file.parts
        self.path: str = file.folder or self.parts[0]
        self.kind: str = file.kind
        self.bytes: int = file.bytes
        self.header_bytes: int = file.header_bytes
        self.warnings: list[str] = file.warnings
        self.metadata = Metadata(file)
        self._tensors: list[Any] = file.tensors
        self._folder: str = file.folder

    def key(self, name: str) -> Any:
        """One metadata value. Raises MappingError, which is a KeyError, with the nearest keys."""
        try:
            return self.metadata[name]
        except KeyError:
            near = difflib.get_close_matches(name, list(self.metadata), 3, 0.5)
            raise MappingError(
                f"{escape(self.path)} has no key {escape(name)!r}" + (f"; near it: {', '.join(near)}" if near else ""),
                hint="`.metadata`, or `cutaway inspect FILE --metadata`, prints all keys",
                key=name,
                near=near,
            ) from None

    def tensors(self, glob: str = "*", *, sort: str | None = None) -> Rows:
        """Tensors whose name matches `glob`, in file order or sorted by a column (sort="bytes": largest first).

        Rows of name, format, shape (slowest axis first), bytes, offset (in its file) and part (of a split model).
        Raises ArgumentError for another column."""
        rows = Rows(
            {
                "name": t.name,
                "format": t.format,
                "shape": list(t.shape),
                "bytes": t.bytes,
                "offset": t.offset,
                "part": t.part,
            }
            for t in self._tensors
            if fnmatch.fnmatchcase(t.name, glob)
        )
        if sort is not None:
            columns = ("name", "format", "shape", "bytes", "offset", "part")
            if sort not in columns:
                raise ArgumentError(f"sort is {sort!r}, expected one of {', '.join(columns)}")
            rows.sort(key=lambda row: row[sort], reverse=sort == "bytes")
        return rows

    def layers(self) -> Rows:
        """Bytes by layer, largest format first; what belongs to no layer (embeddings, head, norms) has layer None."""
        found: dict[int | None, dict[str, Any]] = {}
        for t in self._tensors:
            match = re.match(r"blk\.(\d{1,9})\.", t.name)
            layer = int(match[1]) if match else None
            row = found.setdefault(layer, {"layer": layer, "tensors": 0, "bytes": 0, "formats": {}})
            row["tensors"] += 1
            row["bytes"] += t.bytes
            row["formats"][t.format] = row["formats"].get(t.format, 0) + t.bytes
        for row in found.values():
            row["formats"] = dict(sorted(row["formats"].items(), key=lambda item: -item[1]))
        return Rows(sorted(found.values(), key=lambda row: (row["layer"] is not None, row["layer"] or 0)))

    def formats(self) -> Rows:
        """How the weights are stored: per format, tensors, elements, bytes and bits per weight, most bytes first."""
        found: dict[str, dict[str, Any]] = {}
        for t in self._tensors:
            row = found.setdefault(t.format, {"format": t.format, "tensors": 0, "elements": 0, "bytes": 0})
            row["tensors"] += 1
            row["elements"] += math.prod(t.shape)
            row["bytes"] += t.bytes
            row["runs"] = t.supported
        for row in found.values():
            row["bits_per_weight"] = round(8 * row["bytes"] / row["elements"], 4) if row["elements"] else 0.0
        return Rows(sorted(found.values(), key=lambda row: -row["bytes"]))

    def summary(self) -> dict[str, Any]:
        """The model in a few lines: what the header says; None where it is silent."""
        arch = self._get("general.architecture")
        own = lambda name: self._get(f"{arch}.{name}")
        heads, width = own("attention.head_count"), own("embedding_length")
        head_width = own("attention.key_length")
        if head_width is None and isinstance(heads, int) and isinstance(width, int) and heads and width % heads == 0:
            head_width = width // heads
        tokens = "tokenizer.ggml.tokens"
        kv_heads = own("attention.head_count_kv")
        return {
            "architecture": arch,
            "name": self._get("general.name"),
            "parameters": sum(math.prod(t.shape) for t in self._tensors),
            "layers": own("block_count"),
            "width": width,
            "heads": heads,
            "kv_heads": heads if kv_heads is None else kv_heads,
            "head_width": head_width,
            "feed_forward": own("feed_forward_length"),
            "experts": own("expert_count"),
            "context": own("context_length"),
            "vocabulary": self._file.length(tokens) if tokens in self._file.keys else own("vocab_size"),
            "tokenizer": self._tokenizer(),
            "pre_tokenizer": self._get("tokenizer.ggml.pre"),
            "chat_template": self._has_template(),
            "tied_head": None if not self._tensors else all(t.name != "output.weight" for t in self._tensors),
        }

    def missing(self) -> list[str]:
        """What stands between this file and a run; empty: nothing that the header shows."""
        found = []
        arch = self._get("general.architecture")
        known = _core.architectures()
        if arch not in known:
            found.append(f"architecture {_shorten(arch)} is not one of {', '.join(known)}")
        for row in self.formats():
            if not row["runs"]:
                found.append(f"format {row['format']} of {row['tensors']} tensors is not one that we compute with")
        tokenizer = self._tokenizer()
        if tokenizer not in TOKENIZERS:
            found.append(f"tokenizer {_shorten(tokenizer)} is not one of {', '.join(TOKENIZERS)}")
        if not self._tensors:
            found.append("there are no tensors: this file holds a vocabulary only")
        return found

    def to_dict(self, *, arrays: int | None = 16) -> dict[str, Any]:
        """Everything above as plain values with stable keys. Arrays longer than `arrays` become
        {"type", "length", "first"}; None keeps them whole."""
        return {
            "path": self.path,
            "parts": self.parts,
            "kind": self.kind,
            "bytes": self.bytes,
            "header_bytes": self.header_bytes,
            "summary": self.summary(),
            "missing": self.missing(),
            "warnings": self.warnings,
            "metadata": {key: self._plain_value(key, arrays) for key in self.metadata},
            "types": {key: self.metadata.type(key) for key in self.metadata},
            "formats": self.formats().to_dict(),
            "layers": self.layers().to_dict(),
            "tensors": self.tensors().to_dict(),
        }

    def to_json(self, *, arrays: int | None = 16, indent: int | None = None) -> str:
        """to_dict() as JSON; NaN and infinities are the strings "nan", "inf" and "-inf"."""
        return json.dumps(plain(self.to_dict(arrays=arrays)), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        summary = self.summary()
        tokenizer = summary["tokenizer"]
        kind = TOKENIZERS.get(tokenizer, "unknown") if isinstance(tokenizer, str) else "none"
        shown = {
            "architecture": _shorten(summary["architecture"]),
            "name": _shorten(summary["name"]),
            "parameters": f"{summary['parameters']:,}",
            "layers": _shorten(summary["layers"]),
            "width": f"{_shorten(summary['width'])}, feed-forward {_shorten(summary['feed_forward'])}",
            "heads": f"{_shorten(summary['heads'])} of width {_shorten(summary['head_width'])}, "
            f"{_shorten(summary['kv_heads'])} for keys and values",
            "context": _shorten(summary["context"]),
            "vocabulary": f"{_shorten(summary['vocabulary'])}, {kind} "
            + (f"({tokenizer})" if self._folder else f"({_shorten(tokenizer)}, {_shorten(summary['pre_tokenizer'])})"),
            "chat template": "yes" if summary["chat_template"] else "no",
            "output head": {None: "none", True: "tied to the embedding", False: "its own"}[summary["tied_head"]],
            "weights": ", ".join(f"{row['format']} {_bytes(row['bytes'])}" for row in self.formats()) or "none",
            "metadata": f"{len(self.metadata)} keys, {_bytes(self.header_bytes)} header",
        }
        head = f"{escape(self.path)}: {self.kind}, {_bytes(self.bytes)}, {len(self._tensors)} tensors"
        if len(self.parts) > 1:
            head += f" in {len(self.parts)} parts"
        lines = [head, *(f"  {label:<14} {text}" for label, text in shown.items())]
        lines += [f"  {'cannot run':<14} {escape(text)}" for text in self.missing()]
        lines += [f"  {'warning':<14} {escape(text)}" for text in self.warnings]
        return "\n".join(lines)

    def _tokenizer(self) -> Any:
        return folder_tokenizer(self._folder) if self._folder else self._get("tokenizer.ggml.model")

    def _has_template(self) -> bool:  # a damaged file is the tokenizer's to complain of
        if not self._folder:
            return any(key.startswith("tokenizer.chat_template") for key in self.metadata)
        if self._has("chat_template.jinja") or self._has("chat_template.json"):
            return True
        try:
            with open(os.path.join(self._folder, "tokenizer_config.json"), "rb") as file:
                return bool(json.load(file).get("chat_template"))
        except (OSError, ValueError, RecursionError, AttributeError):
            return False

    def _has(self, name: str) -> bool:
        return os.path.isfile(os.path.join(self._folder, name))

    def _get(self, key: str) -> Any:
        return self.metadata.get(key)

    def _plain_value(self, key: str, arrays: int | None) -> Any:
        kind = self.metadata.type(key)
        value = self.metadata[key]
        if arrays is None or not kind.endswith("[]") or len(value) <= arrays:
            return value
        return {"type": kind, "length": len(value), "first": value[:arrays]}


def _shorten(value: Any, most: int = 80) -> str:
    if value is None:
        return "not said"
    text = escape(value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value))
    return text if len(text) <= most else text[: most - 3] + "..."


def _cell(column: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{escape(str(key))} {_bytes(n)}" for key, n in value.items())
    return "-" if value is None else f"{value:,}" if column in ("bytes", "elements") else escape(str(value))


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} B" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.2f} GiB"
