"""Every kernel, callable by name on NumPy arrays: `ops.rms_norm(x, w, eps=1e-6, target="avx2")`.

The functions are made from the core's own table of ops; arguments and defaults are those of the op's reference, the
docstring is the text above its declaration. `kernels("rms_norm")` lists what an op can run.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cutaway import _core, errors
from cutaway.devices import point_to_cublas

if TYPE_CHECKING:
    import inspect

_TABLE: dict[str, dict[str, Any]] = {op["name"]: op for op in _core.ops()}
MATRIX_OPS = ("matmul", "gated_matmul", "experts_matmul", "embed")  # their weights are matrices, in any format


class Stored:
    """A weight as a file stores it: a format and its rows, uint8 [N, row_bytes], of experts [X, N, row_bytes]. As an
    array it is float32 [N, K] or [X, N, K].

    `ops.matmul(x, ops.Stored("q4_1", raw))` multiplies with the packed codes; a plain array is stored as f32 or f16.

    values  float32 [N, K], unpacked
    packed  the rows in the layout that CPU kernels read
    spread  what one rounding of each element is measured against (see the format's `spread`)
    step    what one step of each element's code is (see `step` in kernels/formats/format.py)"""

    def __init__(self, format: str, raw: Any) -> None:
        from cutaway.kernels.formats import format as formats

        f = formats.module(format)
        self.format, self.raw = f.NAME, np.ascontiguousarray(raw, np.uint8)
        self.K = self.raw.shape[-1] // f.BLOCK_BYTES * f.BLOCK
        self.packed = _core.pack_weight(self.format, self.raw, self.K)
        self.values = f.unpack(self.raw)
        self.spread, self.step = f.spread(self.raw), formats.step(format, self.raw)
        self.shape, self.size = self.values.shape, self.values.size

    @classmethod
    def of(cls, w: Any) -> Stored:
        """The given weight, or a plain float array as one."""
        if isinstance(w, cls):
            return w
        array = np.ascontiguousarray(w, np.float16 if getattr(w, "dtype", None) == np.float16 else np.float32)
        if array.ndim not in (2, 3):
            raise errors.ShapeError(f"a weight has 2 axes [N, K], of experts 3 [X, N, K], got {list(array.shape)}")
        return cls("f16" if array.dtype == np.float16 else "f32", array.view(np.uint8))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values if dtype is None else self.values.astype(dtype)


def kernels(name: str, device: str | None = None) -> list[str]:
    """The kernels of an op that this machine runs: the CPU's, best first, then CUDA's where there is a device:
    `["matmul/avx512", ..., "matmul/scalar", "matmul/cuda", "matmul/cublas"]`. device: only "cpu" or only "cuda"."""
    if device not in (None, "cpu", "cuda"):
        raise errors.ArgumentError(f"device is {device!r}, expected None, 'cpu' or 'cuda'")
    runnable = _core.targets()
    cpu = [target for target in describe(name)["targets"] if target in runnable and device != "cuda"]
    cuda = _core.cuda_targets(name) if device != "cpu" else []
    return [f"{name}/{target}" for target in (*cpu, *cuda)]


def describe(name: str) -> dict[str, Any]:
    """The op's row in the core's table: reads, weights, attributes, targets, per_sequence."""
    if name in _TABLE:
        return _TABLE[name]
    import difflib  # here, because importing cutaway should be quick

    matches = difflib.get_close_matches(name, _TABLE, n=3)
    hint = f"did you mean {' or '.join(matches)}?" if matches else f"there are {', '.join(sorted(_TABLE))}"
    raise errors.UnknownOp(f"there is no op {name!r}", hint=hint, name=name, matches=matches)


def definition(name: str) -> Any:
    """The op's Python side, cutaway/kernels/<op>/<op>.py: reference, magnitude, cost, UNITS."""
    describe(name)
    return importlib.import_module(f"cutaway.kernels.{name}.{name}")


def arguments(name: str) -> list[str]:
    """The names of an op's reads and weights, then its attributes, in order."""
    op = describe(name)
    return [argument.removeprefix("?") for argument in (*op["reads"], *op["weights"], *op["attributes"])]


def formula(name: str) -> str:
    """The comment at the head of kernels/<op>/<op>.h: formula, source, shapes, what it refuses, cost."""
    header = Path(__file__).parent / "kernels" / name / f"{name}.h"
    lines = []
    for line in header.read_text(encoding="utf-8").splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:].removeprefix(" "))
    return "\n".join(lines)


def _signature(name: str) -> inspect.Signature:
    import inspect

    signature = inspect.signature(definition(name).reference)
    keyword = inspect.Parameter.KEYWORD_ONLY
    extra = [
        inspect.Parameter("target", keyword, default=None, annotation="str | None"),
        inspect.Parameter("threads", keyword, default=1, annotation="int"),
    ]
    return signature.replace(parameters=[*signature.parameters.values(), *extra])


@functools.cache
def _function(name: str) -> Any:
    op, signature = describe(name), _signature(name)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise errors.ArgumentError(f"{name}{signature}: {error}") from None
        bound.apply_defaults()
        given = bound.arguments
        reads = [given[argument.removeprefix("?")] for argument in op["reads"]]
        weights = [given[argument.removeprefix("?")] for argument in op["weights"]]
        if name in MATRIX_OPS:
            weights = [Stored.of(w).packed if a != "?bias" else w for a, w in zip(op["weights"], weights, strict=True)]
        attributes = {a: given[a] for a in (argument.removeprefix("?") for argument in op["attributes"])}
        if given["target"] == "cublas":
            point_to_cublas()
        out = _core.run_op(name, reads, weights, attributes, given["target"] or "", given["threads"])
        return out.view(definition(name).BLOCK)[..., 0] if name == "quantize_q8" else out

    call.__name__ = call.__qualname__ = name
    call.__doc__ = formula(name)
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return _function(describe(name)["name"])


def __dir__() -> list[str]:
    return sorted([*_TABLE, "kernels", "describe", "definition", "arguments", "formula"])
