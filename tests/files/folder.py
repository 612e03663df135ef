"""Hugging Face folders made in a test: safetensors byte by byte, and a llama of one layer to change."""

import json
import struct

import numpy as np

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4,
    "intermediate_size": 6,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": 5,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}
SHAPES = {
    "model.embed_tokens.weight": (5, 4),
    "model.layers.0.input_layernorm.weight": (4,),
    "model.layers.0.self_attn.q_proj.weight": (4, 4),
    "model.layers.0.self_attn.k_proj.weight": (4, 4),
    "model.layers.0.self_attn.v_proj.weight": (4, 4),
    "model.layers.0.self_attn.o_proj.weight": (4, 4),
    "model.layers.0.post_attention_layernorm.weight": (4,),
    "model.layers.0.mlp.gate_proj.weight": (6, 4),
    "model.layers.0.mlp.up_proj.weight": (6, 4),
    "model.layers.0.mlp.down_proj.weight": (4, 6),
    "model.norm.weight": (4,),
}
DTYPES = {"float32": "F32", "float16": "F16", "uint8": "U8", "int64": "I64", "float64": "F64"}


def arrays(shapes=SHAPES, dtype=np.float32):
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def header_of(tensors):
    """The header's dict of arrays that lie one behind the other, and their bytes. BF16 is said by ("BF16", uint16)."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        dtype, array = tensor if isinstance(tensor, tuple) else (DTYPES[tensor.dtype.name], tensor)
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return header, data


def joined(header, data=b"", length=None):
    """The bytes of a file; `header` is a dict or already text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def safetensors(tensors):
    return joined(*header_of(tensors))


def write(folder, config=None, weights=None, **changes):
    """The llama as a folder: `weights` bytes in place of its own, `changes` to config.json (None: the key goes)."""
    folder.mkdir(exist_ok=True)
    if config is None:
        config = {key: value for key, value in (CONFIG | changes).items() if value is not None}
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    (folder / "config.json").write_bytes(text)
    (folder / "model.safetensors").write_bytes(safetensors(arrays()) if weights is None else weights)
    return folder


def write_shards(folder, shards, weight_map=None, **changes):
    """`shards`: file name -> tensors; the index is what it should be unless `weight_map` is given."""
    write(folder, **changes)
    (folder / "model.safetensors").unlink()
    for name, tensors in shards.items():
        (folder / name).write_bytes(safetensors(tensors))
    if weight_map is None:
        weight_map = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def tensors_of(path):
    """What header_of() takes, of a file: BF16 as uint16."""
    data = path.read_bytes()
    start = 8 + struct.unpack_from("<Q", data)[0]
    numpy = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "U8": np.uint8}
    out = {}
    for name, it in json.loads(data[8:start]).items():
        if name != "__metadata__":
            raw = data[start:][slice(*it["data_offsets"])]
            out[name] = it["dtype"], np.frombuffer(raw, numpy[it["dtype"]]).reshape(it["shape"])
    return out
