"""config.json as transformers itself reads it: short ones, drawn at random, mean the same numbers to both; and models
that it saves give the same logits here.
"""

import json
import math

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core

pytestmark = pytest.mark.peers("transformers")
transformers = pytest.importorskip("transformers", reason="extra `peers`: transformers")

COMMON = {
    "num_hidden_layers": [1, 2, 7],
    "hidden_size": [64, 128],
    "intermediate_size": [32, 96],
    "num_attention_heads": [2, 4],
    "num_key_value_heads": [1, 2],
    "head_dim": [16, 32],
    "max_position_embeddings": [256, 4096],
    "rms_norm_eps": [1e-5, 3e-6],
    "vocab_size": [11],
    "tie_word_embeddings": [True, False],
    "rope_theta": [5000.0, 1e6],
}
WINDOWS = {"use_sliding_window": [True, False], "sliding_window": [8, 64], "max_window_layers": [0, 1, 5]}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
STRETCHED = [None, {"type": "linear", "factor": 2.0}, YARN, YARN | {"beta_fast": 20, "attention_factor": 1.5}]
STRETCHED += [LLAMA3, LLAMA3 | {"original_max_position_embeddings": 100}]
WITHOUT_HEAD_DIM = {k: v for k, v in COMMON.items() if k != "head_dim"}
CHOICES = {
    "gpt2": {
        "n_layer": [1, 3],
        "n_embd": [48, 96],
        "n_head": [2, 4],
        "n_inner": [None, 40],
        "n_positions": [32],
        "layer_norm_epsilon": [1e-6],
        "vocab_size": [11],
    },
    "llama": COMMON | {"rope_scaling": STRETCHED, "attention_bias": [True], "mlp_bias": [True]},
    "qwen2": WITHOUT_HEAD_DIM | WINDOWS | {"rope_scaling": STRETCHED},
    "qwen3": COMMON | WINDOWS | {"rope_scaling": STRETCHED, "attention_bias": [True, False]},
    "phi3": WITHOUT_HEAD_DIM
    | {"sliding_window": [16, None], "original_max_position_embeddings": [64], "partial_rotary_factor": [0.5]},
    "gemma3_text": COMMON
    | {
        "sliding_window": [8, 512],
        "sliding_window_pattern": [2, 3],
        "query_pre_attn_scalar": [12, 100],
        "rope_local_base_freq": [2000.0],
        "final_logit_softcapping": [30.0],
        "rope_scaling": [None, {"rope_type": "linear", "factor": 8.0}],
    },
    "gpt_oss": COMMON
    | {
        "num_local_experts": [4, 8],
        "num_experts_per_tok": [2],
        "sliding_window": [16],
        "rope_scaling": [None, YARN, YARN | {"truncate": False, "beta_slow": 2.0}],
    },
}


def head_width(c, heads, width):
    return getattr(c, "head_dim", None) or width // heads


