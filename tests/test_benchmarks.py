"""README's table of speeds is what benchmarks/report.py makes of the committed results, and of nothing else."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("benchmarks_report", ROOT / "benchmarks" / "report.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def shown(report, text):
    return text.split(report.BEGIN)[1].split(report.END)[0]


def test_readmes_numbers_are_those_of_the_results(report):
    assert shown(report, (ROOT / "README.md").read_text(encoding="utf-8")) == report.table(report.read_results())


def test_every_ratio_is_one_of_its_two_numbers(report):
    """Medians over the turns: no further from the quotient of the medians than the runs are spread."""
    for row in report.read_results():
        quotient = row.peer / row.ours if row.unit in ("s", "MB") else row.ours / row.peer
        assert 1 / row.spread**2 <= row.ratio / quotient * 1.002 and row.ratio / quotient <= row.spread**2 * 1.002


def test_a_ratio_is_the_median_over_the_turns(report):
    """The machine is half as fast from the middle of the third turn on: the sides' medians would say 4 times."""
    assert report.ratio([4.0, 4.0, 4.0, 2.0, 2.0], [2.0, 2.0, 1.0, 1.0, 1.0]) == 2.0


def test_new_rows_take_the_place_of_old_ones_and_another_machine_starts_anew(report, monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.csv")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    report.README.write_text("before\n" + report.BEGIN + "old\n" + report.END + "after\n")
    row = {f.name: "" if f.type == "str" else 0.0 for f in report.fields(report.Row)}
    row |= {"unit": "tok/s", "ours": 12.3456, "peer": 6.0, "ratio": 2.0576, "share": 0.5, "against": "llama.cpp 1, x"}
    a, b = (report.Row(**row | {"work": w, "machine": "here", "day": "2026-01-02"}) for w in "ab")
    report.write_results([a, b])
    better = report.Row(**row | {"work": "a", "machine": "here", "day": "2026-01-03", "ours": 24.0, "gbs": 20.0})
    report.update_readme(report.write_results([better]))
    text = report.README.read_text()
    assert re.fullmatch(r"before\n.*after\n", text, re.DOTALL) and "old" not in text
    assert shown(report, text).splitlines() == [
        "On here, 2026-01-02 to 2026-01-03, beside llama.cpp 1:",
        "",
        "| work | | cutaway | beside it | ratio | asked | of peak |",
        "|---|---|---|---|---|---|---|",
        "| a | tok/s | 24.0 | 6 | 2.06 |  | 50 % of 40 GB/s |",
        "| b | tok/s | 12.3 | 6 | 2.06 |  | 50 % |",
    ]
    other = report.Row(**row | {"work": "c", "machine": "there", "day": "2026-01-04"})
    assert [r.work for r in report.write_results([other])] == ["c"]


def test_a_first_token_in_a_fresh_process():
    run = [sys.executable, str(ROOT / "benchmarks" / "cold.py"), "tiny:llama", "5", "6"]
    out = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert 0 < out["load"] < out["seconds"] < 60
    assert 1 << 20 < out["imported"] < out["peak"] < 1 << 30


@pytest.mark.peers("llama_cpp")
def test_llama_cpp_runs_beside_us():
    import cutaway as ct
    from cutaway.speed import measure

    found = measure(ct.load("tiny:llama"), prompt=8, new=4, runs=1, stages=False)
    assert not found["peer_absent"] and "AVX" in found["peer_features"]
    assert len([side for side in found["sides"] if side.startswith("llama.cpp")]) == 2
