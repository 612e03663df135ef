"""gated_matmul in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np
from cutaway.kernels.matmul import matmul

UNITS = 8  # worst seen 2.16, tiny llama in f16; every format and CPU target below it


def _silu(a):
    return a / (1 + np.exp(-a))


def reference(x, gate, up):  # [T, K], [N, K], [N, K] -> [T, N]
    """silu(x gate^T) * (x up^T), silu(a) = a / (1 + e^-a).  Shazeer 2020, arXiv:2002.05202, eq. 6."""
    with np.errstate(over="ignore"):
        return _silu(matmul.reference(x, gate)) * matmul.reference(x, up)


def magnitude(x, gate, up, spread=None):
    """Both products' magnitudes A and B, carried through y = silu(a) b: |silu'(a) b| A + |silu(a)| B + |y|.

    And, as silu_mul has it, the size at which exp(-a) overflows before it is multiplied by b."""
    gate_spread, up_spread = spread if spread is not None else (None, None)
    a, b = matmul.reference(x, gate), matmul.reference(x, up)
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-a))
        slope = np.abs(sigmoid * (1 + a * (1 - sigmoid)))
    return (
        slope * np.abs(b) * matmul.magnitude(x, gate, spread=gate_spread)
        + np.abs(a * sigmoid) * matmul.magnitude(x, up, spread=up_spread)
        + np.abs(a * sigmoid * b)
        + np.abs(a * b) * 2.0**-104
    )


def cost(x, gate, up):
    bytes_, operations = matmul.cost(x, gate)
    return 2 * bytes_, 2 * operations
