"""Models that cannot be right (catalogue G29 to G33, Q01, Q04 to Q06): refused by name, or noticed where it shows."""

import cutaway as ct
import numpy as np
import pytest

TEXT = "And the LORD said"


class Parts:
    """A model file taken apart, to be changed and written again."""

    def __init__(self, path):
        file = ct._core.open_gguf(str(path))
        self.metadata = {key: (file.types[key], file.metadata[key]) for key in file.keys}
        self.tensors = {t.name: (t.format, tuple(t.shape), file.raw(t.name)) for t in file.tensors}

    def write(self, path):
        ct.write_gguf(path, self.metadata, self.tensors)
        return path

    def floats(self, name):
        """A tensor's float32 values, which may be changed in place."""
        fmt, shape, raw = self.tensors[name]
        assert fmt == "f32"
        raw = raw.copy()
        self.tensors[name] = (fmt, shape, raw)
        return raw.view(np.float32)


@pytest.fixture
def parts(data):
    return Parts(data / "tiny/llama/llama-F16.gguf")


def test_an_unchanged_copy_is_the_same_model(parts, data, tmp_path):
    copy = ct.load(parts.write(tmp_path / "copy.gguf"))
    assert copy.run(TEXT).tobytes() == ct.load(data / "tiny/llama/llama-F16.gguf").run(TEXT).tobytes()


@pytest.mark.parametrize("value", [None, ("string", ""), ("u32", 7), ("string", "mamba"), ("string", "x" * 2**20)])
def test_g29_architecture(parts, tmp_path, value):
    parts.metadata["general.architecture"] = value
    if value is None:
        del parts.metadata["general.architecture"]
    with pytest.raises(ct.errors.UnsupportedModelError, match="supported are ") as error:
        ct.load(parts.write(tmp_path / "bad.gguf"))
    assert len(error.value.message) < 1000


@pytest.mark.parametrize("kind", ["adapter", "mmproj", "imatrix"])
def test_what_goes_with_a_model(parts, tmp_path, kind):
    parts.metadata["general.type"] = ("string", kind)
    with pytest.raises(ct.errors.UnsupportedModelError, match=f'general.type is "{kind}"; supported is a model'):
        ct.load(parts.write(tmp_path / "bad.gguf"))


@pytest.mark.parametrize(
    "key, value",
    [
        ("attention.head_count", ("u32", 0)),
        ("attention.head_count", ("u32", 5)),
        ("attention.head_count_kv", ("u32", 0)),
        ("attention.head_count_kv", ("u32", 8)),
        ("attention.head_count_kv", ("u32", 3)),
        ("attention.head_count_kv", ("i32[]", [2, 2, 1, 2])),
        ("block_count", ("u32", 0)),
        ("block_count", ("u32", 10**9)),
        ("embedding_length", ("u32", 0)),
        ("feed_forward_length", ("u32", 0)),
        ("rope.dimension_count", ("u32", 15)),
        ("rope.dimension_count", ("u32", 18)),
        ("attention.layer_norm_rms_epsilon", ("f32", 0.0)),
        ("attention.layer_norm_rms_epsilon", ("f32", -1e-5)),
        ("attention.layer_norm_rms_epsilon", ("f32", float("nan"))),
        ("rope.freq_base", ("f32", 0.0)),
        ("rope.freq_base", ("f32", float("nan"))),
        ("rope.freq_base", ("string", "ten thousand")),
        ("context_length", ("u32", 0)),
        ("context_length", ("f32", 512.0)),
        ("attention.value_length", ("u32", 8)),
    ],
)
def test_g30_numbers(parts, tmp_path, key, value):
    if key == "attention.head_count":
        del parts.metadata["llama.attention.key_length"], parts.metadata["llama.attention.value_length"]
    parts.metadata[f"llama.{key}"] = value
    with pytest.raises(ct.errors.ConfigError, match=rf"llama\.{key}"):
        ct.load(parts.write(tmp_path / "bad.gguf"))


def test_g30_scaling_we_do_not_have(parts, tmp_path):
    parts.metadata["llama.rope.scaling.type"] = ("string", "dynamic")
    with pytest.raises(
        ct.errors.UnsupportedModelError, match=r'rope.scaling.type is "dynamic"; supported are none, lin'
    ):
        ct.load(parts.write(tmp_path / "bad.gguf"))


def test_g31_a_layer_is_missing(parts, tmp_path):
    parts.metadata["llama.block_count"] = ("u32", 5)
    with pytest.raises(ct.errors.MappingError, match=r"blk.4.attn_norm.weight is missing; the file has blk"):
        ct.load(parts.write(tmp_path / "bad.gguf"))


def test_g31_a_layer_is_not_counted(parts, tmp_path):
    parts.metadata["llama.block_count"] = ("u32", 3)
    with pytest.raises(ct.errors.MappingError, match=r"model with 3 layers uses blk.3.attn_norm.weight and 8 others"):
        ct.load(parts.write(tmp_path / "bad.gguf"))


def test_g31_a_tensor_that_the_graph_does_not_know(parts, tmp_path):
    parts.tensors["blk.1.attn_q_norm.weight"] = np.ones(16, np.float32)
    with pytest.raises(
        ct.errors.MappingError, match=r"no stage of a llama model .* uses blk.1.attn_q_norm.weight"
    ) as e:
        ct.load(parts.write(tmp_path / "bad.gguf"))
    assert e.value.details["tensor"] == "blk.1.attn_q_norm.weight"


