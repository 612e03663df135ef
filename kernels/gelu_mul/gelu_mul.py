"""gelu_mul in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np
from cutaway.kernels.gelu import gelu

UNITS = 8  # worst seen 2.91, every CPU target, every 65537th float32 and adversarial rows


def reference(pre, pre_linear):  # [...], [...] -> [...]
    """GELU of the gate, in its tanh form, times the linear half.  Shazeer 2020, arXiv:2002.05202, eq. 6."""
    return gelu.reference(pre) * pre_linear.astype(np.float64)


def magnitude(pre, pre_linear):
    return gelu.magnitude(pre) * np.abs(pre_linear.astype(np.float64))


def cost(pre, pre_linear):  # bytes moved, operations done
    return 12 * pre.size, 21 * pre.size