def shapes(kind, c):
    """Every tensor of a model that transformers' config describes."""
    if kind == "gpt2":
        D, F = c.n_embd, c.n_inner or 4 * c.n_embd
        out = {
            "wte.weight": (c.vocab_size, D),
            "wpe.weight": (c.n_positions, D),
            "ln_f.weight": (D,),
            "ln_f.bias": (D,),
        }
        for i in range(c.n_layer):
            linear = {"attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D), "mlp.c_fc": (D, F), "mlp.c_proj": (F, D)}
            for name, (n, m) in linear.items():
                out |= {f"h.{i}.{name}.weight": (n, m), f"h.{i}.{name}.bias": (m,)}
            out |= {f"h.{i}.{norm}.{part}": (D,) for norm in ("ln_1", "ln_2") for part in ("weight", "bias")}
        return out
    D, F, H, G = c.hidden_size, c.intermediate_size, c.num_attention_heads, c.num_key_value_heads
    E = head_width(c, H, D)
    out = {"model.embed_tokens.weight": (c.vocab_size, D), "model.norm.weight": (D,)}
    if not c.tie_word_embeddings:
        out["lm_head.weight"] = (c.vocab_size, D)
    for i in range(c.num_hidden_layers):
        layer = {"input_layernorm.weight": (D,), "post_attention_layernorm.weight": (D,)}
        layer |= {"self_attn.o_proj.weight": (D, H * E)}
        rows = {"q": H * E, "k": G * E, "v": G * E}
        if kind == "phi3":
            layer |= {"self_attn.qkv_proj.weight": (sum(rows.values()), D), "mlp.gate_up_proj.weight": (2 * F, D)}
        else:
            layer |= {f"self_attn.{letter}_proj.weight": (n, D) for letter, n in rows.items()}
        if kind == "qwen2" or getattr(c, "attention_bias", False):
            layer |= {f"self_attn.{letter}_proj.bias": (n,) for letter, n in rows.items()}
            layer |= {} if kind == "qwen2" else {"self_attn.o_proj.bias": (D,)}
        if kind in ("qwen3", "gemma3_text"):
            layer |= {"self_attn.q_norm.weight": (E,), "self_attn.k_norm.weight": (E,)}
        if kind == "gemma3_text":
            layer |= {"pre_feedforward_layernorm.weight": (D,), "post_feedforward_layernorm.weight": (D,)}
        if kind == "gpt_oss":
            X = c.num_local_experts
            layer |= {"self_attn.sinks": (H,), "mlp.router.weight": (X, D), "mlp.router.bias": (X,)}
            layer |= {"mlp.experts.gate_up_proj": (X, D, 2 * F), "mlp.experts.gate_up_proj_bias": (X, 2 * F)}
            layer |= {"mlp.experts.down_proj": (X, F, D), "mlp.experts.down_proj_bias": (X, D)}
        else:
            layer["mlp.down_proj.weight"] = (D, F)
            names = () if kind == "phi3" else ("gate", "up")
            layer |= {f"mlp.{name}_proj.weight": (F, D) for name in names}
            if getattr(c, "mlp_bias", False):
                layer |= {"mlp.gate_proj.bias": (F,), "mlp.up_proj.bias": (F,), "mlp.down_proj.bias": (D,)}
        out |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    return out


def hollow(path, tensors):
    """A safetensors file of bfloat16 zeros that takes no room on the disk."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)


def check_rope(value, rope):
    """`value(key)` of our file against transformers' parameters of one kind of layer."""
    assert value("rope.freq_base") == np.float32(rope["rope_theta"])
    kind = rope["rope_type"]
    assert value("rope.scaling.type", "default") == (kind if kind in ("linear", "yarn") else "default")
    if kind in ("linear", "yarn"):
        assert value("rope.scaling.factor") == rope["factor"]
    if kind == "yarn":
        assert value("rope.scaling.original_context_length") == rope["original_max_position_embeddings"]
        assert value("rope.scaling.yarn_beta_fast") == (rope.get("beta_fast") or 32)
        assert value("rope.scaling.yarn_beta_slow") == (rope.get("beta_slow") or 1)
        assert value("rope.scaling.yarn_truncate") == rope.get("truncate", True)
        own = 0.1 * math.log(rope["factor"]) + 1
        factor = value("rope.scaling.attn_factor", 1.0) * own
        assert factor == pytest.approx(rope.get("attention_factor") or own, rel=1e-7)


def llama3_factors(rope, width):
    """modeling_rope_utils.py's rule, in float64."""
    f = rope["rope_theta"] ** (-np.arange(0, width, 2) / width)
    old, low, high = (rope[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
    wave = 2 * np.pi / f
    smooth = (old / wave - low) / (high - low)
    middle = 1 / ((1 - smooth) / rope["factor"] + smooth)
    return np.where(wave > old / low, rope["factor"], np.where(wave < old / high, 1.0, middle))


def drawn(folder, kind, seed):
    """Writes a config.json with some of the keys; what transformers makes of it. Draws again what no model has."""
    random = np.random.default_rng([seed, len(kind)])
    while True:
        text = {"model_type": kind}
        for key, values in CHOICES[kind].items():
            if random.random() < (0.35, 0.75)[seed % 2] or key == "vocab_size":
                text[key] = values[random.integers(len(values))]
        (folder / "config.json").write_text(json.dumps(text))
        c = transformers.AutoConfig.from_pretrained(folder)
        heads, width = (c.n_head, c.n_embd) if kind == "gpt2" else (c.num_attention_heads, c.hidden_size)
        E, groups = head_width(c, heads, width), getattr(c, "num_key_value_heads", heads)
        if heads % groups == 0 and (getattr(c, "head_dim", None) or width % heads == 0) and E % 4 == 0:
            return c


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", CHOICES)
def test_a_short_config_means_the_same(tmp_path, kind, seed):
    c = drawn(tmp_path, kind, seed)
    heads, width = (c.n_head, c.n_embd) if kind == "gpt2" else (c.num_attention_heads, c.hidden_size)
    groups, E = getattr(c, "num_key_value_heads", heads), head_width(c, heads, width)
    hollow(tmp_path / "model.safetensors", shapes(kind, c))
    file = _core.open_model(tmp_path)
    arch = {"gemma3_text": "gemma3", "gpt_oss": "gpt-oss"}.get(kind, kind)
    own = {k.removeprefix(arch + "."): file.value(k) for k in file.keys}
    value = lambda key, fallback=None: own.get(key, fallback)

    assert file.warnings == [] and value("vocab_size") == c.vocab_size
    assert value("block_count") == (c.n_layer if kind == "gpt2" else c.num_hidden_layers)
    assert value("context_length") == (c.n_positions if kind == "gpt2" else c.max_position_embeddings)
    assert value("embedding_length") == width and value("attention.head_count") == heads
    if kind == "gpt2":
        assert value("attention.layer_norm_epsilon") == np.float32(c.layer_norm_epsilon)
        assert value("feed_forward_length") == (c.n_inner or 4 * c.n_embd)
        return
    assert value("feed_forward_length") == c.intermediate_size and value("attention.head_count_kv") == groups
    assert value("attention.key_length") == value("attention.value_length") == E
    assert value("attention.layer_norm_rms_epsilon") == np.float32(c.rms_norm_eps)
    assert ("output.weight" in {t.name for t in file.tensors}) == (not c.tie_word_embeddings)

    rope = c.rope_parameters["full_attention"] if kind == "gemma3_text" else c.rope_parameters
    turned = int(E * rope.get("partial_rotary_factor", 1.0)) if kind == "phi3" else E
    assert value("rope.dimension_count") == turned
    check_rope(value, rope)
    if rope["rope_type"] == "llama3":
        np.testing.assert_allclose(file.raw("rope_freqs.weight").view("f4"), llama3_factors(rope, E), rtol=1e-7)
    if kind == "gemma3_text":
        assert value("rope.freq_base_swa") == c.rope_parameters["sliding_attention"]["rope_theta"]
        assert value("attention.scale") == pytest.approx(c.query_pre_attn_scalar**-0.5, rel=1e-15)
        assert value("final_logit_softcapping") == c.final_logit_softcapping
    if kind == "phi3":
        assert value("attention.sliding_window") == (c.sliding_window or 0)
        assert value("rope.scaling.original_context_length") == c.original_max_position_embeddings
    elif kind != "llama":
        windowed = [t == "sliding_attention" for t in c.layer_types]
        if any(windowed) or kind in ("gemma3_text", "gpt_oss"):
            assert value("attention.sliding_window_pattern") == windowed
            assert value("attention.sliding_window") == c.sliding_window
        else:
            assert value("attention.sliding_window") is None
    if kind == "gpt_oss":
        assert (value("expert_count"), value("expert_used_count")) == (c.num_local_experts, c.num_experts_per_tok)
        assert value("expert_feed_forward_length") == c.intermediate_size


@pytest.mark.parametrize("kind", CHOICES)
def test_nothing_said_at_all(tmp_path, kind):
    """config.json holds the model's kind; every number is a default. The file would have up to 230 GB."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    hollow(tmp_path / "model.safetensors", shapes(kind, transformers.AutoConfig.from_pretrained(tmp_path)))
    assert not _core.open_model(tmp_path).warnings


# --- whole models -----------------------------------------------------------------------------------------------------

SMALL = {"num_hidden_layers": 3, "hidden_size": 64, "intermediate_size": 48, "num_attention_heads": 4}
SMALL |= {"num_key_value_heads": 2, "head_dim": 32, "vocab_size": 97, "max_position_embeddings": 128}
SMALL |= {"n_layer": 3, "n_embd": 64, "n_head": 4, "n_positions": 128, "num_local_experts": 8}
SMALL |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", CHOICES)
def test_a_model_saved_by_transformers(tmp_path, kind, seed, dtype):
    """Random weights in random configurations, saved in shards of twenty kilobytes."""
    torch = pytest.importorskip("torch", reason="extra `peers`: torch")
    random = np.random.default_rng([seed, len(kind), 7])
    text = dict(SMALL)
    for key, values in CHOICES[kind].items():
        if key not in SMALL and random.random() < 0.6:
            text[key] = values[random.integers(len(values))]
    if kind in ("qwen2", "phi3"):  # whose heads have no width of their own
        del text["head_dim"]
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(kind, **text)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(0.0, 0.3)
            weight += float("norm" in name or ".ln_" in name) * (kind != "gemma3_text")
    model.to(getattr(torch, dtype)).save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ids = random.integers(0, 97, 60)
    with torch.no_grad():
        model = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path, dtype=torch.float32, attn_implementation="eager"
        )
        theirs = model(torch.tensor(ids[None])).logits[0].numpy()
    ours = ct.load(tmp_path, numerics="exact").run(ids)[0]
    # Both in float32: worst seen 5.7e-5 (gpt-oss), 1.2e-5 without it.
    assert np.abs(ours - theirs).max() < 2e-4 * np.abs(theirs).max()
