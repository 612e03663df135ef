"""The package as it is installed: what it holds, and that importing it is quick."""

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import cutaway
import pytest

ROOT = Path(__file__).parent.parent
SHIPPED = {".py", ".h", ".cpp", ".cu", ".cuh"}


@pytest.fixture
def package() -> Path:
    folder = Path(cutaway.__file__).parent
    if folder.is_relative_to(ROOT / "python"):
        pytest.skip("runs from the source tree; `make test` runs the installed package")
    return folder


def test_kernels_are_installed_and_their_tests_are_not(package):
    source, installed = ROOT / "kernels", package / "kernels"
    expected = {
        path.relative_to(source)
        for path in source.rglob("*")
        if path.suffix in SHIPPED and not path.name.startswith("test_") and "__pycache__" not in path.parts
    }
    found = {path.relative_to(installed) for path in installed.rglob("*") if path.suffix in SHIPPED}
    assert found == expected


def test_a_reference_imports_from_the_installed_kernels():
    module = importlib.import_module("cutaway.kernels.rms_norm.rms_norm")
    assert Path(module.__file__).is_relative_to(Path(cutaway.__file__).parent)


def test_nothing_was_built_for_this_machine_alone(package):
    stray = [path.name for path in package.rglob("*.so*") if not path.name.startswith(("_core.", "libcutaway_cuda"))]
    assert not stray


def test_every_entry_point_loads(package):
    distributions = [d for d in importlib.metadata.distributions() if d.metadata["Name"] == "cutaway"]
    for entry_point in distributions[0].entry_points:
        entry_point.load()


@pytest.mark.native
def test_import_takes_under_300_ms():
    # CPU seconds, because other programs share this machine. Seen: 0.10, of which NumPy 0.08.
    code = "import time; t = time.process_time(); import cutaway; print(time.process_time() - t)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    assert min(seconds) < 0.3
