"""Networks that combine two values element by element, reduce axes, or take signals of one dimension.

Written as those of `own_cases.py`.
"""

import numpy as np
from onnx import TensorProto

from own_cases import Net

FUNCTIONS = ["Add", "Sub", "Mul", "Max", "Min"]


def alike(function):
    n = Net(f"own_alike_{function.lower()}", [3, 4, 5])
    a, b = n.conv("input", 3, 4, 1), n.conv("input", 3, 4, pads=[1, 1, 1, 1])
    return n.done(n.node(function, a, b), [4, 4, 5])


def broadcast(function):
    """A gate of channels, a map, one value, a row and a column, on either side."""
    n = Net(f"own_broadcast_{function.lower()}", [3, 4, 5])
    x = n.node("Relu", n.conv("input", 3, 4, pads=[1, 1, 1, 1]))
    gate = n.conv(n.node("GlobalAveragePool", x), 4, 4, 1)
    one = n.node("ReduceMean", gate, axes=[1], keepdims=1)
    plane = n.conv(x, 4, 1, 1)
    row = n.node("AveragePool", x, kernel_shape=[4, 1])
    column = n.node("MaxPool", x, kernel_shape=[1, 5])
    x = n.node(function, x, gate)
    x = n.node(function, plane, x)
    x = n.node(function, x, one)
    return n.done(n.node(function, x, n.node(function, row, column)), [4, 4, 5])


def other_ranks():
    """Missing axes are the first ones; the batch of one image stays."""
    n = Net("own_broadcast_ranks", [3, 4, 5])
    x = n.conv("input", 3, 4, 1)
    row = n.node("ReduceMean", x, axes=[2], keepdims=1)
    wide = n.node("Unsqueeze", n.node("Squeeze", row, np.array([2])), np.array([2]))
    return n.done(n.node("Mul", wide, x), [4, 4, 5])


def channels_last():
    """A gate as TensorFlow writes it."""
    n = Net("own_broadcast_nhwc", [4, 5, 3])
    x = n.node("Transpose", "input", perm=[0, 3, 1, 2])
    x = n.node("Transpose", n.conv(x, 3, 4, pads=[1, 1, 1, 1]), perm=[0, 2, 3, 1])
    gate = n.node("ReduceMean", x, axes=[1, 2], keepdims=1)
    x = n.node("Mul", x, gate)
    return n.done(n.node("Transpose", x, perm=[0, 3, 1, 2]), [4, 4, 5])


def of_several():
    n = Net("own_functions_of_several", [3, 4, 5])
    a, b, c = (n.conv("input", 3, 2, 1) for _ in range(3))
    x = n.node("Sum", a, b, c)
    y = n.node("Max", a, np.float32(0.1), b, np.float32(-0.2), c)
    z = n.node("Mean", a, b, c)
    return n.done(n.node("Concat", x, n.node("Min", y, a), z, axis=1), [6, 4, 5])


def transposed_pair():
    """Two values whose axes lie in different orders."""
    n = Net("own_transposed_pair", [3, 4, 4])
    x = n.conv("input", 3, 2, 1)
    return n.done(n.node("Sub", x, n.node("Transpose", x, perm=[0, 1, 3, 2])), [2, 4, 4])


def five_axes():
    """As detection heads: boxes by anchor, with a constant for each place."""
    n = Net("own_five_axes", [3, 4, 5])
    x = n.node("Reshape", n.conv("input", 3, 6, 1), np.array([0, 2, 3, 4, 5]))
    y = n.node("Relu", x)
    x = n.node("Mul", x, y)
    return n.done(n.node("Reshape", x, np.array([0, 6, 4, 5])), [6, 4, 5])


def constant_maps():
    n = Net("own_constant_maps", [3, 4, 5])
    x = n.conv("input", 3, 3, 1)
    x = n.node("Mul", x, n.normal(1, 1, 4, 5, scale=1))
    x = n.node("Add", n.normal(3, 4, 5), x)
    x = n.node("Sub", n.normal(4, 1), x)
    x = n.node("Sub", x, n.normal(1, 3, 1, 5))
    x = n.node("Div", x, n.random.uniform(0.5, 2, (1, 5)).astype(np.float32))
    x = n.node("Max", x, n.normal(3, 1, 1))
    return n.done(n.node("Min", n.random.uniform(0, 1, (4, 5)).astype(np.float32), x), [3, 4, 5])


def constant_of_larger_extents():
    n = Net("own_constant_of_larger_extents", [3, 4, 5])
    x = n.node("GlobalAveragePool", n.conv("input", 3, 2, 1))
    return n.done(n.node("Mul", x, n.normal(1, 1, 3, 2)), [2, 3, 2])


