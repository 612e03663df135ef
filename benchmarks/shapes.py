"""GGUF files of real models' shapes with random weights, for speed: `benchmarks/shapes.py [NAME...] [--out DIR]`.

Speed needs a model's shape, not its sense. Weights are normal, scaled so that every stage stays near 1, routers spread
their choices, and the same name gives the same bytes. A tokenizer goes along, so that llama.cpp loads the files too.
They are written once, to $XDG_CACHE_HOME/cutaway/shapes or --out: 3.4 GB in all, half a minute."""

from __future__ import annotations

import argparse
import lzma
import os
import tempfile
import time
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cutaway as ct
import numpy as np
from cutaway import _core
from cutaway.quantize import FILE_TYPES, Places

VOCAB = Path(__file__).parents[1] / "tests" / "data" / "vocab"
POOL = 4096  # rows that are quantised; a larger tensor takes its rows from them, each many times
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cutaway" / "shapes"

# Of gpt-oss-20b everything is as published but the number of layers (24) and, by about as much, the vocabulary
# (201088), so that the head keeps its share of a token. tiny-moe has a third of the width and half as many experts.
OSS = dict(arch="gpt-oss", D=2880, H=64, G=8, E=64, F=2880, X=32, A=4, L=4, V=25136, format="mxfp4", vocab="gpt-2")
QWEN = dict(arch="qwen2", L=24, D=896, H=14, G=2, E=64, F=4864, V=151936, vocab="qwen2")
SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-0.5b-q8_0": QWEN | dict(format="q8_0"),
    "qwen2.5-0.5b-q4_k_m": QWEN | dict(format="q4_k_m"),
    "gpt2-124m-f16": dict(arch="gpt2", L=12, D=768, H=12, G=12, E=64, F=3072, V=50257, format="f16", vocab="gpt-2"),
    "gpt2-124m-q8_0": dict(arch="gpt2", L=12, D=768, H=12, G=12, E=64, F=3072, V=50257, format="q8_0", vocab="gpt-2"),
    "tiny-moe-mxfp4": OSS | dict(D=960, H=16, G=4, F=960, X=16, L=8),
    "mid-moe-mxfp4": OSS,
}


