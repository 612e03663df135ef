"""config.json, old and new, whole and short, and what it may not say."""

import json
import math

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core
from cutaway.errors import ConfigError, LimitExceededError, MappingError, UnsupportedModelError
from files.folder import SHAPES, arrays, safetensors, tensors_of, write

MODELS = ["gpt2", "llama", "llama-k", "llama3-rope", "qwen2", "qwen3", "phi3", "phi3-longrope", "gemma3"]
MODELS += ["gemma3-short", "gpt-oss"]


def metadata(folder):
    return {k: v for k, v in _core.open_model(folder).metadata.items() if k != "general.name"}


@pytest.fixture
def again(tmp_path, tiny):
    """A tiny model's folder with its config.json changed; None takes a key away."""

    def copy(name, config="hf/config.json", **changes):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        text = json.loads((tiny(name) / config).read_text()) | changes
        (folder / "config.json").write_text(json.dumps({k: v for k, v in text.items() if v is not ...}))
        if not (folder / "model.safetensors").exists():
            (folder / "model.safetensors").symlink_to(tiny(name) / "hf/model.safetensors")
        return folder

    return copy


@pytest.mark.parametrize("name", MODELS)
def test_the_older_spelling_says_the_same(tiny, again, name):
    old = json.loads((tiny(name) / "config-v4.json").read_text())
    assert "rope_parameters" not in old and "torch_dtype" in old
    new = metadata(tiny(name) / "hf")
    assert metadata(again(name, "config-v4.json")) == new and len(new) > 9


@pytest.mark.parametrize(
    "name, keys, same",
    [
        ("gpt2", ["n_inner", "layer_norm_epsilon", "activation_function", "tie_word_embeddings", "n_ctx"], True),
        ("llama", ["head_dim", "hidden_act", "attention_bias", "mlp_bias", "tie_word_embeddings", "vocab_size"], True),
        ("qwen2", ["use_sliding_window", "layer_types", "sliding_window", "max_window_layers", "rms_norm_eps"], True),
        ("qwen3", ["attention_bias", "layer_types", "hidden_act", "rms_norm_eps"], True),
        ("phi3", ["sliding_window", "rms_norm_eps", "tie_word_embeddings", "rope_parameters"], True),
        ("gemma3", ["hidden_activation", "layer_types", "rms_norm_eps", "rope_parameters"], True),
        ("gpt-oss", ["layer_types", "rms_norm_eps", "attention_bias", "swiglu_limit", "num_experts_per_tok"], True),
        ("llama", ["rope_parameters"], {"llama.rope.freq_base": 10000.0}),
        ("llama-k", ["rms_norm_eps"], {"llama.attention.layer_norm_rms_epsilon": float(np.float32(1e-6))}),
        ("llama", ["max_position_embeddings"], {"llama.context_length": 2048}),
        ("gemma3", ["sliding_window"], {"gemma3.attention.sliding_window": 4096}),
        ("gemma3", ["query_pre_attn_scalar"], {"gemma3.attention.scale": 1 / 16}),
        ("gpt-oss", ["sliding_window"], {"gpt-oss.attention.sliding_window": 128}),
        ("gpt-oss", ["max_position_embeddings"], {"gpt-oss.context_length": 131072}),
        (
            "gpt-oss",
            ["rope_parameters"],
            {"gpt-oss.rope.freq_base": 150000.0, "gpt-oss.rope.scaling.factor": 32.0,
             "gpt-oss.rope.scaling.original_context_length": 4096},
        ),
    ],
)  # fmt: skip
def test_keys_left_out_have_the_defaults_of_transformers(tiny, again, name, keys, same):
    whole, short = metadata(tiny(name) / "hf"), metadata(again(name, **dict.fromkeys(keys, ...)))
    assert short == (whole if same is True else whole | same)


