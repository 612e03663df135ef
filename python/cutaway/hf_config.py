"""GGUF's metadata as config.json: csrc/load/hf_config.cpp and hf_rope.cpp read backwards.

What comes out is read by those two again, and must give the same graph, number by number (ct.to_hf): so what this page
does not know to say is refused, not lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from cutaway import _core
from cutaway.errors import UnsupportedOperation
from cutaway.formats import unpack

CLASSES = {
    "gpt2": ("gpt2", "GPT2LMHeadModel"),
    "llama": ("llama", "LlamaForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
    "phi3": ("phi3", "Phi3ForCausalLM"),
    "gemma3": ("gemma3_text", "Gemma3ForCausalLM"),
    "gpt-oss": ("gpt_oss", "GptOssForCausalLM"),
}


def config_json(file: Any) -> dict[str, Any]:
    """config.json of a GGUF file. Raises UnsupportedOperation for what config.json has no words for."""
    c, names = _core.read_config(file), {t.name for t in file.tensors}
    arch = c["arch"]
    if arch not in CLASSES:
        raise UnsupportedOperation(f"{arch} has no config.json, expected one of {', '.join(CLASSES)}")
    kind, model_class = CLASSES[arch]
    out: dict[str, Any] = {"architectures": [model_class], "model_type": kind, "vocab_size": c["V"]}
    out["tie_word_embeddings"] = "output.weight" not in names
    if arch == "gpt2":
        return out | {
            "n_layer": c["L"], "n_embd": c["D"], "n_head": c["H"], "n_positions": c["context"], "n_inner": c["F"],
            "activation_function": "gelu_new", "layer_norm_epsilon": short(c["eps"]),
        }  # fmt: skip
    out |= {
        "num_hidden_layers": c["L"], "hidden_size": c["D"], "num_attention_heads": c["H"],
        "num_key_value_heads": c["G"], "head_dim": c["E"], "rms_norm_eps": short(c["eps"]),
        "intermediate_size": c["expert_F"] or c["F"], "max_position_embeddings": c["context"],
    }  # fmt: skip
    if arch == "gemma3":
        out["hidden_activation"] = "gelu_pytorch_tanh"
        out["query_pre_attn_scalar"] = _attention_scalar(file, c)
        for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
            value = _value(file, f"gemma3.{cap}")
            out[cap] = None if not value else short(value)
    else:
        out["hidden_act"] = "silu"
    if arch == "llama":
        out["attention_bias"] = "blk.0.attn_q.bias" in names
        out["mlp_bias"] = "blk.0.ffn_up.bias" in names
    if arch == "qwen3":
        out["attention_bias"] = "blk.0.attn_q.bias" in names
    if arch == "gpt-oss":
        out |= {"attention_bias": True, "num_local_experts": c["experts"], "num_experts_per_tok": c["experts_used"],
                "swiglu_alpha": 1.702, "swiglu_limit": 7.0}  # fmt: skip
    return out | _windows(c) | _rope(file, c)


def short(x: float) -> float:
    """The shortest number that is the same float32: 1e-05 for 9.999999747378752e-06."""
    return float(str(np.float32(x)))


def _value(file: Any, key: str) -> Any:
    return file.value(key) if key in file.keys else None


def _attention_scalar(file: Any, c: dict[str, Any]) -> float:
    scale = _value(file, "gemma3.attention.scale")
    return c["E"] if scale is None else round(scale**-2, 9)


def _windows(c: dict[str, Any]) -> dict[str, Any]:
    arch, windowed = c["arch"], c["windowed"]
    types = {"layer_types": ["sliding_attention" if w else "full_attention" for w in windowed]}
    window = c["window"] or None
    if arch == "phi3":
        return {"sliding_window": window}
    if arch in ("gemma3", "gpt-oss"):
        return {"sliding_window": window} | types
    if arch in ("qwen2", "qwen3") and any(windowed):
        first = windowed.index(True)
        return {"use_sliding_window": True, "sliding_window": window, "max_window_layers": first} | types
    return {"use_sliding_window": False} if arch in ("qwen2", "qwen3") else {}


def _rope(file: Any, c: dict[str, Any]) -> dict[str, Any]:
    arch = c["arch"]
    own = lambda name: _value(file, f"{arch}.rope.{name}")
    base, tensors = short(c["rope_base"]), {t.name for t in file.tensors}
    out: dict[str, Any] = {"rope_theta": base}
    original = own("scaling.original_context_length")
    kind = own("scaling.type") or ("linear" if own("scale_linear") else "none")
    if "rope_freqs.weight" in tensors:
        return out | {"rope_scaling": llama3_scaling(_factors(file, "rope_freqs.weight"), base, c["rope_width"])}
    if arch == "phi3":
        out["original_max_position_embeddings"] = original or c["context"]
        if c["rope_width"] != c["E"]:
            out["partial_rotary_factor"] = c["rope_width"] / c["E"]
    if "rope_factors_long.weight" in tensors:
        scaling: dict[str, Any] = {
            "rope_type": "longrope",
            "long_factor": [short(x) for x in _factors(file, "rope_factors_long.weight")],
            "short_factor": [short(x) for x in _factors(file, "rope_factors_short.weight")],
        }
        if (said := own("scaling.attn_factor")) is not None:
            scaling["attention_factor"] = short(said)
        if arch != "phi3":
            scaling["original_max_position_embeddings"] = original
        out["rope_scaling"] = scaling
    elif kind == "yarn":
        factor = short(own("scaling.factor"))
        scaling = {
            "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original,
            "beta_fast": short(own("scaling.yarn_beta_fast") or 32.0),
            "beta_slow": short(own("scaling.yarn_beta_slow") or 1.0),
        }  # fmt: skip
        truncate = own("scaling.yarn_truncate")
        scaling["truncate"] = arch != "gpt-oss" if truncate is None else truncate
        if (said := own("scaling.attn_factor")) is not None:
            scaling["attention_factor"] = said * (0.1 * float(np.log(factor)) + 1)
        out["rope_scaling"] = scaling
    elif kind == "linear":
        out["rope_scaling"] = {"rope_type": "linear", "factor": short(own("scaling.factor") or own("scale_linear"))}
    elif kind != "none":
        raise UnsupportedOperation(f"rope.scaling.type is {kind!r}, which has no place in a {arch} config.json")
    if arch == "gemma3":
        out["rope_local_base_freq"] = short(own("freq_base_swa") or 10000.0)
    return out


def _factors(file: Any, name: str) -> np.ndarray:
    t = file.tensor(name)
    return unpack(t.format, file.raw(name))


def llama3_scaling(factors: np.ndarray, base: float, width: int) -> dict[str, Any]:
    """The numbers that llama3's factors were made of, found by trying: GGUF has the factors alone.

    Raises UnsupportedOperation where no numbers that models use give them."""
    waves = 2 * np.pi * base ** (2 * np.arange(width // 2) / width)
    for power in range(5, 21):
        for low, high in ((1.0, 4.0), (1.0, 2.0), (1.0, 8.0), (2.0, 4.0)):
            for factor in {short(float(factors.max())), 8.0, 32.0}:
                context = 2.0**power
                t = (context / waves - low) / (high - low)
                ramp = np.where(waves < context / high, 1.0, np.where(waves > context / low, factor, 0))
                made = np.where(ramp > 0, ramp, 1 / ((1 - t) / factor + t))
                if np.allclose(made, factors, rtol=1e-6, atol=0):
                    return {
                        "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                        "original_max_position_embeddings": int(context),
                    }  # fmt: skip
    raise UnsupportedOperation(
        "rope_freqs.weight holds factors that no numbers of rope type llama3 that we know give, and config.json has no "
        "place for the factors themselves",
        hint="convert from the folder that the model was published in",
    )
