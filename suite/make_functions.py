"""Make `functions.npz`: what functions of one element are of every integer of some formats.

    venv/bin/python suite/make_functions.py

Each function is evaluated with 60 digits by `mpmath` (which onnxruntime's requirements bring) and rounded
once, halves to the even neighbor, saturated. Names are those of ONNX operators, with `:` and the attributes
where they are not the default, and `keras/` and those of Keras' activation functions.

`formats` has a row for each pair of formats: bits, fractional bits and range (0 unsigned, 1 narrow, 2 full)
of the input, and of the output. The other arrays have a row for each pair, an integer for each one of the
input from the smallest on; -32768 where the function has no value, or there is no further integer.
"""

from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf

mp.dps = 60
NONE = -32768
FORMATS = [
    # bits, frac, range of the input, and of the output
    [8, 4, 1, 8, 5, 1],
    [8, 3, 2, 8, 4, 2],
    [8, 6, 0, 8, 7, 0],
    [7, 5, 1, 8, 9, 1],
    [4, 1, 1, 5, 2, 1],
    [8, 5, 0, 16, 12, 1],
]
INFINITY = mpf("inf")


def f32(x):
    """The number that a file of 32-bit floats holds."""
    return mpf(float(np.float32(x)))


def relu(x, most=INFINITY):
    return min(max(x, mpf(0)), mpf(most))


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def softplus(x):
    return mpmath.log(1 + mpmath.exp(x))


def elu(x, alpha=mpf(1)):
    return x if x > 0 else alpha * mpmath.expm1(x)


def real(function):
    """The function, without value where that is complex."""
    def value(x):
        y = function(x)
        return y.real if not isinstance(y, mpmath.mpc) or y.imag == 0 else None
    return value


def log(x):
    return None if x < 0 else -INFINITY if x == 0 else mpmath.log(x)


def atanh(x):
    return None if abs(x) > 1 else INFINITY * x if abs(x) == 1 else mpmath.atanh(x)


def shrink(x, lambd, bias):
    return x + bias if x < -lambd else x - bias if x > lambd else mpf(0)


def sparse_plus(x):
    return mpf(0) if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4


def power(exponent):
    return lambda x: INFINITY if x == 0 and exponent < 0 else real(lambda x: x ** exponent)(x)


def gelu(x):
    return x * (1 + mpmath.erf(x / mpmath.sqrt(2))) / 2


def gelu_tanh(x):
    return x * (1 + mpmath.tanh(mpmath.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3))) / 2


def celu(x, alpha):
    return max(x, mpf(0)) + min(alpha * mpmath.expm1(x / alpha), mpf(0))


def mish(x):
    return x * mpmath.tanh(softplus(x))


def round_even(x):
    return mpmath.nint(x)


SELU = f32(1.67326319217681884765625), f32(1.05070102214813232421875)
KERAS_SELU = mpf("1.67326324235437728481704"), mpf("1.05070098735548049341933")

