"""The normal distribution function and its inverse, to the last bit as ``scipy.special.ndtr`` and ``ndtri`` give them.

Latents come through them, so another bit would be another face; and scipy takes a quarter of a second to load, which is
a fifth of the time of a small batch. Rational approximations of S. L. Moshier, *Methods and Programs for Mathematical
Functions* (Cephes, 1989): the central part in the square of the distance from the middle, the tails in the reciprocal
of sqrt(-2 log p), and the complementary error function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_Number = TypeVar("_Number", float, Floats)

_TAIL = 0.13533528323661269189  # exp(-2): below it, and as far from 1, is a tail
_ROOT = 2.50662827463100050242  # of 2 pi

# Numerators and denominators, highest power first; a denominator's highest coefficient is 1 and left out.
_MIDDLE = (
    (-59.9633501014107895267, 98.0010754185999661536, -56.6762857469070293439, 13.9312609387279679503)
    + (-1.23916583867381258016,),
    (1.95448858338141759834, 4.67627912898881538453, 86.3602421390890590575, -225.462687854119370527)
    + (200.260212380060660359, -82.0372256168333339912, 15.9056225126211695515, -1.18331621121330003142),
)
_NEAR_TAIL = (  # p above exp(-32)
    (4.05544892305962419923, 31.5251094599893866154, 57.1628192246421288162, 44.0805073893200834700)
    + (14.6849561928858024014, 2.18663306850790267539, -1.40256079171354495875e-1, -3.50424626827848203418e-2)
    + (-8.57456785154685413611e-4,),
    (15.7799883256466749731, 45.3907635128879210584, 41.3172038254672030440, 15.0425385692907503408)
    + (2.50464946208309415979, -1.42182922854787788574e-1, -3.80806407691578277194e-2, -9.33259480895457427372e-4),
)
_FAR_TAIL = (
    (3.23774891776946035970, 6.91522889068984211695, 3.93881025292474443415, 1.33303460815807542389)
    + (2.01485389549179081538e-1, 1.23716634817820021358e-2, 3.01581553508235416007e-4, 2.65806974686737550832e-6)
    + (6.23974539184983293730e-9,),
    (6.02427039364742014255, 3.67983563856160859403, 1.37702099489081330271, 2.16236993594496635890e-1)
    + (1.34204006088543189037e-2, 3.28014464682127739104e-4, 2.89247864745380683936e-6, 6.79019408009981274425e-9),
)
_ERF = (
    (9.60497373987051638749, 90.0260197203842689217, 2232.00534594684319226, 7003.32514112805075473)
    + (55592.3013010394962768,),
    (33.5617141647503099647, 521.357949780152679795, 4594.32382970980127987, 22629.0000613890934246)
    + (49267.3942608635921086,),
)
_ERFC = (  # of 1 to 8
    (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687, 48.6371970985681366614)
    + (196.520832956077098242, 526.445194995477358631, 934.528527171957607540, 1027.55188689515710272)
    + (557.535335369399327526,),
    (13.2281951154744992508, 86.7072140885989742329, 354.937778887819891062, 975.708501743205489753)
    + (1823.90916687909736289, 2246.33760818710981792, 1656.66309194161350182, 557.535340817727675546),
)
_ERFC_FAR = (
    (5.64189583547755073984e-1, 1.27536670759978104416, 5.01905042251180477414, 6.16021097993053585195)
    + (7.40974269950448939160, 2.97886665372100240670),
    (2.26052863220117276590, 9.39603524938001434673, 12.0489539808096656605, 17.0814450747565897222)
    + (9.60896809063285878198, 3.36907645100081516050),
)


def quantile(p: npt.ArrayLike) -> Floats:
    """Where the standard normal distribution function is ``p``, strictly between 0 and 1; float64 of p's shape."""
    given = np.asarray(p, np.float64)
    flat = given.ravel()
    upper = flat > 1 - _TAIL
    y = np.where(upper, 1 - flat, flat)
    middle = y > _TAIL
    found = np.empty_like(y)
    w = y[middle] - 0.5
    square = w * w
    found[middle] = (w + w * (square * _value(_MIDDLE[0], square) / _monic(_MIDDLE[1], square))) * _ROOT
    tail = ~middle
    # By the C library's logarithm: numpy's own is another one in the last bit on some processors.
    x = np.sqrt(-2.0 * _log(y[tail]))
    first = x - _log(x) / x
    z = 1.0 / x
    second = z * _value(_NEAR_TAIL[0], z) / _monic(_NEAR_TAIL[1], z)
    far = x >= 8
    second[far] = z[far] * _value(_FAR_TAIL[0], z[far]) / _monic(_FAR_TAIL[1], z[far])
    size = first - second
    found[tail] = np.where(upper[tail], size, -size)
    return found.reshape(given.shape)


def distribution(x: float) -> float:
    """The share of the standard normal distribution below ``x``."""
    scaled = x * math.sqrt(0.5)
    size = abs(scaled)
    if size < math.sqrt(0.5):
        return 0.5 + 0.5 * _erf(scaled)
    beyond = 0.5 * _erfc(size)
    return 1.0 - beyond if scaled > 0 else beyond


def _erf(x: float) -> float:
    square = x * x
    return x * _value(_ERF[0], square) / _monic(_ERF[1], square)


def _erfc(x: float) -> float:
    if x < 1:
        return 1.0 - _erf(x)
    above, below = _ERFC if x < 8 else _ERFC_FAR
    return math.exp(-x * x) * _value(above, x) / _monic(below, x)


def _log(x: Floats) -> Floats:
    return np.fromiter(map(math.log, x.tolist()), np.float64, len(x))


def _value(coefficients: Sequence[float], x: _Number) -> _Number:
    """A polynomial by Horner's rule."""
    total = x * 0 + coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def _monic(coefficients: Sequence[float], x: _Number) -> _Number:
    """The same where the highest coefficient is 1."""
    total = x + coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total
