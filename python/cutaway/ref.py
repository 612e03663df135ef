"""Every op's reference in NumPy, float64: `ref.rms_norm(x, w, eps=1e-6)`. The definition that kernels are held to.

The files are cutaway/kernels/<op>/<op>.py: short, meant to be read, and an edit needs no rebuild.
"""

from __future__ import annotations

from typing import Any

from cutaway import ops


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return ops.definition(name).reference


def __dir__() -> list[str]:
    return sorted(ops._TABLE)
