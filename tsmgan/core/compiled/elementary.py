"""Elementary functions of float32 that run in vector registers, for kernels; libm's are called for one number at a time.

A loop over contiguous arrays that does nothing else is turned into vector code, at a tenth of libm's cost. No sum is fused with a product
and no order is left open, so every processor gives the same bits.
"""

from __future__ import annotations

import numpy as np

from tsmgan.core.compiled.kernels import helper

ARCTAN = (
    0.9999999864,
    -0.3333309394,
    0.1999305384,
    -0.142071315,
    0.1065466877,
    -0.07533657395,
    0.0430391445,
    -0.01628286906,
    0.002903517465,
)
"""Coefficients of the polynomial in `arctan2`."""
QUARTER_TURN = (1.5703125, 4.837512969970703e-4, 7.54978995489188e-8)
"""pi / 2 in three parts, of which the first two times a small integer are exact (Cody and Waite)."""
LOG_2 = (0.693359375, -2.12194440e-4)
"""The same of the natural logarithm of 2."""
LARGEST_EXPONENT = 87.0
"""`exp` takes larger arguments, either way, to be this."""


@helper()
def bits(x):
    """The bits of a float32 as an int32."""
    return np.float32(x).view(np.int32)


@helper()
def of_bits(x):
    """The float32 of an int32's bits."""
    return np.int32(x).view(np.float32)


# The polynomials of `cos_sin`, `exp` and `log` are those of Moshier's Cephes library for single precision.


@helper(error_model="numpy")
def arctan2(y, x):
    """Angle of x + iy in radians to 2e-7; exactly 0 on the positive real axis.

    The polynomial is a minimax fit of arctan(t) / t in t^2 on [0, 1].
    """
    ax, ay = abs(x), abs(y)
    t = min(ax, ay) / max(max(ax, ay), np.float32(1e-37))
    u = t * t
    r = np.float32(ARCTAN[8])
    r = r * u + np.float32(ARCTAN[7])
    r = r * u + np.float32(ARCTAN[6])
    r = r * u + np.float32(ARCTAN[5])
    r = r * u + np.float32(ARCTAN[4])
    r = r * u + np.float32(ARCTAN[3])
    r = r * u + np.float32(ARCTAN[2])
    r = r * u + np.float32(ARCTAN[1])
    r = (r * u + np.float32(ARCTAN[0])) * t
    r = np.float32(np.pi / 2) - r if ay > ax else r
    r = np.float32(np.pi) - r if x < 0 else r
    return -r if y < 0 else r


@helper()
def cos_sin(x):
    """Cosine and sine of x in radians, |x| < 1000, to 1e-7; exactly 1 and 0 at 0."""
    turns = np.rint(x * np.float32(2 / np.pi))
    r = x - turns * np.float32(QUARTER_TURN[0])
    r = r - turns * np.float32(QUARTER_TURN[1])
    r = r - turns * np.float32(QUARTER_TURN[2])
    quadrant = np.int32(turns)
    u = r * r
    sine = np.float32(-1.9515295891e-4) * u + np.float32(8.3321608736e-3)
    sine = (sine * u + np.float32(-1.6666654611e-1)) * u * r + r
    cosine = np.float32(2.443315711809948e-5) * u + np.float32(-1.388731625493765e-3)
    cosine = (cosine * u + np.float32(4.166664568298827e-2)) * u * u - np.float32(0.5) * u + np.float32(1)
    c = cosine if quadrant & 1 == 0 else sine
    s = sine if quadrant & 1 == 0 else cosine
    return -c if (quadrant + 1) & 2 else c, -s if quadrant & 2 else s


@helper()
def exp(x):
    """e to the power of x, to a relative 1e-7; exactly 1 at 0."""
    x = min(max(x, np.float32(-LARGEST_EXPONENT)), np.float32(LARGEST_EXPONENT))
    twos = np.rint(x * np.float32(1 / np.log(2)))
    r = x - twos * np.float32(LOG_2[0])
    r = r - twos * np.float32(LOG_2[1])
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1)
    return p * of_bits((np.int32(twos) + 127) << 23)


@helper()
def log(x):
    """Natural logarithm of x, which is positive and not denormal, to 1e-7 of it; exactly 0 at 1."""
    whole = bits(x)
    twos = np.int32(whole - 0x3F3504F3) >> 23  # of the power of 2 that leaves a mantissa between the roots of 1 / 2 and 2
    r = of_bits(whole - (twos << 23)) - np.float32(1)
    shift = np.float32(np.int32(twos))
    p = np.float32(7.0376836292e-2)
    p = p * r + np.float32(-1.1514610310e-1)
    p = p * r + np.float32(1.1676998740e-1)
    p = p * r + np.float32(-1.2420140846e-1)
    p = p * r + np.float32(1.4249322787e-1)
    p = p * r + np.float32(-1.6668057665e-1)
    p = p * r + np.float32(2.0000714765e-1)
    p = p * r + np.float32(-2.4999993993e-1)
    p = p * r + np.float32(3.3333331174e-1)
    u = r * r
    return r + (p * r * u + shift * np.float32(LOG_2[1]) - np.float32(0.5) * u) + shift * np.float32(LOG_2[0])
