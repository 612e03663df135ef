"""What the README, the docstrings and the notebooks show is what a reader gets.

In the README, `<!-- run -->` stands before a block that runs, and a ```text block behind it is what it prints. Every
block runs on a tiny model, where the verdicts have to be the same; marked slow, on the model that the README names,
where all words and whole numbers have to be (numbers with a fraction and the CPU's target differ between machines)."""

import contextlib
import doctest
import importlib
import io
import json
import re
import shlex
from pathlib import Path

import cutaway
import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"<!-- run -->\n```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)


def blocks():
    return BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))


def outputs(sources, model):
    """What each block prints, all in one namespace, with "smollm2" standing for `model`."""
    namespace = {}
    for source in sources:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(source.replace('"smollm2"', repr(str(model))), "README.md", "exec"), namespace)
        yield out.getvalue()


def stable(text):
    """Without numbers that rounding changes, the CPU's target, and which stage happens to be nearest to its limit."""
    text = re.sub(r"/(avx512vnni|avx512|avx2vnni|avx2|neon|scalar)\b", "/TARGET", text)
    text = re.sub(r"is \S+ \(\w+/TARGET\): \S+ units, tolerance \S+", "is STAGE", text)
    return re.sub(r"-?\d+(\.\d+)?e[+-]\d+|-?\d+\.\d+", "#", text)


def verdicts(text):
    """What a comparison found: the first wrong stage, or that all hold."""
    return re.findall(r"stages hold|first wrong stage: \S+", text)


def test_readme_runs_on_the_tiny_model():
    found = blocks()
    assert [v for _, shown in found for v in verdicts(shown)] == ["stages hold", "first wrong stage: blocks.3.attn.z"]
    for (_, shown), printed in zip(found, outputs([b[0] for b in found], "tiny:llama"), strict=True):
        assert bool(printed) == bool(shown) and verdicts(printed) == verdicts(shown)


@pytest.mark.slow
@pytest.mark.model
def test_readme_prints_what_it_shows(smollm2):
    found = blocks()
    for (_, shown), printed in zip(found, outputs([b[0] for b in found], smollm2), strict=True):
        assert stable(printed) == stable(shown)


def test_stable_keeps_what_matters():
    line = (
        "first wrong stage: blocks.1.attn.z (attention/avx2): 3.355e+05 units, tolerance 40\n 1 of 907 stages is wrong"
    )
    assert stable(line) == stable(line.replace("avx2", "avx512vnni").replace("3.355", "3.361"))
    for other in (line.replace("blocks.1", "blocks.2"), line.replace("907", "906"), line.replace("40", "41")):
        assert stable(other) != stable(line)


def readme_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## The command line")[1].split("\n## ")[0]
    return [re.split(r" {3,}", line.strip())[0] for line in section.splitlines() if line.startswith("    cutaway ")]


@pytest.mark.parametrize("command", readme_commands())
def test_commands_of_the_readme_parse(command):
    from cutaway import cli

    words = shlex.split(command)
    assert words[0] == "cutaway"
    cli.parser().parse_args(words[1:])


def test_every_verb_is_in_the_readme():
    from cutaway import cli

    usage = cli.parser().format_help()
    verbs = re.findall(r"^    (\w+) ", usage, re.M)
    assert len(verbs) > 8
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## The command line")[1].split("\n## ")[0]
    assert [v for v in verbs if f"cutaway {v}" not in text and f"`{v}`" not in text] == []


def test_hints_name_things_that_exist():
    from cutaway import cli, errors

    verbs = cli.parser().format_help()
    for error in vars(errors).values():
        hint = getattr(error, "hint", "")
        for name in re.findall(r"\b(?:ct|cutaway)\.(\w+)", hint):
            assert hasattr(cutaway, name), f"{error.__name__}: {hint}"
        for verb in re.findall(r"`cutaway (\w+)", hint):
            assert f"    {verb} " in verbs, f"{error.__name__}: {hint}"


def modules_with_examples():
    folder = Path(cutaway.__file__).parent
    return sorted(p.stem for p in folder.glob("*.py") if ">>> " in p.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstrings(name):
    module = importlib.import_module(f"cutaway.{name}")
    ran = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert ran.attempted and not ran.failed


# --- notebooks -----------------------------------------------------------------------------------------------------

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_stored_executed_and_small(path):
    assert path.stat().st_size < 200_000
    cells = [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1))
    kinds = [o["output_type"] for c in cells for o in c["outputs"]]
    assert "error" not in kinds and len(kinds) > len(cells) / 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_name_files_that_exist(path):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:csrc|kernels|python|notebooks)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name


def test_pages_name_files_that_exist():
    for page in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:csrc|kernels|python|notebooks|tests|tools)/[\w./]+)`", text):
            assert (ROOT / name).exists(), f"{page} names {name}"
        for name in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (ROOT / name).exists(), f"{page} links to {name}"


def execute(path, model):
    """Runs every cell in a kernel of its own, with "smollm2" standing for `model`."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install cutaway[test]")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install cutaway[test]")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install cutaway[test]")
    pytest.importorskip("matplotlib_inline", reason="matplotlib is not installed: pip install cutaway[plot]")
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('"smollm2"', repr(str(model)))
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run_on_the_tiny_model(path):
    execute(path, "tiny:llama")


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run_on_the_real_model(path, smollm2):
    execute(path, smollm2)
