"""The straight-line models against transformers on random weights: what the stored models do not have, such as biases
everywhere, heads wider than D / H, one key/value head, linear scaling.
"""

import numpy as np
import pytest
from cutaway.reference import witness

pytestmark = pytest.mark.peers("torch", "transformers")
torch = pytest.importorskip("torch", reason="extra `peers`: torch")
transformers = pytest.importorskip("transformers", reason="extra `peers`: transformers")

IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 58, 0, 7]
LAYER = {
    "gpt2": {
        "ln_1": "attn_norm",
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    },
    "llama": {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    },
}
OUTER = {
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


@pytest.fixture(autouse=True)
def all_in_double(monkeypatch):
    """transformers goes to float32 by name in its norms, softmax and rope tables: let the name mean float64."""
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch, "float", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def built(config):
    """A transformers model with random weights, norms and biases far from neutral."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for name, p in model.named_parameters():
        if p.ndim == 1:
            p.data.normal_(1.0 if "norm.weight" in name or "ln_" in name and name.endswith("weight") else 0.0, 0.3)
        else:
            p.data.normal_(0, p.shape[-1] ** -0.5)
    return model


def gguf_weights(kind, model, heads):
    """Names and orders as the converter writes them: Conv1D transposed, q and k rows interleaved."""
    out = {}
    for name, p in model.state_dict().items():
        stem, last = name.rsplit(".", 1)
        w = p.numpy()
        if stem in OUTER:
            out[f"{OUTER[stem]}.{last}"] = w
            continue
        i, part = stem.removeprefix("transformer.h.").removeprefix("model.layers.").split(".", 1)
        target = LAYER[kind][part]
        if kind == "gpt2" and w.ndim == 2:
            w = w.T
        if target in ("attn_q", "attn_k"):
            w = w.reshape(heads[target], 2, -1, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)
        out[f"blk.{i}.{target}.{last}"] = w
    if model.config.tie_word_embeddings:
        del out["output.weight"]
    return out


def compare(kind, model, metadata, heads=None):
    seen = {}
    blocks = model.transformer.h if kind == "gpt2" else model.model.layers
    for i, block in enumerate(blocks):
        part = block.attn if kind == "gpt2" else block.self_attn
        part.register_forward_hook(lambda m, args, out, i=i: seen.update({f"blocks.{i}.attn.out": out[0]}))
        block.mlp.register_forward_hook(lambda m, args, out, i=i: seen.update({f"blocks.{i}.mlp.out": out}))
        if kind == "llama":
            part.q_proj.register_forward_hook(lambda m, args, out, i=i: seen.update({f"blocks.{i}.attn.q": out}))
            part.k_proj.register_forward_hook(lambda m, args, out, i=i: seen.update({f"blocks.{i}.attn.k": out}))
    with torch.no_grad():
        out = model(torch.tensor([IDS]), output_hidden_states=True, output_attentions=True, use_cache=False)
    seen |= {f"blocks.{i}.resid_pre": h for i, h in enumerate(out.hidden_states[:-1])}
    seen |= {f"blocks.{i}.attn.pattern": p for i, p in enumerate(out.attentions)}
    seen |= {"ln_final.out": out.hidden_states[-1], "logits": out.logits}
    metadata = {f"{kind}.{key}": value for key, value in metadata.items()} | {"general.architecture": kind}
    ours = witness.run(metadata, gguf_weights(kind, model, heads), IDS)
    for stage, theirs in seen.items():
        theirs = theirs[0].numpy().reshape(ours[stage].shape)
        worst = np.abs(ours[stage] - theirs).max() / np.abs(theirs).max()
        assert worst < 6e-15, (stage, worst)  # worst seen 1.9e-15


@pytest.mark.parametrize("tied", [True, False])
def test_gpt2(tied):
    config = transformers.GPT2Config(
        vocab_size=61,
        n_positions=32,
        n_embd=48,
        n_layer=3,
        n_head=4,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
    )
    metadata = {
        "block_count": 3,
        "embedding_length": 48,
        "attention.head_count": 4,
        "attention.layer_norm_epsilon": 1e-5,
    }
    compare("gpt2", built(config), metadata)


@pytest.mark.parametrize("scaling", [None, 4.0])
@pytest.mark.parametrize("H, G, E", [(4, 4, 12), (6, 2, 8), (3, 1, 32)])
def test_llama(H, G, E, scaling):
    rope = {"rope_type": "linear", "factor": scaling} if scaling else {"rope_type": "default"}
    config = transformers.LlamaConfig(
        vocab_size=61,
        hidden_size=48,
        intermediate_size=72,
        num_hidden_layers=3,
        num_attention_heads=H,
        num_key_value_heads=G,
        head_dim=E,
        max_position_embeddings=64,
        rms_norm_eps=1e-6,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=G == 2,
        rope_parameters=rope | {"rope_theta": 3000.0},
    )
    metadata = {
        "block_count": 3,
        "embedding_length": 48,
        "attention.head_count": H,
        "attention.head_count_kv": G,
        "attention.key_length": E,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 3000.0,
        **({"rope.scaling.type": "linear", "rope.scaling.factor": scaling} if scaling else {}),
    }
    compare("llama", built(config), metadata, {"attn_q": H, "attn_k": G})
