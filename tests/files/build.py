"""GGUF files byte by byte: a valid one from plain values, and any field of it replaced by any bytes.

`fields(...)` names every field of the file in order; `build(..., {"tensor.0.offset": u64(5)})` joins them with some
replaced. It shares nothing with the writer in the core, so that each can be held against the other.
"""

import struct

TYPES = {"u8": 0, "i8": 1, "u16": 2, "i16": 3, "u32": 4, "i32": 5, "f32": 6, "bool": 7, "string": 8, "array": 9}
TYPES |= {"u64": 10, "i64": 11, "f64": 12}
LETTERS = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f", "bool": "B"}
LETTERS |= {"u64": "Q", "i64": "q", "f64": "d"}
F32, F16, Q4_1, I8, F64, BF16 = 0, 1, 3, 24, 28, 30  # ggml type ids
BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_1: (32, 20), I8: (1, 1), F64: (1, 8), BF16: (1, 2)}

METADATA = {
    "general.architecture": ("string", "llama"),
    "llama.block_count": ("u32", 1),
    "llama.rope.freq_base": ("f32", 10000.0),
    "tokenizer.ggml.tokens": ("string[]", ["a", "bc", ""]),
    "tokenizer.ggml.scores": ("f32[]", [0.0, -1.5]),
    "tokenizer.ggml.add_bos_token": ("bool", True),
}
TENSORS = {
    "token_embd.weight": ((4, 2), F32),
    "blk.0.ffn_up.weight": ((32, 3), Q4_1),
    "output_norm.weight": ((5,), F16),
}


def u32(n):
    return struct.pack("<I", n % 2**32)


def u64(n):
    return struct.pack("<Q", n % 2**64)


def string(text):
    raw = text.encode() if isinstance(text, str) else text
    return u64(len(raw)) + raw


def value(kind, it):
    """The bytes of a value, its type field not included."""
    if kind == "string":
        return string(it)
    return struct.pack("<" + LETTERS[kind], it)


def fields(metadata=METADATA, tensors=TENSORS, alignment=32):
    """Every field of a valid file, in order: label -> bytes.

    metadata: key -> (type, value), "u32" or "u32[]".
    tensors: name -> (ne, ggml type), ne fastest axis first; the data of tensor k is bytes k + 1, k + 2, ... modulo 251.
    """
    out = {"magic": b"GGUF", "version": u32(3), "n_tensors": u64(len(tensors)), "n_keys": u64(len(metadata))}
    for i, (key, (kind, it)) in enumerate(metadata.items()):
        raw = key.encode() if isinstance(key, str) else key
        out[f"key.{i}.length"], out[f"key.{i}.name"] = u64(len(raw)), raw
        if not kind.endswith("[]"):
            out[f"key.{i}.type"], out[f"key.{i}.value"] = u32(TYPES[kind]), value(kind, it)
            continue
        out[f"key.{i}.type"], out[f"key.{i}.element_type"] = u32(TYPES["array"]), u32(TYPES[kind[:-2]])
        out[f"key.{i}.count"] = u64(len(it))
        out[f"key.{i}.value"] = b"".join(value(kind[:-2], element) for element in it)
    data, offset = b"", 0
    for i, (name, (ne, kind)) in enumerate(tensors.items()):
        raw = name.encode() if isinstance(name, str) else name
        out[f"tensor.{i}.length"], out[f"tensor.{i}.name"] = u64(len(raw)), raw
        out[f"tensor.{i}.rank"] = u32(len(ne))
        elements = 1
        for k, n in enumerate(ne):
            out[f"tensor.{i}.ne.{k}"] = u64(n)
            elements *= n
        data += b"\0" * (-len(data) % alignment)
        offset = len(data)
        block, size = BLOCKS[kind]
        data += bytes((i + 1 + k) % 251 for k in range(elements // block * size))
        out[f"tensor.{i}.type"], out[f"tensor.{i}.offset"] = u32(kind), u64(offset)
    out["padding"] = None  # as long as the fields before it ask for
    out["data"] = data
    return out


def build(metadata=METADATA, tensors=TENSORS, replace=None, alignment=32):
    """A file's bytes: fields(...) with those of `replace` in their place."""
    parts = fields(metadata, tensors, alignment)
    for label, raw in (replace or {}).items():
        assert label in parts, f"no field {label}, there are {', '.join(parts)}"
        parts[label] = raw
    head = b"".join(raw for label, raw in parts.items() if label not in ("padding", "data"))
    padding = b"\0" * (-len(head) % alignment if tensors else 0) if parts["padding"] is None else parts["padding"]
    return head + padding + parts["data"]


def header_bytes(metadata=METADATA, tensors=TENSORS):
    """Bytes before the padding."""
    return sum(len(raw) for label, raw in fields(metadata, tensors).items() if label not in ("padding", "data"))