def test_g31_a_tensor_is_transposed(parts, tmp_path):
    fmt, shape, raw = parts.tensors["blk.1.ffn_up.weight"]
    parts.tensors["blk.1.ffn_up.weight"] = (fmt, shape[::-1], raw)
    with pytest.raises(
        ct.errors.MappingError, match=r"blk.1.ffn_up.weight is \[64, 160\], expected \[160, 64\]"
    ) as error:
        ct.load(parts.write(tmp_path / "bad.gguf"))
    assert isinstance(error.value, KeyError)


def test_g31_a_norm_in_half_precision(parts, tmp_path):
    values = parts.floats("blk.0.attn_norm.weight").astype(np.float16)
    parts.tensors["blk.0.attn_norm.weight"] = values
    with pytest.raises(ct.errors.MappingError, match="blk.0.attn_norm.weight is f16, expected f32"):
        ct.load(parts.write(tmp_path / "bad.gguf"))


def test_g32_padded_vocabulary_is_never_sampled(parts, tmp_path):
    for name in ("token_embd.weight", "output.weight"):
        fmt, (rows, width), raw = parts.tensors[name]
        extra = np.full((8, width), 30, np.float16)  # such rows would win every draw
        parts.tensors[name] = (fmt, (rows + 8, width), np.concatenate([raw, extra.view(np.uint8).ravel()]))
    m = ct.load(parts.write(tmp_path / "padded.gguf"))
    out = m.generate(TEXT, max_new_tokens=8, temperature=1.0)
    assert m.cfg.d_vocab == 1032 and max(out.ids) < 1024


def test_g33_a_tied_head(parts, tmp_path):
    del parts.tensors["output.weight"]
    m = ct.load(parts.write(tmp_path / "tied.gguf"))
    assert m.graph["unembed.out"].weights[0].tensor == "token_embd.weight" and ct.compare(m, "numpy", TEXT)


def test_g33_a_head_that_differs_from_the_embedding_is_not_tied(parts, tmp_path):
    m = ct.load(parts.write(tmp_path / "both.gguf"))
    assert m.graph["unembed.out"].weights[0].tensor == "output.weight"


def test_q04_nan_in_a_norm_is_named_and_the_model_stays_usable(parts, tmp_path):
    parts.floats("blk.2.ffn_norm.weight")[5] = np.nan
    m = ct.load(parts.write(tmp_path / "nan.gguf"))
    with pytest.raises(ct.errors.NonFiniteError, match=r"blocks.2.ln2.out has NaN at token 0, channel 5") as error:
        m.run(TEXT, check="finite")
    assert error.value.details["stage"] == "blocks.2.ln2.out" and error.value.details["layer"] == 2
    with pytest.raises(ct.errors.NonFiniteError):
        m.generate(TEXT, max_new_tokens=3)
    logits, _ = m.run_with_cache(TEXT, "blocks.1.resid_post")
    assert np.isnan(logits).all()


def test_q04_nan_in_an_unused_row_harms_only_that_token(parts, tmp_path):
    fmt, shape, raw = parts.tensors["output.weight"]
    rows = raw.copy().view(np.float16).reshape(shape)
    rows[777] = np.nan
    parts.tensors["output.weight"] = (fmt, shape, rows.view(np.uint8).ravel())
    logits = ct.load(parts.write(tmp_path / "row.gguf")).run(TEXT)
    assert np.isnan(logits[..., 777]).all() and np.isfinite(np.delete(logits, 777, axis=-1)).all()


def test_q05_largest_weights_stay_finite_or_say_where_not(parts, tmp_path):
    fmt, shape, raw = parts.tensors["blk.0.ffn_down.weight"]
    huge = np.full(shape, 65504, np.float16)
    parts.tensors["blk.0.ffn_down.weight"] = (fmt, shape, huge.view(np.uint8).ravel())
    assert np.isfinite(ct.load(parts.write(tmp_path / "huge.gguf")).run(TEXT, check="finite")).all()


def test_q06_integers_where_a_matrix_should_be(parts, tmp_path):
    _, shape, _ = parts.tensors["blk.0.attn_q.weight"]
    parts.tensors["blk.0.attn_q.weight"] = np.zeros(shape, np.int32)
    with pytest.raises(ct.errors.UnsupportedModelError, match="blk.0.attn_q.weight"):
        ct.load(parts.write(tmp_path / "ints.gguf"))


def test_e001_to_e008_are_what_guides_say(data, tmp_path):
    m = ct.load(data / "tiny/llama/llama-F16.gguf", n_ctx=64)
    cases = [
        ("E001", lambda: ct.load(tmp_path / "absent.gguf")),
        ("E002", lambda: ct.load(__file__)),
        ("E007", lambda: m.run([1024])),
        ("E007", lambda: m.run([3, -1])),
        ("E008", lambda: m.run(b"\xff\xfe")),
    ]
    for code, call in cases:
        with pytest.raises(ct.errors.CutawayError) as error:
            call()
        assert error.value.code == code, error.value
    with pytest.raises(ct.errors.ContextLengthExceeded, match="64") as error:
        m.generate(list(range(40)), max_new_tokens=30)
    assert error.value.details == {"length": 70, "max": 64}
    assert np.isfinite(m.run(TEXT)).all()
