"""The straight-line models by architecture, and what they refuse: one place, so that the essays stay essays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from cutaway.errors import ArgumentError, ContextLengthExceeded, InvalidTokenId, UnsupportedModelError
from cutaway.reference import gemma3, gpt2, gpt_oss, llama, phi3, qwen2, qwen3

architectures = {
    "gpt2": gpt2.run,
    "llama": llama.run,
    "qwen2": qwen2.run,
    "qwen3": qwen3.run,
    "phi3": phi3.run,
    "gemma3": gemma3.run,
    "gpt-oss": gpt_oss.run,
}


def run(metadata: Mapping[str, Any], weights: Mapping[str, Any], ids: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Every activation of one sequence in float64, by stage name (indices of experts in int64).

    There is no batch axis; scores and pattern are [head, query, key].

    metadata: GGUF keys to values
    weights: GGUF tensor names to arrays of floats, rows of a matrix being its outputs; dequantised by the caller
    ids: token ids [T], T >= 1

    Raises
        UnsupportedModelError: no straight-line model of this architecture or of a feature that its metadata asks for
        ArgumentError: no ids
        InvalidTokenId: an id outside the embedding
        ContextLengthExceeded: more tokens than GPT-2 has positions
    """
    name = metadata.get("general.architecture")
    if name not in architectures:
        raise UnsupportedModelError(
            f"architecture {name!r} has no straight-line model; there are {', '.join(architectures)}"
        )
    if name != "gpt-oss" and metadata.get(f"{name}.expert_count", 0):
        raise UnsupportedModelError(
            f"{name}.expert_count is {metadata[f'{name}.expert_count']}, expected a dense model"
        )
    scaling = metadata.get(f"{name}.rope.scaling.type", "linear")
    if scaling not in ("none", "linear", "yarn", "longrope"):
        raise UnsupportedModelError(
            f"{name}.rope.scaling.type is {scaling!r}, expected none, linear, yarn or longrope; llama3's factors are a "
            "tensor, rope_freqs.weight"
        )
    if scaling == "longrope" and "rope_factors_long.weight" not in weights:
        raise UnsupportedModelError(f"{name}.rope.scaling.type is longrope, and rope_factors_long.weight is missing")
    if metadata.get(f"{name}.attn_logit_softcapping", 0):
        raise UnsupportedModelError(f"{name}.attn_logit_softcapping is set, expected scores without a soft cap")
    if len(ids) == 0:
        raise ArgumentError("ids is empty, expected at least one token")
    V = len(weights["token_embd.weight"])
    for index, value in enumerate(ids):
        if not 0 <= value < V:
            raise InvalidTokenId(f"ids[{index}] is {value}, expected 0 <= id < {V}", index=index, value=int(value))
    if "position_embd.weight" in weights and len(ids) > len(weights["position_embd.weight"]):
        most = len(weights["position_embd.weight"])
        raise ContextLengthExceeded(f"{len(ids)} tokens, the model has {most} positions", length=len(ids), max=most)
    return architectures[name](metadata, weights, ids)
