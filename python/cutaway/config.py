"""Config: a model's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Config:
    """The model's numbers, under the names TransformerLens uses; `.gguf` is the file's own metadata."""

    def __init__(self, core: dict[str, Any], metadata: Mapping[str, Any]) -> None:
        self.arch, self.name = core["arch"], core["name"]
        self.n_layers, self.d_model, self.d_mlp = core["L"], core["D"], core["F"]
        self.n_heads, self.n_key_value_heads, self.d_head = core["H"], core["G"], core["E"]
        self.d_vocab, self.n_ctx, self.eps = core["V"], core["context"], core["eps"]
        self.rope_base, self.rope_width = core["rope_base"], core["rope_width"]
        self.gguf = metadata

    def __repr__(self) -> str:
        return "Config(" + ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k != "gguf") + ")"
