"""Writing GGUF files: metadata and tensors as Python has them, with the file's types inferred or said."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cutaway import _core
from cutaway.errors import ArgumentError

_METADATA = {"int8": "i8", "uint8": "u8", "int16": "i16", "uint16": "u16", "int32": "i32", "uint32": "u32"}
_METADATA |= {"int64": "i64", "uint64": "u64", "float32": "f32", "float64": "f64", "bool": "bool"}
_TENSORS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "float64": "f64"}
_TENSORS |= {"int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64"}


def write_gguf(path: str | os.PathLike[str], metadata: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
    """Write a GGUF v3 file that `ct.load` and `ct.inspect` accept: complete under its name, or the old file stays.

    metadata: values by key. bool, int, float, str and sequences of them become bool, u32 (where it does not fit: i32,
        u64, i64; in arrays i32 first), f32 and string; NumPy scalars and arrays keep their dtype; `("u16", 3)` or
        `("f64[]", [..])` says the type: u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 bool string. `general.alignment` is
        obeyed.
    tensors: by name, either an array [slowest axis, ..., fastest axis] of float32, float16, bfloat16 (or a type that we
        store but do not compute with), or `(format, shape, blocks)` with the stored bytes as uint8, for example
        `("q4_1", (8, 64), blocks)`.

    Raises ArgumentError for names, types, shapes or sizes that do not fit; SaveError when the disk says no.
    """
    values = [(key, *_typed(key, value)) for key, value in metadata.items()]
    _core.write_gguf(path, values, [(name, *_stored(name, tensor)) for name, tensor in tensors.items()])


def _typed(key: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        kind, value = value
        return kind, value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.name not in _METADATA or value.ndim > 1:
            raise ArgumentError(
                f"write_gguf: {key} is a {value.dtype} array of rank {value.ndim}, expected one axis of numbers"
            )
        return _METADATA[value.dtype.name] + "[]" * value.ndim, value.tolist()
    if isinstance(value, str | bytes):
        return "string", value
    if isinstance(value, Sequence):
        return _element_type(key, value) + "[]", value
    return _scalar_type(key, value), value


def _scalar_type(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return "f32"
    if isinstance(value, int):
        if value >= 0:
            return "u32" if value < 2**32 else "u64"
        return "i32" if value >= -(2**31) else "i64"
    raise ArgumentError(
        f"write_gguf: {key} is a {type(value).__name__}, expected bool, int, float, str or a sequence of one"
    )


def _element_type(key: str, values: Sequence[Any]) -> str:
    if not values:
        raise ArgumentError(f"write_gguf: {key} is empty; say its type: ('string[]', [])")
    if all(isinstance(value, str | bytes) for value in values):
        return "string"
    if all(isinstance(value, bool) for value in values):
        return "bool"
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "i32" if all(-(2**31) <= value < 2**31 for value in values) else "i64" if min(values) < 0 else "u64"
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return "f32"
    raise ArgumentError(f"write_gguf: {key} mixes types, expected all bool, all numbers or all str")


def _stored(name: str, tensor: Any) -> tuple[str, list[int], np.ndarray]:
    if isinstance(tensor, tuple):
        if len(tensor) != 3:
            raise ArgumentError(
                f"write_gguf: tensor {name} is a tuple of {len(tensor)}, expected (format, shape, blocks)"
            )
        kind, shape, blocks = tensor
        try:
            shape = [operator.index(n) for n in shape]
            blocks = blocks if isinstance(blocks, np.ndarray) else np.frombuffer(blocks, np.uint8)
        except TypeError as error:
            raise ArgumentError(f"write_gguf: tensor {name}: {error}, expected (format, shape, blocks)") from None
        if blocks.dtype != np.uint8:
            raise ArgumentError(f"write_gguf: tensor {name} has blocks of {blocks.dtype}, expected uint8")
        return kind, shape, np.ascontiguousarray(blocks).reshape(-1)
    array = np.asarray(tensor)
    if array.dtype.name not in _TENSORS:
        raise ArgumentError(f"write_gguf: tensor {name} is {array.dtype}, expected one of {', '.join(_TENSORS)}")
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    shape = [int(n) for n in array.shape]
    return _TENSORS[array.dtype.name], shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8)