def test_null_is_not_absent(again):
    with pytest.raises(ConfigError, match="k_proj.* by the numbers of config.json"):  # null: as many as heads
        metadata(again("qwen2", num_key_value_heads=None))
    with pytest.raises(ConfigError, match="sliding_window is null"):
        metadata(again("gemma3", sliding_window=None))
    whole = metadata(again("gemma3", sliding_window=None, layer_types=["full_attention"] * 7))
    assert whole["gemma3.attention.sliding_window"] == 0


# --- rope -------------------------------------------------------------------------------------------------------------


def rope_of(folder, arch):
    return {k[len(arch) + 6 :]: v for k, v in metadata(folder).items() if k.startswith(arch + ".rope.")}


def test_linear(again):
    for spelling in ({"rope_parameters": {"rope_type": "linear", "factor": 4, "rope_theta": 5000}},
                     {"rope_parameters": ..., "rope_theta": 5000, "rope_scaling": {"type": "linear", "factor": 4.0}},
                     {"rope_parameters": {"rope_theta": 1}, "rope_theta": 5000,
                      "rope_scaling": {"type": "dynamic", "rope_type": "linear", "factor": 4.0}}):  # fmt: skip
        wanted = {"dimension_count": 16, "freq_base": 5000.0, "scaling.type": "linear", "scaling.factor": 4.0}
        assert rope_of(again("llama", **spelling), "llama") == wanted


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
def test_yarn(again, name):
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
    rope = rope_of(again(name, rope_scaling=scaling), name)
    assert rope["scaling.type"] == "yarn" and rope["scaling.factor"] == 4 and rope["scaling.yarn_truncate"] is True
    assert rope["scaling.original_context_length"] == 128 and "scaling.attn_factor" not in rope
    assert (rope["scaling.yarn_beta_fast"], rope["scaling.yarn_beta_slow"]) == (32, 1)
    del scaling["original_max_position_embeddings"]
    rope = rope_of(again(name, rope_scaling=scaling | {"beta_fast": 16, "truncate": False}), name)
    assert rope["scaling.original_context_length"] == 512
    assert rope["scaling.yarn_beta_fast"] == 16 and rope["scaling.yarn_truncate"] is False


@pytest.mark.parametrize(
    "said, factor",
    [({"attention_factor": 1.25}, 1.25), ({"mscale": 1.0, "mscale_all_dim": 0.5}, None), ({"mscale": 1.0}, 1)],
)
def test_yarn_attention_factor(again, said, factor):
    """GGUF's attn_factor comes on top of YaRN's own; the product is what config.json says."""
    own = 0.1 * math.log(8) + 1
    factor = factor if factor != 1 else own
    factor = factor or own / (0.05 * math.log(8) + 1)
    scaling = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "truncate": False} | said
    rope = rope_of(again("gpt-oss", rope_parameters=scaling), "gpt-oss")
    assert rope.get("scaling.attn_factor", 1.0) * own == pytest.approx(factor, rel=1e-7)


def test_longrope_of_phi3s_first_releases(again, tiny):
    new = json.loads((tiny("phi3-longrope") / "hf/config.json").read_text())["rope_parameters"]
    lists = {"short_factor": new["short_factor"], "long_factor": new["long_factor"]}
    for name in ("su", "yarn", "longrope"):
        old = again("phi3-longrope", rope_parameters=..., rope_scaling={"type": name, **lists})
        assert metadata(old) == metadata(tiny("phi3-longrope") / "hf")
    file = _core.open_model(old)
    assert np.array_equal(file.raw("rope_factors_long.weight").view("f4"), np.float32(lists["long_factor"]))
    for factor, said in ((2.0, math.sqrt(1 + math.log(2) / math.log(128))), (1.0, 1.0)):
        rope = rope_of(again("phi3-longrope", rope_parameters=new | {"factor": factor}), "phi3")
        assert rope["scaling.attn_factor"] == pytest.approx(said, rel=1e-7)
    rope = rope_of(again("phi3-longrope", rope_parameters=new | {"attention_factor": 1.5}), "phi3")
    assert rope["scaling.attn_factor"] == 1.5