def metadata(name: str, s: SimpleNamespace) -> dict[str, Any]:
    """What a converter writes for this architecture, and the tokenizer."""
    keys: dict[str, Any] = {
        "block_count": s.L, "context_length": 1024 if s.arch == "gpt2" else 4096, "embedding_length": s.D,
        "feed_forward_length": s.F, "attention.head_count": s.H,
    }  # fmt: skip
    if s.arch == "gpt2":
        keys["attention.layer_norm_epsilon"] = 1e-5
    else:
        keys |= {"attention.head_count_kv": s.G, "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 1e6}
    if s.arch == "gpt-oss":
        keys |= {
            "attention.key_length": s.E, "attention.value_length": s.E, "attention.sliding_window": 128,
            "expert_count": s.X, "expert_used_count": s.A, "expert_feed_forward_length": s.F,
            "rope.freq_base": 150000.0,
            "rope.scaling.type": "yarn", "rope.scaling.factor": 32.0, "rope.scaling.original_context_length": 4096,
            "rope.scaling.yarn_truncate": True,  # ours alone: llama.cpp always rounds the ramp's ends
        }  # fmt: skip
    general = {"general.architecture": s.arch, "general.name": name, "general.file_type": FILE_TYPES[s.format]}
    general["general.quantization_version"] = 2
    return general | {f"{s.arch}.{key}": value for key, value in keys.items()} | tokenizer(s)


def tokenizer(s: SimpleNamespace) -> dict[str, Any]:
    """A real byte-level vocabulary's first V entries, or all and unused ones behind; a prefix is a vocabulary too, as
    merge i makes entry 256 + i."""
    with tempfile.NamedTemporaryFile(suffix=".gguf") as plain:
        plain.write(lzma.decompress((VOCAB / f"{s.vocab}.gguf.xz").read_bytes()))
        plain.flush()
        file = _core.open_gguf(plain.name, header_only=True)
        keys = {k: (file.types[k], v) for k, v in file.metadata.items() if k.startswith("tokenizer.")}
    tokens = list(keys["tokenizer.ggml.tokens"][1])
    kinds = list(keys["tokenizer.ggml.token_type"][1])
    merges = list(keys["tokenizer.ggml.merges"][1])
    missing = max(0, s.V - len(tokens))
    tokens = (tokens + [f"<|unused_{i}|>" for i in range(missing)])[: s.V]
    kinds = (kinds + [5] * missing)[: s.V]  # 5: unused
    have = set(tokens)
    merges = [m for m in merges if m.replace(" ", "") in have and all(part in have for part in m.split(" "))]
    keys["tokenizer.ggml.tokens"] = ("string[]", tokens)
    keys["tokenizer.ggml.token_type"] = ("i32[]", kinds)
    keys["tokenizer.ggml.merges"] = ("string[]", merges)
    for key in [k for k in keys if k.endswith("_token_id")]:
        keys[key] = ("u32", min(int(keys[key][1]), s.V - 1))
    return keys


def tensors(s: SimpleNamespace) -> dict[str, tuple[list[int], float, float]]:
    """Shape [slowest, ..., fastest], mean and deviation of every tensor, by its name."""
    D, F, Q, KV = s.D, s.F, s.H * s.E, s.G * s.E
    out: dict[str, tuple[list[int], float, float]] = {}
    norms = ["attn_norm", "ffn_norm"] if s.arch != "gpt-oss" else ["attn_norm", "post_attention_norm"]

    def norm(name: str) -> None:
        out[f"{name}.weight"] = ([D], 1.0, 0.1)
        if s.arch == "gpt2":
            out[f"{name}.bias"] = ([D], 0.0, 0.1)

    def matrix(name: str, shape: list[int], bias: bool, gain: float = 1.0) -> None:
        out[f"{name}.weight"] = (shape, 0.0, gain / shape[-1] ** 0.5)
        if bias:
            out[f"{name}.bias"] = (shape[:-1], 0.0, 0.1)

    tied = s.arch != "gpt-oss"
    out["token_embd.weight"] = ([s.V, D], 0.0, 3 / D**0.5 if tied else 1.0)  # tied: logits of deviation 3
    if s.arch == "gpt2":
        out["position_embd.weight"] = ([1024, D], 0.0, 1 / D**0.5)
    small = 1 / (2 * s.L) ** 0.5  # what the layers add together stays near what came in
    for i in range(s.L):
        blk = f"blk.{i}."
        norm(blk + norms[0])
        if s.arch == "gpt2":
            matrix(blk + "attn_qkv", [3 * D, D], True)
        else:
            for part, width in (("q", Q), ("k", KV), ("v", KV)):
                matrix(f"{blk}attn_{part}", [width, D], True)
        matrix(blk + "attn_output", [D, Q], s.arch != "qwen2", small)
        norm(blk + norms[1])
        if s.arch == "gpt-oss":
            out[blk + "attn_sinks.weight"] = ([s.H], 0.0, 1.0)
            matrix(blk + "ffn_gate_inp", [s.X, D], True, 2.0)
            matrix(blk + "ffn_gate_exps", [s.X, F, D], True)
            matrix(blk + "ffn_up_exps", [s.X, F, D], True)
            matrix(blk + "ffn_down_exps", [s.X, D, F], True, small)
        else:
            if s.arch == "qwen2":
                matrix(blk + "ffn_gate", [F, D], False)
            matrix(blk + "ffn_up", [F, D], s.arch == "gpt2")
            matrix(blk + "ffn_down", [D, F], s.arch == "gpt2", small)
    norm("output_norm")
    if not tied:
        matrix("output", [s.V, D], False, 3.0)
    return out


def formats_of(s: SimpleNamespace, shapes: dict[str, tuple[list[int], float, float]]) -> dict[str, str]:
    """As the quantiser places them; MXFP4 for experts alone, everything else Q8_0, as gpt-oss is published."""
    rest = "q8_0" if s.format == "mxfp4" else s.format
    listed = [SimpleNamespace(name=n, shape=v[0], format="f32") for n, v in shapes.items()]
    values = {"general.architecture": s.arch, f"{s.arch}.block_count": s.L}
    places = Places(SimpleNamespace(value=values.get, tensors=listed), rest)
    out = {t.name: places.format_of(t)[0] for t in listed}
    out |= {n: s.format for n in out if "_exps.weight" in n}
    return out | {n: "f32" for n in out if n == "position_embd.weight"}


def rows(rng: np.random.Generator, kept: dict[Any, np.ndarray], format: str, n: int, K: int, std: float) -> np.ndarray:
    """n random rows of K, packed. Beyond POOL they come from a pool; a head's few repetitions only tie some logits."""
    if n <= POOL:
        return ct.pack(format, rng.standard_normal((n, K), np.float32) * np.float32(std))
    if (format, K, std) not in kept:
        kept[format, K, std] = ct.pack(format, rng.standard_normal((POOL, K), np.float32) * np.float32(std))
    return kept[format, K, std][rng.integers(0, POOL, n)]


def make(name: str, folder: Path = FOLDER) -> Path:
    """The file of a shape, written unless it is there."""
    path = folder / f"{name}.gguf"
    if path.exists():
        return path
    s = SimpleNamespace(**SHAPES[name])
    folder.mkdir(parents=True, exist_ok=True)
    rng, kept, shapes = np.random.default_rng(zlib.crc32(name.encode())), {}, tensors(s)
    stored = {}
    for tensor, format in formats_of(s, shapes).items():
        shape, mean, std = shapes[tensor]
        if len(shape) == 1 or format == "f32":
            stored[tensor] = (mean + std * rng.standard_normal(shape)).astype(np.float32)
        else:
            stored[tensor] = (format, shape, rows(rng, kept, format, int(np.prod(shape[:-1])), shape[-1], std))
    ct.write_gguf(path, metadata(name, s), stored)
    return path


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("names", nargs="*", help=f"default all: {', '.join(SHAPES)}")
    p.add_argument("--out", type=Path, default=FOLDER)
    args = p.parse_args()
    for name in args.names or SHAPES:
        started = time.perf_counter()
        path = make(name, args.out)
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
