"""Every fault that was planted in transformers and listed with its cost (faults.json) is planted here too.

In the straight-line model and in the engine it costs what it cost there: a model that is wrong in the same way by the
same amount is the same model, and the goldens would notice. And a comparison with the sound model names its stage.

Two faults are quiet by nature: exact GELU (gemma3: no logit moves by more than 0.006, gpt2: 0.06) and gpt-oss's gate
clamped from below too (0.00014). The goldens, held to 1e-5, still notice the first on every prompt and the second on
the longer two.
"""

import json

import cutaway as ct
import numpy as np
import pytest
from cutaway.reference import witness
from models.faults import FAULTS
from models.tiny import PROMPTS, TINY, golden, loss, model, path_of, sound_logits

pytest.importorskip("gguf", reason="the gguf package reads the models")

EACH = [(name, fault) for name in FAULTS for fault in FAULTS[name]]


def listed(name):
    return {row["fault"]: row for row in json.loads((TINY / name / "faults.json").read_text())}


def test_every_listed_fault_is_planted():
    assert {p.parent.name for p in TINY.glob("*/faults.json")} == {p.name for p in TINY.glob("*/")} == set(FAULTS)
    for name in FAULTS:
        assert sorted(listed(name)) == sorted(FAULTS[name]), name


def shown_by(row):
    """The prompts that show a fault; the long one, which takes time, only where the others do not."""
    return PROMPTS[:2] if row["mid"]["max_logit_change"] else PROMPTS


@pytest.mark.parametrize("name, fault", EACH)
def test_a_fault_costs_what_it_cost_there(name, fault, monkeypatch):
    row = listed(name)[fault]
    sound = {prompt: sound_logits(name, prompt) for prompt in shown_by(row)}
    faulty = FAULTS[name][fault].plant(monkeypatch, *model(name))
    for prompt in shown_by(row):
        ids = golden(name)[prompt + "_ids"]
        bad = witness.run(*faulty, ids)["logits"]
        # Listed with four decimals and three digits.
        assert abs(loss(bad, ids).mean() - row[prompt]["nll_bad"]) < 5e-5, prompt
        assert np.abs(bad - sound[prompt]).max() == pytest.approx(row[prompt]["max_logit_change"], rel=5e-3), prompt


# --- in the engine ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine():
    return {name: ct.load(path_of(name), numerics="exact") for name in FAULTS}


def from_changed_file(name, sound, metadata, weights, path):
    """The engine's model of a file that holds what the faulty witness was given."""
    before, stored = model(name)
    file = sound.file
    keys = {key: (file.types[key], file.metadata[key]) for key in file.keys}
    for key, value in metadata.items():
        if key not in before or before[key] != value:
            keys[key] = (keys[key][0], value) if key in keys else value
    tensors = {}
    for t in file.tensors:
        value = weights.get(t.name)
        if value is not None and value is stored[t.name]:
            tensors[t.name] = (t.format, tuple(t.shape), file.raw(t.name))
        elif value is not None:
            tensors[t.name] = np.ascontiguousarray(value, np.float32)
    ct.write_gguf(path, keys, tensors)
    return ct.load(path, numerics="exact")


@pytest.mark.parametrize("name, fault", EACH)
def test_the_engine_notices(name, fault, engine, monkeypatch, tmp_path):
    row, planted, sound = listed(name)[fault], FAULTS[name][fault], engine[name]
    bad, hooks = sound, []
    if planted.hooks:
        hooks = planted.hooks(sound)
    elif planted.edit:
        graph = sound.graph.copy()
        planted.edit(graph)
        bad = sound.with_graph(graph)
    else:
        bad = from_changed_file(name, sound, *planted.plant(monkeypatch, *model(name)), tmp_path / "bad.gguf")
    with bad.hooks(hooks):
        for prompt in PROMPTS:
            ids = golden(name)[prompt + "_ids"]
            logits = bad.run(ids)[0]
            # The engine itself is off by up to 2e-5.
            assert abs(loss(logits, ids).mean() - row[prompt]["nll_bad"]) < 6e-5, prompt
            change = np.abs(logits - sound_logits(name, prompt)).max()
            assert change == pytest.approx(row[prompt]["max_logit_change"], rel=5e-3, abs=5e-5), prompt
        # The shortest prompt that shows it well: comparing every stage takes time.
        shows = next(p for p in PROMPTS if row[p]["max_logit_change"] > 0.05 or p == "long")
        ids = golden(name)[f"{shows}_ids"]
        if fault == "top-2 of the experts":  # no two numbers to compare
            with pytest.raises(ct.errors.ArgumentError, match=rf"{planted.first} is \[\d+, 2\] in .*\[\d+, 4\]"):
                ct.compare(bad, sound, ids)
            return
        report = ct.compare(bad, "numpy" if hooks else sound, ids)
    assert report.first and report.first.stage == planted.first, report.summary()