def test_part_of_a_head_is_turned(again):
    rope = {"rope_theta": 10000.0, "rope_type": "default"}
    for spelling in ({"rope_parameters": rope | {"partial_rotary_factor": 0.75}}, {"partial_rotary_factor": 0.75,
                     "rope_parameters": rope}, {"rope_parameters": ..., "partial_rotary_factor": 0.75}):  # fmt: skip
        assert metadata(again("phi3", **spelling))["phi3.rope.dimension_count"] == 24


@pytest.mark.parametrize("factors", [[1.0] * 15, [1.0] * 17, [1.0] * 15 + [0.0], [1.0] * 15 + ["1"], "1", ...])
def test_bad_factors(again, tiny, factors):
    good = json.loads((tiny("phi3-longrope") / "hf/config.json").read_text())["rope_parameters"]
    bad = {k: v for k, v in (good | {"long_factor": factors}).items() if v is not ...}
    with pytest.raises(ConfigError, match="long_factor.*16 numbers above 0"):
        metadata(again("phi3-longrope", rope_parameters=bad))


@pytest.mark.parametrize(
    "name, rope, kind, words",
    [
        (
            "llama",
            {"rope_type": "dynamic", "factor": 2.0},
            UnsupportedModelError,
            "dynamic.*supported: default, linear",
        ),
        ("llama", {"rope_type": "mrope"}, UnsupportedModelError, "mrope"),
        ("phi3", {"rope_type": "linear", "factor": 2.0}, UnsupportedModelError, "linear.*supported: default, longrope"),
        ("gemma3", {"full_attention": {"rope_type": "yarn"}}, UnsupportedModelError, "yarn"),
        ("gemma3", {"sliding_attention": {"rope_type": "linear", "factor": 2}}, UnsupportedModelError, "sliding"),
        ("qwen3", {"full_attention": {"rope_type": "default"}}, UnsupportedModelError, "one for all layers"),
        ("llama", {"rope_type": "linear"}, ConfigError, "factor is absent"),
        ("llama", {"rope_type": "linear", "factor": 0}, ConfigError, "factor is 0"),
        ("llama", {"rope_type": "linear", "factor": -1.5}, ConfigError, "above 0"),
        ("llama", {"rope_type": "linear", "factor": "2"}, ConfigError, "a string"),
        ("llama", {"rope_type": "yarn", "factor": 0.5}, ConfigError, "at least 1"),
        ("llama", {"rope_theta": 0}, ConfigError, "rope_theta"),
        ("llama", {"rope_type": 3}, ConfigError, "rope_type is an integer"),
        ("llama", [1], ConfigError, "rope_parameters is a list"),
        ("llama", {"partial_rotary_factor": 0.5}, UnsupportedModelError, "partial_rotary_factor"),
        ("llama3-rope", {"rope_type": "llama3", "factor": 8.0}, ConfigError, "low_freq_factor is absent"),
        (
            "llama3-rope",
            {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4, "high_freq_factor": 4},
            ConfigError,
            "below high_freq_factor",
        ),
    ],
)
def test_refused_rope(again, name, rope, kind, words):
    with pytest.raises(kind, match=words):
        metadata(again(name, rope_parameters=rope))


# --- windows ----------------------------------------------------------------------------------------------------------


def test_qwens_window(again):
    assert "qwen2.attention.sliding_window" not in metadata(again("qwen2", sliding_window=32))
    on = dict(use_sliding_window=True, sliding_window=32, max_window_layers=1)
    found = metadata(again("qwen2", **on, layer_types=...))
    assert found["qwen2.attention.sliding_window"] == 32
    assert found["qwen2.attention.sliding_window_pattern"] == [False, True, True, True]
    found = metadata(again("qwen3", **on, layer_types=["sliding_attention", "full_attention"] * 2))
    assert found["qwen3.attention.sliding_window_pattern"] == [True, False, True, False]


def test_gemmas_pattern(again):
    found = metadata(again("gemma3", layer_types=..., sliding_window_pattern=3))
    assert found["gemma3.attention.sliding_window_pattern"] == [True, True, False, True, True, False, True]
    assert metadata(again("gemma3", final_logit_softcapping=30.0))["gemma3.final_logit_softcapping"] == 30.0