def reduced(function, opset):
    n = Net(f"own_{function.lower()}_{opset}", [3, 4, 5], opset=opset)
    by_input = opset >= (13 if function == "ReduceSum" else 18)

    def reduce(x, *axes, keepdims=1):
        if by_input:
            return n.node(function, x, np.array(axes), keepdims=keepdims)
        return n.node(function, x, axes=axes, keepdims=keepdims)

    x = n.conv("input", 3, 4, 1)
    flat = [
        n.node("Flatten", y) for y in [
            reduce(x, 2), reduce(x, -1, keepdims=0), reduce(x, 1), reduce(x, 1, 2, keepdims=0),
            reduce(x, 3, 1), reduce(x, -3, -2, -1), reduce(x, 2, 3, keepdims=0),
        ]
    ]
    y = n.node("Concat", *flat, axis=1)
    return n.done(n.node("Gemm", y, n.normal(20 + 16 + 20 + 5 + 4 + 1 + 4, 3)), [3])


def no_axes():
    n = Net("own_reduce_no_axes", [3, 4, 5], opset=18)
    x = n.node("ReduceMean", n.conv("input", 3, 2, 1), noop_with_empty_axes=1)
    return n.done(n.node("ReduceMax", x, np.array([1]), keepdims=0), [4, 5])


def channels_of_rows():
    """The mean over the channels of a value whose channels come last."""
    n = Net("own_reduce_nhwc", [4, 5, 3])
    x = n.node("Transpose", "input", perm=[0, 3, 1, 2])
    x = n.node("Transpose", n.conv(x, 3, 4), perm=[0, 2, 3, 1])
    x = n.node("ReduceMean", x, axes=[-1], keepdims=1)
    return n.done(n.node("Transpose", x, perm=[0, 3, 1, 2]), [1, 2, 3])


def squeeze_and_excite():
    n = Net("own_squeeze_and_excite", [3, 8, 8])
    x = n.node("Relu", n.batch_norm(n.conv("input", 3, 6, strides=[2, 2], pads=[1, 1, 1, 1]), 6))
    x = n.node("Relu", n.batch_norm(n.conv(x, 6, 6, pads=[1, 1, 1, 1], group=6), 6))
    g = n.node("Relu", n.conv(n.node("GlobalAveragePool", x), 6, 3, 1))
    g = n.node("Clip", n.conv(g, 3, 6, 1), np.float32(0), np.float32(1))
    x = n.batch_norm(n.conv(n.node("Mul", x, g), 6, 4, 1), 4)
    return n.done(n.node("ReduceMean", x, axes=[2, 3], keepdims=0), [4])


def one_dimension():
    n = Net("own_one_dimension", [4, 24])
    x = n.node("Relu", n.batch_norm(n.conv("input", 4, 6, [5], pads=[3, 0], dilations=[2]), 6))
    x = n.node("MaxPool", x, kernel_shape=[3], strides=[2], pads=[1, 0], ceil_mode=1)
    x = n.node("Pad", x, np.array([0, 0, 2, 0, 0, 1]), np.float32(0))
    x = n.node("Relu", n.conv(x, 6, 6, [3], group=6, auto_pad="SAME_UPPER", strides=[2]))
    y = n.node("AveragePool", x, kernel_shape=[3], pads=[1, 1], count_include_pad=1)
    y = n.node("Sub", x, y)
    x = n.node("Mul", x, n.node("GlobalAveragePool", x))
    x = n.node("Concat", n.node("GlobalMaxPool", x), n.node("ReduceMean", y, axes=[2]), axis=1)
    return n.done(n.node("Gemm", n.node("Flatten", x), n.normal(12, 3)), [3])


def signal_gate():
    """[batch, steps, channels], as TensorFlow writes signals."""
    n = Net("own_signal_gate", [12, 3])
    x = n.node("Unsqueeze", n.node("Transpose", "input", perm=[0, 2, 1]), np.array([2]))
    x = n.node("Squeeze", n.conv(x, 3, 4, [1, 3], pads=[0, 2, 0, 0]), np.array([2]))
    x = n.node("Relu", n.node("Transpose", x, perm=[0, 2, 1]))
    x = n.node("Mul", x, n.node("ReduceMax", x, axes=[1], keepdims=1))
    return n.done(n.node("ReduceMean", x, axes=[1], keepdims=0), [4])


def cast_between():
    n = Net("own_cast_between_values", [3, 4, 4])
    x = n.conv("input", 3, 2, 1)
    return n.done(n.node("Mul", n.node("Cast", x, to=TensorProto.FLOAT), x), [2, 4, 4])


def all_cases():
    """Every case: name, model, input."""
    return [
        *(case(function) for case in (alike, broadcast) for function in FUNCTIONS),
        other_ranks(), channels_last(), of_several(), transposed_pair(), five_axes(),
        constant_maps(), constant_of_larger_extents(),
        *(reduced(f"Reduce{kind}", opset) for kind in ("Mean", "Sum", "Max", "Min") for opset in (11, 18)),
        no_axes(), channels_of_rows(), squeeze_and_excite(), one_dimension(), signal_gate(),
        cast_between(),
    ]
