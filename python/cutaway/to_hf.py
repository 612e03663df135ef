"""ct.to_hf: a GGUF file as a Hugging Face folder. csrc/load/hf_tensors.cpp read backwards.

The folder is read again before it gets its name, and must give the graph that the file gives: what config.json has no
words for is refused."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cutaway import _core
from cutaway.errors import ArgumentError, SaveError, UnsupportedOperation
from cutaway.formats import pack, unpack
from cutaway.hf_config import config_json
from cutaway.hf_tokenizer import tokenizer_files
from cutaway.loading import find
from cutaway.model import Model
from cutaway.output import plain, stream_safetensors, write_whole
from cutaway.sizes import size

DTYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16"}
TORCH = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


@dataclass
class Folder:
    """What ct.to_hf wrote."""

    path: str
    source: str
    tensors: int
    bytes: int
    dtype: str  # of config.json: the widest of the matrices
    tokenizer: bool
    notes: list[str] = field(default_factory=list)  # what is not as it was

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return plain(asdict(self))

    def __repr__(self) -> str:
        files = "config.json, model.safetensors" + (", tokenizer.json" if self.tokenizer else "")
        return "\n".join(
            [f"{self.path}: {files}; {self.tensors} tensors, {size(self.bytes)}, {self.dtype}", *self.notes]
        )


@dataclass
class Piece:
    """One tensor of the folder: its name, its shape, the tensor of the file that it has its type of, and how it is made
    of float32 arrays (None: as it is)."""

    name: str
    shape: list[int]
    parts: list[str]
    make: Callable[..., np.ndarray] | None = None


def to_hf(
    model: Model | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    dtype: str = "keep",
    progress: Callable[[int, int], object] | None = None,
) -> Folder:
    """Writes a GGUF model as a Hugging Face folder: config.json, model.safetensors and the tokenizer's files.

    folder    must not exist; whole under its name or not there
    dtype     "keep": f32, f16 and bf16 stay, mxfp4 becomes bf16 and every other format f32, which hold it to the bit;
              or "f32", "f16", "bf16" for every matrix
    progress  called with (tensors done, all)

    Raises UnsupportedOperation for what config.json cannot say, ArgumentError, SaveError, what opening the file raises.
    A tokenizer that tokenizer.json cannot express is left out, and the notes say so.

    >>> import cutaway as ct, tempfile, os
    >>> folder = os.path.join(tempfile.mkdtemp(), "llama")
    >>> made = ct.to_hf("tiny:llama", folder)
    >>> bool((ct.load(folder).run([5, 6, 7]) == ct.load("tiny:llama").run([5, 6, 7])).all())
    True
    """
    if dtype != "keep" and dtype not in DTYPES:
        raise ArgumentError(f"dtype is {dtype!r}, expected keep, {', '.join(DTYPES)}")
    file = model.file if isinstance(model, Model) else _core.open_model(find(model))
    if file.folder:
        raise ArgumentError(f"{file.folder} is a folder already, expected a GGUF file")
    path = Path(folder)
    if path.exists():
        raise SaveError(f"{path} is there already", hint="name a folder that is not there yet", path=str(path))
    if not path.parent.is_dir():
        raise SaveError(f"{path} could not be written: there is no directory {path.parent}", path=str(path))
    config = config_json(file)
    pieces = list(_pieces(file, config))
    types = {p.name: _dtype(file, p, dtype) for p in pieces}
    matrices = {types[p.name] for p in pieces if len(p.shape) > 1}
    widest = "f32" if "f32" in matrices or len(matrices) > 1 else matrices.pop()
    config["dtype"] = config["torch_dtype"] = TORCH[widest]
    texts, notes = tokenizer_files(file)
    notes += _rounded(file, pieces)
    for name, key in (
        ("bos", "bos"),
        ("eos", "eos"),
        ("pad", "padding"),
    ):  # null, too: classes have defaults of their own
        config[f"{name}_token_id"] = _id(file, key)

    made = Path(tempfile.mkdtemp(prefix=f".{path.name[:60]}.tmp-", dir=path.parent))
    try:
        for name, value in {"config.json": config, **texts}.items():
            text = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "surrogateescape")
            (made / name).write_bytes(text)
        entries = [(p.name, DTYPES[types[p.name]], p.shape) for p in pieces]

        def tensors() -> Iterator[np.ndarray]:
            for i, p in enumerate(pieces):
                if progress:
                    progress(i, len(pieces))
                yield _bytes(file, p, types[p.name])

        write_whole(made / "model.safetensors", lambda f: stream_safetensors(f, entries, tensors(), {"format": "pt"}))
        _check(file, made)
        os.chmod(made, 0o777 & ~_umask())
        os.rename(made, path)
    except OSError as error:
        if isinstance(error, SaveError) or not error.errno:
            raise
        raise SaveError(f"{path} could not be written: {error.strerror}", path=str(path), errno=error.errno) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    total = (path / "model.safetensors").stat().st_size
    return Folder(os.fspath(path), file.parts[0], len(pieces), total, TORCH[widest], "tokenizer.json" in texts, notes)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _id(file: Any, name: str) -> int | None:
    key = f"tokenizer.ggml.{name}_token_id"
    return file.value(key) if key in file.keys else None


def _dtype(file: Any, piece: Piece, wanted: str) -> str:
    stored = file.tensor(piece.parts[0]).format
    if len(piece.shape) < 2 or wanted == "keep":
        return stored if stored in DTYPES else "bf16" if stored == "mxfp4" else "f32"
    return wanted


def _bytes(file: Any, piece: Piece, dtype: str) -> np.ndarray:
    """The bytes of one tensor of the folder."""
    arrays, formats = [], {file.tensor(name).format for name in piece.parts}
    if piece.make is None and formats == {dtype}:
        return file.raw(piece.parts[0])
    for name in piece.parts:
        t = file.tensor(name)
        n = t.shape[-1] if t.shape else 1
        arrays.append(unpack(t.format, file.raw(name).reshape(-1, t.bytes // max(int(np.prod(t.shape[:-1])), 1))))
        arrays[-1] = arrays[-1].reshape(*t.shape[:-1], n)
    values = arrays[0] if piece.make is None else piece.make(*arrays)
    stored = pack(dtype, np.ascontiguousarray(values).reshape(1, -1)).reshape(-1)
    if dtype == "f16" and not np.isfinite(stored.view("<f2")).all() and np.isfinite(values).all():
        raise ArgumentError(
            f"{piece.name} has a value of {np.abs(values).max():g}, which is infinite in f16", hint="dtype='bf16'"
        )
    return stored


# --- which tensors there are ------------------------------------------------------------------------------------------


def _pieces(file: Any, config: dict[str, Any]) -> Iterator[Piece]:
    """Every tensor of the folder. Raises UnsupportedOperation for tensors of the file that no part of it takes."""
    left = {t.name: t for t in file.tensors}
    made_of_config = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}
    maker = _gpt2 if config["model_type"] == "gpt2" else _decoder
    for piece in maker(left, config):
        for name in piece.parts:
            left.pop(name, None)
        yield piece
    strange = sorted(name for name in set(left) - made_of_config if ".attn_rot_embd." not in name)
    if strange:
        raise UnsupportedOperation(
            f"{file.parts[0]} has {len(strange)} tensors that have no place in a {config['model_type']} folder: "
            + ", ".join(strange[:4])
        )


def _same(tensors: dict[str, Any], name: str, source: str) -> Iterator[Piece]:
    if source in tensors:
        yield Piece(name, list(tensors[source].shape), [source])


def _transposed(t: dict[str, Any], name: str, source: str) -> Piece:
    shape = list(t[source].shape)
    return Piece(name, shape[:-2] + shape[:-3:-1], [source], lambda x: np.swapaxes(x, -1, -2))


def _gpt2(t: dict[str, Any], config: dict[str, Any]) -> Iterator[Piece]:
    t = dict(t)
    yield from _same(t, "transformer.wte.weight", "token_embd.weight")
    yield from _same(t, "transformer.wpe.weight", "position_embd.weight")
    norms = {"attn_norm": "ln_1", "ffn_norm": "ln_2"}
    linears = {"attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
    for i in range(config["n_layer"]):
        to, source = f"transformer.h.{i}.", f"blk.{i}."
        for ours, theirs in norms.items():
            for end in (".weight", ".bias"):
                yield from _same(t, to + theirs + end, source + ours + end)
        for ours, theirs in linears.items():
            yield _transposed(t, f"{to}{theirs}.weight", f"{source}{ours}.weight")
            yield from _same(t, f"{to}{theirs}.bias", f"{source}{ours}.bias")
    for end in (".weight", ".bias"):
        yield from _same(t, f"transformer.ln_f{end}", f"output_norm{end}")
    yield from _same(t, "lm_head.weight", "output.weight")


def _decoder(t: dict[str, Any], config: dict[str, Any]) -> Iterator[Piece]:
    t, kind = dict(t), config["model_type"]
    gemma, oss, llama = kind == "gemma3_text", kind == "gpt_oss", kind == "llama"
    after = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
             "post_ffw_norm": "post_feedforward_layernorm"}  # fmt: skip
    if not gemma:
        after = {"post_attention_norm" if oss else "ffn_norm": "post_attention_layernorm"}
    norms = {"attn_norm": "input_layernorm", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
    linears = {"attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_qkv": "self_attn.qkv_proj",
               "ffn_gate": "mlp.gate_proj", "ffn_down": "mlp.down_proj",
               "ffn_up": "mlp.gate_up_proj" if kind == "phi3" else "mlp.up_proj",
               "ffn_gate_inp": "mlp.router"}  # fmt: skip
    turned = {"attn_q": ("self_attn.q_proj", "num_attention_heads"),
              "attn_k": ("self_attn.k_proj", "num_key_value_heads")}  # fmt: skip

    def norm(name: str, source: str) -> Iterator[Piece]:
        for piece in _same(t, name, source):
            yield Piece(name, piece.shape, [source], _less_one) if gemma else piece

    yield from _same(t, "model.embed_tokens.weight", "token_embd.weight")
    for i in range(config["num_hidden_layers"]):
        to, source = f"model.layers.{i}.", f"blk.{i}."
        for ours, theirs in {**norms, **after}.items():
            yield from norm(f"{to}{theirs}.weight", f"{source}{ours}.weight")
        for end in (".weight", ".bias"):
            for ours, theirs in linears.items():
                yield from _same(t, to + theirs + end, source + ours + end)
            for ours, (theirs, heads) in turned.items():
                for piece in _same(t, to + theirs + end, source + ours + end):
                    make = _halves(config[heads]) if llama else None
                    yield Piece(piece.name, piece.shape, piece.parts, make)
        yield from _same(t, f"{to}self_attn.sinks", f"{source}attn_sinks.weight")
        if oss:
            yield from _experts(t, f"{to}mlp.experts.", source)
    yield from norm("model.norm.weight", "output_norm.weight")
    yield from _same(t, "lm_head.weight", "output.weight")


def _experts(t: dict[str, Any], to: str, source: str) -> Iterator[Piece]:
    """Gate and up side by side, column by column, and [in, out] as transformers has them."""
    gate, up = f"{source}ffn_gate_exps", f"{source}ffn_up_exps"
    X, F, D = t[f"{gate}.weight"].shape
    both = lambda g, u: np.stack([g, u], axis=-1).reshape(*g.shape[:-1], -1)
    turned = lambda g, u: both(np.swapaxes(g, 1, 2), np.swapaxes(u, 1, 2))
    yield Piece(f"{to}gate_up_proj", [X, D, 2 * F], [f"{gate}.weight", f"{up}.weight"], turned)
    yield Piece(f"{to}gate_up_proj_bias", [X, 2 * F], [f"{gate}.bias", f"{up}.bias"], both)
    yield _transposed(t, f"{to}down_proj", f"{source}ffn_down_exps.weight")
    yield from _same(t, f"{to}down_proj_bias", f"{source}ffn_down_exps.bias")


def _halves(heads: int) -> Callable[[np.ndarray], np.ndarray]:
    """llama's rows turn neighbours, Hugging Face's the two halves of a head."""

    def make(x: np.ndarray) -> np.ndarray:
        return np.swapaxes(x.reshape(heads, -1, 2, *x.shape[1:]), 1, 2).reshape(x.shape)

    return make


def _less_one(x: np.ndarray) -> np.ndarray:
    return x - np.float32(1)  # gemma3's norms are kept as what is added to 1


def _rounded(file: Any, pieces: list[Piece]) -> list[str]:
    """What the folder's readers will not make the same bits of."""
    notes = []
    for piece in pieces:
        if piece.make is _less_one:
            t = file.tensor(piece.parts[0])
            x = unpack(t.format, file.raw(t.name).reshape(1, -1))
            if not np.array_equal(_less_one(x) + np.float32(1), x):
                notes.append(f"{piece.name} is kept as what is added to 1, which rounds some of its values")
    if "rope_freqs.weight" in {t.name for t in file.tensors}:
        notes.append("rope_freqs.weight becomes the numbers that it was made of; readers make it anew, and may round")
    return notes


def _check(file: Any, folder: Path) -> None:
    """Reads the folder and compares its graph with the file's. Raises UnsupportedOperation at the first difference."""
    ours, theirs = _core.read_graph(file), _core.read_graph(_core.open_model(os.fspath(folder)))
    for key in ours:
        if key == "constants":
            continue
        if ours[key] != theirs[key]:
            raise UnsupportedOperation(f"config.json cannot say this model: {_difference(key, ours, theirs)}")
    for name, values in ours["constants"].items():
        if name not in theirs["constants"] or not np.allclose(values, theirs["constants"][name], rtol=1e-6, atol=0):
            raise UnsupportedOperation(f"config.json cannot say this model: its {name} would be others")


def _difference(key: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    if key != "stages":
        return f"{key} is {ours[key]}, and the folder's {theirs[key]}"
    for a, b in zip(ours[key], theirs[key], strict=False):
        if a != b:
            which = next(k for k in a if a[k] != b.get(k))
            return f"{a['name']} has {which} {a[which]}, and the folder's {b['name']} {b.get(which)}"
    return f"it has {len(ours[key])} stages, and the folder {len(theirs[key])}"