@pytest.mark.parametrize(
    "types, kind", [(["full_attention"] * 6, ConfigError), ("full_attention", ConfigError),
                    ([1] * 7, UnsupportedModelError), (["chunked_attention"] * 7, UnsupportedModelError)]
)  # fmt: skip
def test_refused_layer_types(again, types, kind):
    with pytest.raises(kind, match="layer_types"):
        metadata(again("gemma3", layer_types=types))


# --- what kind of model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model."])
def test_a_multimodal_gemma3(tmp_path, tiny, prefix):
    """The text part has its own config, with only what differs from the defaults, and a prefix to its names."""
    text = json.loads((tiny("gemma3") / "config-v4.json").read_text())
    for key in ("hidden_activation", "rms_norm_eps", "rope_theta", "rope_local_base_freq", "tie_word_embeddings"):
        del text[key]
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}
    stored = tensors_of(tiny("gemma3") / "hf/model.safetensors")
    stored = {prefix + name.removeprefix("model."): it for name, it in stored.items()}
    stored["vision_tower.x.weight"] = np.zeros((2, 2), np.float32)
    stored["lm_head.weight"] = np.zeros((1024, 64), np.float32)  # the head is tied: not even looked at
    folder = write(tmp_path / "m", config=config, weights=safetensors(stored))
    mine, whole = _core.open_model(folder), _core.open_model(tiny("gemma3") / "hf")
    assert metadata(folder) == metadata(tiny("gemma3") / "hf")
    assert all(np.array_equal(mine.raw(t.name), whole.raw(t.name)) for t in whole.tensors)
    assert mine.warnings == ["1 tensors belong to no part of the model that is run: vision_tower.x.weight"]


def test_what_the_published_gemma_3_4b_says(tmp_path):
    """Its text_config has these keys only (with larger numbers); the others have the defaults."""
    text = {"hidden_size": 64, "intermediate_size": 128, "model_type": "gemma3_text", "num_hidden_layers": 2}
    text |= {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}
    stored = {"language_model.model.embed_tokens.weight": np.zeros((8, 64), np.float16)}
    with pytest.raises(MappingError, match="layers.0.input_layernorm.weight is missing"):
        _core.open_model(write(tmp_path / "m", config=config, weights=safetensors(stored)))
    text["num_hidden_layers"] = 1
    shapes = {"input_layernorm": 64, "post_attention_layernorm": 64, "pre_feedforward_layernorm": 64}
    shapes |= {"post_feedforward_layernorm": 64, "self_attn.q_norm": 256, "self_attn.k_norm": 256}
    shapes |= {"self_attn.q_proj": (2048, 64), "self_attn.k_proj": (1024, 64), "self_attn.v_proj": (1024, 64)}
    shapes |= {"self_attn.o_proj": (64, 2048), "mlp.gate_proj": (128, 64), "mlp.up_proj": (128, 64)}
    shapes |= {"mlp.down_proj": (64, 128)}
    for name, shape in shapes.items():
        stored[f"language_model.model.layers.0.{name}.weight"] = np.zeros(shape, np.float16)
    stored["language_model.model.norm.weight"] = np.zeros(64, np.float16)
    found = metadata(write(tmp_path / "m", config=config, weights=safetensors(stored)))
    assert {k.removeprefix("gemma3."): v for k, v in found.items() if k.startswith("gemma3.")} == {
        "block_count": 1,
        "context_length": 131072,
        "embedding_length": 64,
        "feed_forward_length": 128,
        "attention.head_count": 8,
        "attention.head_count_kv": 4,
        "attention.key_length": 256,
        "attention.value_length": 256,
        "attention.layer_norm_rms_epsilon": float(np.float32(1e-6)),
        "attention.scale": 1 / 16,
        "attention.sliding_window": 1024,
        "attention.sliding_window_pattern": [True],
        "rope.dimension_count": 256,
        "rope.freq_base": 1e6,
        "rope.freq_base_swa": 1e4,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": 8.0,
        "vocab_size": 8,
    }


