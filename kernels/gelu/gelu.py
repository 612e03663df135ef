"""gelu in NumPy, float64: the definition, its magnitude and its cost."""

import numpy as np

UNITS = 6  # worst seen 2.22, every CPU target, every 65537th float32 and adversarial rows


def reference(x):  # [...] -> [...]
    """x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3))): the tanh form.  Hendrycks & Gimpel 2016, arXiv:1606.08415."""
    x = x.astype(np.float64)
    return x / (1 + np.exp(-_two_u(x)))


def magnitude(x):
    """The result's size, times what exp makes of one rounding of 2 u; and the size at which exp(-2 u) overflows."""
    x = x.astype(np.float64)
    two_u = _two_u(x)
    amplified = np.where(two_u < 0, -two_u, two_u * np.exp(-np.abs(two_u)))
    return np.abs(reference(x)) * (1 + np.minimum(amplified, 90)) + np.abs(x) * 2.0**-104


def _two_u(x):
    return 2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)


def cost(x):  # bytes moved, operations done
    return 8 * x.size, 20 * x.size