FUNCTIONS = {
    "Abs": abs,
    "Acos": real(mpmath.acos),
    "Acosh": real(mpmath.acosh),
    "Asin": real(mpmath.asin),
    "Asinh": mpmath.asinh,
    "Atan": mpmath.atan,
    "Atanh": atanh,
    "Ceil": mpmath.ceil,
    "Celu": lambda x: celu(x, mpf(1)),
    "Celu:alpha=2": lambda x: celu(x, mpf(2)),
    "Cos": mpmath.cos,
    "Cosh": mpmath.cosh,
    "Elu": elu,
    "Elu:alpha=0.7": lambda x: elu(x, f32(0.7)),
    "Erf": mpmath.erf,
    "Exp": mpmath.exp,
    "Floor": mpmath.floor,
    "Gelu": gelu,
    "Gelu:approximate=tanh": gelu_tanh,
    "HardSigmoid": lambda x: relu(f32(0.2) * x + mpf("0.5"), 1),
    "HardSigmoid:alpha=0.25;beta=0.375": lambda x: relu(x / 4 + mpf("0.375"), 1),
    "HardSwish": lambda x: x * relu(x + 3, 6) / 6,
    "Log": log,
    "Mish": mish,
    "Neg": lambda x: -x,
    "Pow:2": lambda x: x**2,
    "Pow:3": lambda x: x**3,
    "Pow:0.5": power(mpf("0.5")),
    "Pow:-1.5": power(mpf("-1.5")),
    "Reciprocal": lambda x: INFINITY if x == 0 else 1 / x,
    "Round": round_even,
    "Selu": lambda x: SELU[1] * elu(x, SELU[0]),
    "Shrink": lambda x: shrink(x, mpf("0.5"), 0),
    "Shrink:lambd=1.25;bias=0.75": lambda x: shrink(x, mpf("1.25"), mpf("0.75")),
    "Sigmoid": sigmoid,
    "Sign": mpmath.sign,
    "Sin": mpmath.sin,
    "Sinh": mpmath.sinh,
    "Softplus": softplus,
    "Softsign": lambda x: x / (1 + abs(x)),
    "Sqrt": real(mpmath.sqrt),
    "Swish": lambda x: x * sigmoid(x),
    "Swish:alpha=1.702": lambda x: x * sigmoid(f32(1.702) * x),
    "Tan": mpmath.tan,
    "Tanh": mpmath.tanh,
    "ThresholdedRelu": lambda x: x if x > 1 else mpf(0),
    "ThresholdedRelu:alpha=0.5": lambda x: x if x > mpf("0.5") else mpf(0),
    "keras/celu": lambda x: celu(x, mpf(1)),
    "keras/elu": elu,
    "keras/exponential": mpmath.exp,
    "keras/gelu": gelu,
    "keras/hard_shrink": lambda x: x if abs(x) > mpf("0.5") else mpf(0),
    "keras/hard_sigmoid": lambda x: relu(x + 3, 6) / 6,
    "keras/hard_silu": lambda x: x * relu(x + 3, 6) / 6,
    "keras/hard_swish": lambda x: x * relu(x + 3, 6) / 6,
    "keras/log_sigmoid": lambda x: -softplus(-x),
    "keras/mish": mish,
    "keras/selu": lambda x: KERAS_SELU[1] * elu(x, KERAS_SELU[0]),
    "keras/sigmoid": sigmoid,
    "keras/silu": lambda x: x * sigmoid(x),
    "keras/soft_shrink": lambda x: shrink(x, mpf("0.5"), mpf("0.5")),
    "keras/softplus": softplus,
    "keras/softsign": lambda x: x / (1 + abs(x)),
    "keras/sparse_plus": sparse_plus,
    "keras/sparse_sigmoid": lambda x: relu((x + 1) / 2, 1),
    "keras/squareplus": lambda x: (x + mpmath.sqrt(x * x + 4)) / 2,
    "keras/swish": lambda x: x * sigmoid(x),
    "keras/tanh": mpmath.tanh,
    "keras/tanh_shrink": lambda x: x - mpmath.tanh(x),
}


def ends(bits, kind):
    if kind == 0:
        return 0, 2**bits - 1
    most = 2 ** (bits - 1) - 1
    return -most - (kind == 2), most


def stored(y, frac, low, high):
    """The integer of a value."""
    if y is None or mpmath.isnan(y):
        return NONE
    if mpmath.isinf(y):
        return high if y > 0 else low
    return int(min(max(mpmath.nint(y * mpf(2) ** frac), low), high))


def row(function, pair):
    bits, frac, kind, to_bits, to_frac, to_kind = pair
    low, high = ends(bits, kind)
    to = ends(to_bits, to_kind)
    values = [stored(function(mpf(x) / 2**frac), to_frac, *to) for x in range(low, high + 1)]
    return values + [NONE] * (256 - len(values))


def main():
    arrays = {"formats": np.array(FORMATS, np.int16)}
    for name, function in FUNCTIONS.items():
        arrays[name] = np.array([row(function, pair) for pair in FORMATS], np.int16)
    np.savez_compressed(Path(__file__).parent / "functions.npz", **arrays)


main()