def test_names_without_a_prefix(tmp_path, tiny):
    """GPT-2 as published, its causal masks stored beside the weights; a llama saved without its head."""
    stored = {k.removeprefix("transformer."): it for k, it in tensors_of(tiny("gpt2") / "hf/model.safetensors").items()}
    stored |= {f"h.{i}.attn.bias": np.zeros((1, 1, 512, 512), np.uint8) for i in range(4)}
    stored |= {f"h.{i}.attn.masked_bias": np.zeros((), np.float32) for i in range(4)}
    config = json.loads((tiny("gpt2") / "hf/config.json").read_text())
    mine = _core.open_model(write(tmp_path / "m", config=config, weights=safetensors(stored)))
    whole = _core.open_model(tiny("gpt2") / "hf")
    assert all(np.array_equal(mine.raw(t.name), whole.raw(t.name)) for t in whole.tensors) and not mine.warnings
    stored = {k.removeprefix("model."): it for k, it in arrays().items()}
    assert len(_core.open_model(write(tmp_path / "n", weights=safetensors(stored))).tensors) == len(SHAPES)


def test_the_first_name_of_llama(tmp_path):
    assert _core.open_model(write(tmp_path / "m", architectures=["LLaMAForCausalLM"])).tensors


def test_the_head(tmp_path):
    weights = arrays() | {"lm_head.weight": np.ones((5, 4), np.float32)}
    names = lambda **changes: [
        t.name for t in _core.open_model(write(tmp_path / "m", weights=safetensors(weights), **changes)).tensors
    ]
    assert "output.weight" in names(tie_word_embeddings=False)
    assert "output.weight" in names(tie_word_embeddings=None)  # llama's default
    assert "output.weight" not in names(tie_word_embeddings=True)
    del weights["lm_head.weight"]
    assert "output.weight" not in names(tie_word_embeddings=False)
    assert any("tied to the embedding" in w for w in ct.inspect(tmp_path / "m").warnings)


def test_biases_where_the_config_says_so(tmp_path):
    at = "model.layers.0."
    biases = {at + "self_attn.q_proj.bias": 4, at + "self_attn.k_proj.bias": 4, at + "self_attn.v_proj.bias": 4}
    biases |= {at + "self_attn.o_proj.bias": 4}
    mlp = {at + "mlp.gate_proj.bias": 6, at + "mlp.up_proj.bias": 6, at + "mlp.down_proj.bias": 4}
    folder = tmp_path / "m"
    write(folder, weights=safetensors(arrays(SHAPES | biases | mlp)), attention_bias=True, mlp_bias=True)
    file = _core.open_model(folder)
    assert sum(t.name.endswith(".bias") for t in file.tensors) == 7 and not file.warnings
    assert [t.format for t in file.tensors if t.name.endswith(".bias")] == ["f32"] * 7
    write(folder, weights=safetensors(arrays(SHAPES | biases)))
    assert "4 tensors belong to no part" in _core.open_model(folder).warnings[0]
    with pytest.raises(MappingError, match="gate_proj.bias is missing"):
        _core.open_model(write(folder, weights=safetensors(arrays(SHAPES | biases)), mlp_bias=True))


