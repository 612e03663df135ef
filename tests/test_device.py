"""Devices on a machine without CUDA: everything works but CUDA, which says why it does not."""

import cutaway as ct
import numpy as np
import pytest
from cutaway import _core, errors

REASONS = "no CUDA library|no NVIDIA driver|driver finds no device|driver is too old"
without_cuda = pytest.mark.skipif(bool(_core.cuda_devices()["devices"]), reason="this machine has a CUDA device")


def test_the_cpu_comes_first():
    cpu = ct.devices()[0]
    assert cpu.name == "cpu" and cpu.available and _core.default_target() in cpu.description


@without_cuda
def test_a_missing_device_says_why():
    (_, cuda) = ct.devices()
    assert cuda.name == "cuda" and not cuda.available
    for ask in (
        lambda: ct.load("tiny:llama", device="cuda"),
        lambda: ct.load("tiny:llama", device="cuda:1"),
        lambda: ct.ops.gelu(np.ones(3, np.float32), target="cuda"),
        lambda: ct.ops.matmul(np.ones((1, 3)), np.ones((2, 3)), target="cublas"),
    ):
        with pytest.raises(errors.DeviceError, match=REASONS) as error:
            ask()
        assert error.value.message == cuda.reason and error.value.hint


@without_cuda
def test_kernels_that_cannot_run_are_not_listed():
    assert all(name.split("/")[1] in _core.targets() for name in ct.ops.kernels("matmul"))


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda0", "cuda:1234567", "", None])
def test_a_device_is_a_name(device):
    with pytest.raises(errors.ArgumentError, match="device is .*, expected"):
        ct.load("tiny:llama", device=device)


def test_the_cpu_works_all_the_same():
    m = ct.load("tiny:llama", device="cpu")
    assert m.device == "cpu" and np.isfinite(m.run([1, 2, 3])).all()
