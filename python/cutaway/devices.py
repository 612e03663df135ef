"""Where models can run: the CPU, and the CUDA devices or the reason why there is none."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from cutaway import _core


@dataclass(frozen=True)
class Device:
    """A place for `ct.load(device=name)`, or, where `reason` says something, what is missing for it."""

    name: str  # "cpu", "cuda:0"; "cuda" where there is none
    description: str  # "NVIDIA H100 80GB HBM3, compute capability 9.0"
    bytes: int = 0  # of its own memory; 0 for the CPU
    reason: str = ""  # why it cannot be used

    @property
    def available(self) -> bool:
        return not self.reason


def devices() -> list[Device]:
    """The CPU, then every CUDA device, or one entry that says why there is none.

    Using a CUDA device starts CUDA in this process, and so does listing them: do neither before fork().

    Raises ForkedProcessError in a process forked after that, DeviceLostError after a device broke."""
    found = _core.cuda_devices()
    out = [Device("cpu", f"{_core.cpu()}, {_core.cores()} cores, target {_core.default_target()}")]
    for i, d in enumerate(found["devices"]):
        capability = f"{d['major']}.{d['minor']}"
        out.append(Device(f"cuda:{i}", f"{d['name']}, compute capability {capability}", d["bytes"]))
    if found["reason"]:
        out.append(Device("cuda", "", reason=found["reason"]))
    return out


def point_to_cublas() -> None:
    """Shows the CUDA library the cuBLAS of the package nvidia-cublas (extra `cuda`), if that is installed."""
    spec = importlib.util.find_spec("nvidia")
    for place in (spec and spec.submodule_search_locations) or ():
        for folder in ("cu13/lib", "cublas/lib"):
            if any(Path(place, folder).glob("libcublas.so.1[23]")):
                _core.look_for_cublas_in(str(Path(place, folder)))
                return