@pytest.mark.parametrize(
    "changes, kind, words",
    [
        ({"model_type": "mistral"}, UnsupportedModelError, 'model_type is "mistral"; supported: gpt2, llama, qwen2'),
        ({"quantization": {"bits": 4, "group_size": 64}}, UnsupportedModelError, 'quantization is "mlx"'),
        ({"quantization_config": {"bits": 4, "group_size": 64}}, UnsupportedModelError, "absent, as in mlx"),
        ({"model_type": "mixtral\x1b[2J"}, UnsupportedModelError, "mixtral"),
        ({"model_type": None, "architectures": ["BloomForCausalLM"]}, UnsupportedModelError, "BloomForCausalLM"),
        ({"model_type": None, "architectures": None}, UnsupportedModelError, "architectures"),
        ({"architectures": ["LlamaForSequenceClassification"]}, UnsupportedModelError, "supported: GPT2LMHeadModel"),
        ({"architectures": ["Qwen2ForCausalLM"]}, UnsupportedModelError, "architectures"),
        ({"architectures": "LlamaForCausalLM"}, ConfigError, "a string, expected a list"),
        ({"architectures": []}, ConfigError, "expected a list that begins"),
        ({"model_type": 3}, ConfigError, "model_type is an integer"),
        ({"hidden_act": "gelu"}, UnsupportedModelError, 'hidden_act is "gelu"; supported: silu'),
        ({"quantization_config": {"quant_method": "gptq"}}, UnsupportedModelError, "gptq"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, UnsupportedModelError, "mxfp4"),
        ({"num_hidden_layers": 0}, ConfigError, "num_hidden_layers is 0, expected 1 to 4096"),
        ({"num_hidden_layers": 1.0}, ConfigError, "num_hidden_layers is a number"),
        ({"num_hidden_layers": "1"}, ConfigError, "num_hidden_layers is a string"),
        ({"num_hidden_layers": -1}, ConfigError, "num_hidden_layers is -1"),
        ({"hidden_size": 2**40}, ConfigError, "hidden_size"),
        ({"num_attention_heads": 3}, ConfigError, "a divisor of hidden_size = 4"),
        ({"num_attention_heads": 2, "num_key_value_heads": 4}, ConfigError, "num_key_value_heads is 4"),
        ({"head_dim": 3}, ConfigError, "an even number"),
        ({"rms_norm_eps": 0}, ConfigError, "rms_norm_eps is 0"),
        ({"vocab_size": 0}, ConfigError, "vocab_size is 0"),
        ({"tie_word_embeddings": 1}, ConfigError, "tie_word_embeddings is an integer, expected true or false"),
        ({"text_config": {"hidden_size": 8}}, None, ""),  # is gemma3's only
    ],
)
def test_refused(tmp_path, changes, kind, words):
    folder = write(tmp_path / "m", **changes)
    if kind is None:
        assert _core.open_model(folder)
        return
    with pytest.raises(kind, match=words) as caught:
        _core.open_model(folder)
    assert type(caught.value) is kind and "config.json" in caught.value.message and caught.value.message.isprintable()


@pytest.mark.parametrize(
    "name, changes, words",
    [
        ("gpt2", {"activation_function": "gelu"}, 'activation_function is "gelu"; supported: gelu_new'),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights"),
        ("gemma3", {"hidden_activation": "silu"}, "hidden_activation"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ("gpt-oss", {"swiglu_limit": 6.0}, "swiglu_limit"),
        ("gpt-oss", {"attention_bias": False}, "attention_bias"),
        ("gpt-oss", {"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
    ],
)
def test_refused_for_one_kind(again, name, changes, words):
    with pytest.raises(UnsupportedModelError, match=words):
        metadata(again(name, **changes))


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b'{"a": NaN}', b"\xff", b'{"a": 1, "a": 1}', b"[" * 1000])
def test_no_config(tmp_path, text):
    with pytest.raises((ConfigError, LimitExceededError), match="config.json"):
        _core.open_model(write(tmp_path / "m", config=text))


def test_a_config_of_any_size(tmp_path):
    with pytest.raises(LimitExceededError, match="config.json has"):
        _core.open_model(write(tmp_path / "m", config=b" " * ((16 << 20) + 1)))


def test_a_model_of_eight_bit_experts_is_refused(tmp_path, tiny):
    stored = tensors_of(tiny("gpt-oss") / "hf-mxfp4/model.safetensors")
    name = "model.layers.1.mlp.experts.down_proj_scales"
    stored[name] = "F8_E4M3", stored[name][1]
    folder = write(
        tmp_path / "m", json.loads((tiny("gpt-oss") / "hf-mxfp4/config.json").read_text()), safetensors(stored)
    )
    with pytest.raises(UnsupportedModelError, match=r"down_proj_scales \(F8_E4M3\); expected F32, F16 or BF16, and U8"):
        _core.open_model(folder)
