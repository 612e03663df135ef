"""Numbers of other programs: transformers in float64 on the tiny models, and what is known of SmolLM2."""

import cutaway as ct
import numpy as np
import pytest

# What passes of the largest value, and of the mean NLL in nats; worst seen beside it. Plain float32 transformers is as
# far off as exact; fast keeps keys and values in float16 and rounds to 8 bits what meets quantised weights.
FLOATS = {"exact": (6e-6, 6e-7), "fast": (0.012, 0.002)}  # 2.8e-6, 2.0e-7; 0.0041, 5.9e-4
ROUNDED = {"exact": (2e-6, 8e-7), "fast": (0.03, 0.025)}  # 7.0e-7, 2.9e-7; 0.0097, 0.0087
ROUNDED_EXPERTS = {"exact": ROUNDED["exact"], "fast": (0.11, 0.06)}  # 0.039, 0.022: rounding moves a close choice
ROUTER = ("router_logits", "expert_indices", "expert_weights")
FLOAT_FILES = {
    "gpt2": "gpt2-F16",
    "llama": "llama-F16",
    "llama3-rope": "llama3-rope-BF16",
    "qwen2": "qwen2-F16",
    "qwen3": "qwen3-BF16",
    "phi3": "phi3-F16",
    "phi3-longrope": "phi3-longrope-BF16",
    "gemma3": "gemma3-BF16",
    "gpt-oss": "gpt-oss-BF16",
}
K_FILES = ["Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "IQ4_XS"]
QUANTISED = [f"llama-k/llama-k-{fmt}" for fmt in K_FILES] + ["gpt-oss/gpt-oss-MXFP4_MOE", "gpt-oss/gpt-oss-hf-mxfp4"]
PROMPTS = ("short", "mid", "long")


def golden_of(data, name, file="golden"):
    return np.load(data / "tiny" / name / f"{file}.npz")


@pytest.mark.parametrize("numerics", ["exact", "fast"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", FLOAT_FILES)
def test_stored_as_floats(data, name, prompt, numerics):
    m = ct.load(data / "tiny" / name / f"{FLOAT_FILES[name]}.gguf", numerics=numerics)
    golden = {k.removeprefix(f"{prompt}_"): v for k, v in golden_of(data, name).items() if k.startswith(prompt)}
    ids, at, blocks = golden["ids"], golden["hidden_at"], range(m.cfg.n_layers)
    logits, cache = m.run_with_cache(ids, None)
    stages = ["blocks.0.resid_pre", *(f"blocks.{i}.resid_post" for i in blocks)]
    off = {
        "logits": (logits[0][golden["logits_at"]], golden["logits"]),
        "hidden": (np.stack([cache[s][0][at] for s in stages]), golden["hidden"]),
        "final_norm": (cache["ln_final.out"][0][at], golden["final_norm"]),
        "token_nll": (-m.score(ids), golden["token_nll"]),
    }
    if name == "gpt-oss":
        moe = {s: np.stack([cache[f"blocks.{i}.moe.{s}"][0][at] for i in blocks]) for s in ROUTER}
        np.testing.assert_array_equal(moe["expert_indices"], golden["experts"])
        off["router_logits"] = moe["router_logits"], golden["router_logits"]
        off["expert_weights"] = moe["expert_weights"], golden["expert_weights"]
    off = {key: np.abs(ours - theirs).max() / np.abs(theirs).max() for key, (ours, theirs) in off.items()}
    nll = abs(-m.score(ids).mean() - float(golden["nll"]))
    passes, nll_passes = FLOATS[numerics]
    assert max(off.values()) < passes and nll < nll_passes, (off, nll)


@pytest.mark.parametrize("numerics", ["exact", "fast"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", QUANTISED)
def test_quantised(data, name, prompt, numerics):
    folder, file = name.split("/")
    m = ct.load(data / "tiny" / f"{name}.gguf", numerics=numerics)
    golden = golden_of(data, folder, "golden-quantised")
    key = f"{file.removeprefix(folder + '-')}_{prompt}_"
    ids = golden_of(data, folder)[f"{prompt}_ids"]
    theirs = golden[key + "last_logits"]
    off = np.abs(m.run(ids)[0, -1] - theirs).max() / np.abs(theirs).max()
    nll = abs(-m.score(ids).mean() - float(golden[key + "nll"]))
    passes, nll_passes = (ROUNDED_EXPERTS if folder == "gpt-oss" else ROUNDED)[numerics]
    assert off < passes and nll < nll_passes, (off, nll)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", [*FLOAT_FILES, *QUANTISED])
def test_greedy(data, name, prompt):
    """Every id up to the first whose lead over the second is within our error."""
    folder, _, file = name.partition("/")
    m = ct.load(data / "tiny" / folder / f"{file or FLOAT_FILES[name]}.gguf", numerics="exact")
    golden = golden_of(data, folder, "golden-quantised" if file else "golden")
    key = f"{file.removeprefix(folder + '-')}_{prompt}_" if file else f"{prompt}_"
    unsure = np.flatnonzero(golden[key + "greedy_gap"] < 2e-4)
    sure = int(unsure[0]) if len(unsure) else len(golden[key + "greedy"])
    out = m.generate(golden_of(data, folder)[f"{prompt}_ids"], max_new_tokens=sure)
    assert out.ids == golden[key + "greedy"][: len(out.ids)].tolist() and sure > 5
    assert len(out.ids) == sure or out.stop == "eos"


@pytest.mark.parametrize("target", ct._core.targets())
@pytest.mark.parametrize("name", ["llama/llama-F16", "llama-k/llama-k-Q4_K", "gpt2/gpt2-F16"])
def test_every_target_gives_the_same_bits(data, name, target):
    path = data / "tiny" / f"{name}.gguf"
    best, this = ct.load(path), ct.load(path, target=target, threads=1)
    text = "In the beginning God created the heaven and the earth."
    assert this.run(text).tobytes() == best.run(text).tobytes()


# --- SmolLM2 ----------------------------------------------------------------------------------------------------------

GREEDY = [28, 260, 2240, 282, 23324, 27108, 436, 253, 15114, 39228, 28, 351, 25854, 41658, 284, 14055, 9018, 30]


@pytest.mark.model
def test_smollm2_exact(smollm2):
    m = ct.load(smollm2, numerics="exact")
    tokens = m.to_tokens("Once upon a time")
    assert tokens.tolist() == [6403, 1980, 253, 655]
    logits = m.run(tokens)[0, -1]
    for id_, value in {28: 18.1420, 281: 14.0825, 665: 13.3672, 260: 12.9355, 253: 12.9280}.items():
        assert logits[id_] == pytest.approx(value, abs=5e-4)
    assert m.generate(tokens, max_new_tokens=len(GREEDY)).ids == GREEDY


@pytest.mark.model
def test_smollm2_chat(smollm2):
    m = ct.load(smollm2)
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    tokens = m.to_tokens(prompt, parse_special=True)
    assert tokens.tolist() == [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198]
    out = m.generate(tokens, max_new_tokens=20)
    assert out.ids == [504, 3575, 282, 4649, 314, 7042, 30, 2] and out.stop == "eos"
    assert out.text == "The capital of France is Paris."


@pytest.mark.model
@pytest.mark.parametrize("numerics", ["fast", "exact"])
def test_smollm2_every_stage(smollm2, numerics):
    m = ct.load(smollm2, numerics=numerics)
    report = ct.compare(m, "numpy", "Once upon a time")
    assert report.first is None, report.summary()
    assert set(m.stages()) <= {r.stage for r in report.rows}


@pytest.mark.model
@pytest.mark.parametrize("numerics, off", [("exact", 0.001), ("fast", 0.005)])
def test_smollm2_genesis(smollm2, genesis, numerics, off):
    m = ct.load(smollm2, numerics=numerics)
    nll = -m.score(m.to_tokens(genesis).ids[:1024]).mean()
    assert nll == pytest.approx(1.28632, rel=off)  # seen: exact 1.28632, fast 1.28837
