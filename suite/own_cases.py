"""Small networks of several nodes, written here; ONNX Runtime gives their expected outputs.

They cover what the package's one-node cases leave out: layout changes around convolutions as
TensorFlow exports them, orders of flattening, normalization inside the graph, padding next to
BatchNormalization, branches, and the older forms of operators.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Net:
    """Builds one network; constants are drawn from a seed made of its name."""

    def __init__(self, name, shape, opset=13):
        self.name, self.shape, self.opset = name, shape, opset
        self.random = np.random.default_rng(list(name.encode()))
        self.nodes, self.initializers, self.functions = [], [], []

    def normal(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(max(1, np.prod(shape[1:])))
        return (self.random.standard_normal(shape) * scale).astype(np.float32)

    def constant(self, value):
        value = np.asarray(value)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        name = f"constant_{len(self.initializers) + 1}"
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator, *inputs, **attributes):
        """Add a node; an input that is no name becomes a constant."""
        inputs = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        name = f"{operator.lower()}_{len(self.nodes) + 1}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def conv(self, x, channels_in, channels_out, kernel=3, bias=True, group=1, **attributes):
        kernel = kernel if isinstance(kernel, list) else [kernel] * 2
        weights = [self.normal(channels_out, channels_in // group, *kernel)]
        if bias:
            weights.append(self.normal(channels_out, scale=0.2))
        return self.node("Conv", x, *weights, group=group, kernel_shape=kernel, **attributes)

    def batch_norm(self, x, channels, negative=False):
        scale = self.random.uniform(0.5, 1.5, channels).astype(np.float32)
        if negative:
            scale[::2] *= -1
        return self.node(
            "BatchNormalization", x, scale, self.normal(channels, scale=0.3),
            self.normal(channels, scale=0.3),
            self.random.uniform(0.5, 2, channels).astype(np.float32), epsilon=1e-3,
        )

    def done(self, output, shape, n=2):
        """The case: name, model, input."""
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [output], ["output"], "output")], self.name,
            [info("input", TensorProto.FLOAT, ["batch", *self.shape])],
            [info("output", TensorProto.FLOAT, ["batch", *shape])], self.initializers,
        )
        domains = {function.domain for function in self.functions}
        model = helper.make_model(
            graph, ir_version=8 if self.functions else 7, functions=self.functions,
            opset_imports=[helper.make_opsetid("", self.opset)]
            + [helper.make_opsetid(domain, 1) for domain in sorted(domains)],
        )
        x = self.random.standard_normal((n, *self.shape)).astype(np.float32)
        return self.name, model, x


def nhwc_convolution():
    n = Net("own_nhwc_convolution", [6, 5, 3])
    x = n.node("Transpose", "input", perm=[0, 3, 1, 2])
    x = n.node("Relu", n.conv(x, 3, 4, pads=[1, 1, 1, 1]))
    return n.done(n.node("Transpose", x, perm=[0, 2, 3, 1]), [6, 5, 4])


def nhwc_classifier():
    n = Net("own_nhwc_classifier", [8, 8, 3])
    x = n.node("Transpose", "input", perm=[0, 3, 1, 2])
    x = n.conv(x, 3, 8, strides=[2, 2], pads=[0, 0, 1, 1])
    x = n.node("Clip", x, np.float32(0), np.float32(6))
    x = n.node("Transpose", x, perm=[0, 2, 3, 1])
    x = n.node("ReduceMean", x, axes=[1, 2], keepdims=0)
    x = n.node("Add", n.node("MatMul", x, n.normal(8, 5).T.reshape(8, 5)), n.normal(5, scale=0.2))
    return n.done(n.node("Softmax", x, axis=-1), [5])


def nhwc_flatten():
    n = Net("own_nhwc_flatten", [4, 5, 2])
    x = n.node("Transpose", "input", perm=[0, 3, 1, 2])
    x = n.node("Transpose", n.conv(x, 2, 3), perm=[0, 2, 3, 1])
    x = n.node("Reshape", x, np.array([-1, 18]))
    return n.done(n.node("MatMul", x, n.normal(18, 4)), [4])


def nhwc_bias_and_relu():
    n = Net("own_nhwc_bias_and_relu", [4, 4, 3])
    x = n.node("Sub", "input", np.array([0.4, 0.5, 0.6]))
    x = n.node("Transpose", x, perm=[0, 3, 1, 2])
    x = n.node("Transpose", n.conv(x, 3, 4, bias=False), perm=[0, 2, 3, 1])
    x = n.node("Relu", n.node("Add", x, n.normal(4, scale=0.5)))
    return n.done(x, [2, 2, 4])


def flatten_gemm():
    n = Net("own_flatten_gemm", [2, 6, 5])
    x = n.node("Flatten", n.node("Relu", n.conv("input", 2, 3)), axis=1)
    x = n.node("Gemm", x, n.normal(7, 36), n.normal(7, scale=0.2), transB=1, alpha=0.5, beta=2.0)
    return n.done(x, [7])


def reshape_zero():
    n = Net("own_reshape_zero", [3, 4, 4])
    x = n.node("MaxPool", n.conv("input", 3, 4), kernel_shape=[2, 2])
    x = n.node("Reshape", x, np.array([0, -1]))
    return n.done(n.node("Gemm", x, n.normal(4, 6)), [6])


def pad_convolution():
    n = Net("own_pad_convolution", [3, 7, 7], opset=11)
    x = n.node("Pad", "input", np.array([0, 0, 0, 0, 0, 0, 1, 1]), np.float32(0), mode="constant")
    return n.done(n.conv(x, 3, 4, strides=[2, 2]), [4, 3, 3])


def pad_value():
    n = Net("own_pad_value", [2, 4, 4])
    x = n.node("Pad", "input", np.array([0, 0, 2, 1, 0, 0, 0, 1]), np.float32(-0.7))
    return n.done(n.conv(x, 2, 3), [3, 4, 4])


def batch_norm_back():
    n = Net("own_batch_norm_back", [3, 6, 6])
    x = n.batch_norm(n.conv("input", 3, 4, pads=[1, 1, 1, 1]), 4, negative=True)
    return n.done(n.conv(n.node("Relu", x), 4, 3), [3, 4, 4])


def batch_norm_forward():
    n = Net("own_batch_norm_forward", [2, 7, 7])
    x = n.batch_norm(n.node("Relu", n.conv("input", 2, 4)), 4)
    return n.done(n.conv(x, 4, 5, pads=[1, 1, 1, 1]), [5, 5, 5])


def batch_norm_max_pool():
    n = Net("own_batch_norm_max_pool", [2, 8, 8])
    x = n.batch_norm(n.node("Relu", n.conv("input", 2, 4, pads=[1, 1, 1, 1])), 4)
    x = n.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return n.done(n.conv(x, 4, 5, pads=[1, 1, 1, 1]), [5, 4, 4])


def batch_norm_negative_max_pool():
    n = Net("own_batch_norm_negative_max_pool", [2, 8, 8])
    x = n.batch_norm(n.node("Relu", n.conv("input", 2, 4)), 4, negative=True)
    x = n.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return n.done(n.conv(x, 4, 5, pads=[1, 1, 1, 1]), [5, 3, 3])


def batch_norm_concat():
    n = Net("own_batch_norm_concat", [2, 7, 7])
    a = n.batch_norm(n.node("Relu", n.conv("input", 2, 3, 1)), 3)
    b = n.batch_norm(n.node("Relu", n.conv("input", 2, 4, pads=[1, 1, 1, 1])), 4)
    x = n.node("Concat", a, b, axis=1)
    return n.done(n.conv(x, 7, 5, strides=[2, 2], pads=[0, 0, 1, 1]), [5, 3, 3])


def batch_norm_first():
    n = Net("own_batch_norm_first", [3, 6, 6])
    x = n.batch_norm("input", 3)
    return n.done(n.conv(x, 3, 4, pads=[1, 0, 2, 1], dilations=[2, 1]), [4, 5, 5])


def normalization():
    n = Net("own_normalization", [3, 6, 6])
    x = n.node("Sub", "input", np.array([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1))
    x = n.node("Div", x, np.array([0.2, 0.3, 0.25]).reshape(3, 1, 1))
    x = n.node("Add", n.node("Mul", np.float32(0.5), x), np.float32(0.1))
    return n.done(n.conv(x, 3, 4, pads=[1, 1, 1, 1]), [4, 6, 6])


def constant_minus_value():
    n = Net("own_constant_minus_value", [3, 4, 4])
    return n.done(n.node("Sub", np.float32(1), "input"), [3, 4, 4])


def matmul_bias():
    n = Net("own_matmul_bias", [6])
    x = n.node("Relu", n.node("Add", n.normal(5), n.node("MatMul", "input", n.normal(6, 5))))
    return n.done(n.node("Add", n.node("MatMul", x, n.normal(5, 3)), n.normal(1, 3)), [3])


def transposed_weights():
    n = Net("own_transposed_weights", [6])
    weights = n.node("Transpose", n.normal(5, 6), perm=[1, 0])
    return n.done(n.node("MatMul", "input", weights), [5])


def reduce_mean_11():
    n = Net("own_reduce_mean_11", [3, 4, 5], opset=11)
    return n.done(n.node("ReduceMean", "input", axes=[-2, -1], keepdims=1), [3, 1, 1])


def reduce_mean_18():
    n = Net("own_reduce_mean_18", [3, 4, 5], opset=18)
    return n.done(n.node("ReduceMean", "input", np.array([2, 3]), keepdims=0), [3])


def squeeze_11():
    n = Net("own_squeeze_11", [3, 8], opset=11)
    x = n.conv(n.node("Unsqueeze", "input", axes=[2]), 3, 4, [1, 3], pads=[0, 1, 0, 1])
    return n.done(n.node("Squeeze", x, axes=[2]), [4, 8])


def squeeze_13():
    n = Net("own_squeeze_13", [3, 8])
    x = n.conv(n.node("Unsqueeze", "input", np.array([3])), 3, 4, [3, 1], strides=[2, 1])
    x = n.node("MaxPool", x, kernel_shape=[3, 1])
    return n.done(n.node("Squeeze", x, np.array([2, -1])), [4])


def convolution_1d():
    n = Net("own_convolution_1d", [4, 12])
    x = n.node("Relu", n.conv("input", 4, 6, [5], group=2, pads=[2, 1], strides=[2]))
    x = n.node("AveragePool", x, kernel_shape=[2], strides=[2])
    return n.done(n.node("GlobalMaxPool", x), [6, 1])


def softmax_11():
    n = Net("own_softmax_11", [6], opset=11)
    return n.done(n.node("Softmax", "input"), [6])


def clip_one_sided():
    n = Net("own_clip_one_sided", [3, 4, 4], opset=11)
    x = n.node("Clip", n.conv("input", 3, 4, 1), "", np.float32(0.5))
    return n.done(n.node("Clip", n.conv(x, 4, 4, 1), np.float32(-0.3)), [4, 4, 4])


def leaky_relu():
    n = Net("own_leaky_relu", [3, 5, 5])
    x = n.node("LeakyRelu", n.conv("input", 3, 4), alpha=0.2)
    return n.done(n.node("LeakyRelu", n.conv(x, 4, 4)), [4, 1, 1])


def residual_block():
    n = Net("own_residual_block", [4, 8, 8])
    x = n.batch_norm(n.conv("input", 4, 6, strides=[2, 2], pads=[1, 1, 1, 1], bias=False), 6)
    x = n.batch_norm(n.conv(n.node("Relu", x), 6, 6, pads=[1, 1, 1, 1], bias=False), 6)
    shortcut = n.batch_norm(n.conv("input", 4, 6, 1, strides=[2, 2], bias=False), 6)
    x = n.node("Relu", n.node("Add", x, shortcut))
    y = n.conv(x, 6, 6, pads=[1, 1, 1, 1])
    x = n.node("Relu", n.node("Add", y, x))
    return n.done(n.node("Flatten", n.node("GlobalAveragePool", x)), [6])


def add_value_to_itself():
    n = Net("own_add_value_to_itself", [3, 4, 4])
    x = n.conv("input", 3, 4, 1)
    return n.done(n.node("Add", x, x), [4, 4, 4])


def inception_block():
    n = Net("own_inception_block", [4, 8, 8])
    one = n.node("Relu", n.conv("input", 4, 3, 1))
    three = n.node("Relu", n.conv(n.conv("input", 4, 2, 1), 2, 4, pads=[1, 1, 1, 1]))
    pool = n.node("MaxPool", "input", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    mean = n.node("AveragePool", "input", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = n.node("Concat", one, three, n.conv(pool, 4, 2, 1), mean, axis=1)
    return n.done(n.conv(x, 13, 5), [5, 6, 6])


def concat_rows():
    n = Net("own_concat_rows", [3, 4, 4])
    a, b = n.conv("input", 3, 2, 1), n.conv("input", 3, 2, [2, 1])
    return n.done(n.node("Concat", a, b, axis=-2), [2, 7, 4])


def depthwise_separable():
    n = Net("own_depthwise_separable", [6, 9, 9])
    x = n.conv("input", 6, 12, group=6, strides=[2, 2], pads=[0, 1, 2, 1])
    x = n.node("Clip", x, np.float32(0), np.float32(6))
    x = n.conv(x, 12, 12, group=12, dilations=[2, 2], pads=[2, 2, 2, 2], bias=False)
    return n.done(n.conv(x, 12, 5, 1), [5, 5, 5])


def auto_pad(mode, height):
    n = Net(f"own_auto_pad_{mode.lower()}", [3, 8, 7])
    x = n.conv("input", 3, 4, [3, 2], auto_pad=mode, strides=[2, 2])
    return n.done(n.node("MaxPool", x, kernel_shape=[2, 2], auto_pad=mode), height)


def max_pool_ceil():
    n = Net("own_max_pool_ceil", [3, 8, 7])
    x = n.node("MaxPool", "input", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[0, 1, 0, 1])
    return n.done(x, [3, 4, 4])


def average_pool(include):
    n = Net(f"own_average_pool_include_{include}", [3, 7, 9])
    x = n.node(
        "AveragePool", "input", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1],
        count_include_pad=include,
    )
    return n.done(n.conv(x, 3, 4, 1), [4, 4, 5])


def average_pool_ceil():
    n = Net("own_average_pool_ceil", [3, 8, 8])
    x = n.node("AveragePool", "input", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    return n.done(x, [3, 4, 4])


def constant_nodes():
    n = Net("own_constant_nodes", [3, 4, 4])
    weights = n.node("Constant", value=numpy_helper.from_array(n.normal(2, 3, 1, 1)))
    bias = n.node("Constant", value_floats=[0.25, -0.5])
    x = n.node("Conv", "input", weights, bias)
    x = n.node("Mul", x, n.node("Constant", value_float=0.75))
    return n.done(n.node("Reshape", x, n.node("Constant", value_ints=[-1, 32])), [32])


def constant_of_shape():
    n = Net("own_constant_of_shape", [3, 4, 4])
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.02])
    weights = n.node("ConstantOfShape", np.array([2, 3, 3, 3]), value=value)
    return n.done(n.node("Conv", "input", weights), [2, 2, 2])


def typed_data():
    n = Net("own_typed_data", [3, 4, 4])
    weights, shape = n.normal(2, 3, 2, 2), [-1, 18]
    n.initializers += [
        helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.flatten().tolist()),
        helper.make_tensor("shape", TensorProto.INT64, [2], shape),
    ]
    return n.done(n.node("Reshape", n.node("Conv", "input", "weights"), "shape"), [18])


def dropout(opset):
    n = Net(f"own_dropout_{opset}", [3, 4, 4], opset=opset)
    x = n.conv("input", 3, 2, 1)
    x = n.node("Dropout", x, np.float32(0.3)) if opset >= 12 else n.node("Dropout", x, ratio=0.3)
    return n.done(n.node("Identity", x), [2, 4, 4])


def shared_weights():
    n = Net("own_shared_weights", [3, 6, 6])
    weights = n.constant(n.normal(3, 3, 3, 3))
    x = n.node("Relu", n.node("Conv", "input", weights, pads=[1, 1, 1, 1]))
    return n.done(n.node("Conv", x, weights), [3, 4, 4])


def unused_nodes():
    n = Net("own_unused_nodes", [3, 6, 6])
    x = n.conv("input", 3, 2)
    n.node("Relu", n.conv(x, 2, 4))
    return n.done(n.node("Relu", x), [2, 4, 4])

def allow_zero():
    n = Net("own_allow_zero", [2, 5, 5], opset=18)
    x = n.node("Reshape", n.conv("input", 2, 4), np.array([-1, 36]), allowzero=1)
    return n.done(n.node("Gemm", x, n.normal(36, 3)), [3])


def batch_of_shape():
    """Flattening as PyTorch writes it where the batch is open."""
    n = Net("own_batch_of_shape", [2, 5, 5])
    x = n.conv("input", 2, 4)
    batch = n.node("Gather", n.node("Shape", x), np.array(0), axis=0)
    batch = n.node("Unsqueeze", batch, np.array([0]))
    return n.done(n.node("Reshape", x, n.node("Concat", batch, np.array([-1]), axis=0)), [36])


def shape_arithmetic():
    """Flattening as TensorFlow writes it: the product of all extents but the batch."""
    n = Net("own_shape_arithmetic", [2, 5, 5])
    x = n.node("Transpose", n.conv("input", 2, 4), perm=[0, 2, 3, 1])
    shape = n.node("Cast", n.node("Shape", x), to=TensorProto.INT32)
    rest = n.node("Slice", shape, np.array([1]), np.array([2**63 - 1]), np.array([0]))
    rest = n.node("ReduceProd", rest, keepdims=1, axes=[0])
    batch = n.node("Slice", shape, np.array([0]), np.array([1]), np.array([0]))
    target = n.node("Cast", n.node("Concat", batch, rest, axis=0), to=TensorProto.INT64)
    return n.done(n.node("Reshape", x, target), [36])


def batch_in_the_middle():
    """The batch times the channels is one axis in between."""
    n = Net("own_batch_in_the_middle", [3, 4, 6])
    x = n.node("Relu", n.conv("input", 3, 4, pads=[1, 1, 1, 1]))
    shape = n.node("Shape", x)
    entry = [n.node("Slice", shape, np.array([i]), np.array([i + 1])) for i in range(4)]
    product = n.node("Mul", entry[0], entry[1])
    y = n.node("Reshape", x, n.node("Concat", product, np.array([1]), *entry[2:], axis=0))
    y = n.node("Relu", n.node("Squeeze", y, np.array([1])))
    back = n.node("Div", product, np.array([4]))
    y = n.node("Reshape", y, n.node("Concat", back, np.array([2, 2, 4, 6]), axis=0))
    y = n.node("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = n.node("Reshape", y, np.array([-1, 4, 4, 6]))
    return n.done(n.conv(y, 4, 3), [3, 2, 4])


def unequal_reshape():
    """Extents that do not divide each other, behind a transpose."""
    n = Net("own_unequal_reshape", [2, 3, 4])
    x = n.node("Transpose", n.conv("input", 2, 4, 1), perm=[0, 3, 1, 2])
    x = n.node("Reshape", x, np.array([0, 6, 8]))
    x = n.node("Transpose", x, perm=[0, 2, 1])
    return n.done(n.node("Reshape", x, np.array([-1, 48])), [48])


def flatten_2():
    n = Net("own_flatten_2", [1, 4, 5])
    x = n.node("Flatten", n.conv("input", 1, 1), axis=2)
    return n.done(n.node("Gemm", x, n.normal(6, 3)), [3])


def nhwc_one_channel():
    """TensorFlow's converter moves the one channel to the front by a reshape."""
    n = Net("own_nhwc_one_channel", [7, 5, 1])
    x = n.conv(n.node("Reshape", "input", np.array([-1, 1, 7, 5])), 1, 4)
    x = n.node("ReduceMean", n.node("Transpose", x, perm=[0, 2, 3, 1]), axes=[1, 2], keepdims=0)
    return n.done(n.node("MatMul", x, n.normal(4, 3)), [3])


def nhwc_normalized():
    """An image with the channels last, normalized per channel before it is transposed."""
    n = Net("own_nhwc_normalized", [6, 5, 3])
    x = n.node("Div", n.node("Sub", "input", np.array([0.1, 0.2, 0.3])), np.array([0.5, 0.6, 0.7]))
    x = n.conv(n.node("Transpose", x, perm=[0, 3, 1, 2]), 3, 4)
    return n.done(n.node("GlobalAveragePool", x), [4, 1, 1])


def signal_channels_last():
    n = Net("own_signal_channels_last", [12, 2])
    x = n.node("Relu", n.conv(n.node("Transpose", "input", perm=[0, 2, 1]), 2, 4, [3]))
    x = n.node("MaxPool", x, kernel_shape=[2], strides=[2])
    return n.done(n.node("ReduceMean", n.node("Transpose", x, perm=[0, 2, 1]), axes=[1], keepdims=0), [4])


def signal_as_image():
    """A convolution over a signal as TensorFlow's converter writes it."""
    n = Net("own_signal_as_image", [12, 1])
    x = n.node("Unsqueeze", "input", np.array([1]))
    x = n.node("Transpose", x, perm=[0, 3, 1, 2])
    x = n.node("Relu", n.conv(x, 1, 4, [1, 3]))
    x = n.node("Squeeze", n.node("Transpose", x, perm=[0, 2, 3, 1]), np.array([1]))
    return n.done(n.node("MatMul", n.node("Reshape", x, np.array([-1, 40])), n.normal(40, 3)), [3])


def opset_7():
    n = Net("own_opset_7", [3, 6, 6], opset=7)
    x = n.node("Pad", "input", mode="constant", pads=[0, 0, 1, 1, 0, 0, 0, 0], value=0.5)
    x = n.node("Clip", n.batch_norm(n.conv(x, 3, 4), 4), min=-0.5, max=0.5)
    x = n.node("MaxPool", n.node("Dropout", x, ratio=0.3), kernel_shape=[2, 2], strides=[2, 2])
    x = n.node("Unsqueeze", n.node("Reshape", x, np.array([-1, 16])), axes=[2])
    x = n.node("Squeeze", x, axes=[2])
    weights = n.node("Transpose", n.node("Slice", n.normal(9, 16), starts=[2], ends=[-2], axes=[0]))
    return n.done(n.node("Gemm", x, weights, np.zeros(5)), [5])


def stored_integers():
    """Weights as integers with a scale, one rounded on the way."""
    n = Net("own_stored_integers", [3, 6, 6], opset=17)
    weights = n.random.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
    zeros = np.array([3, -2, 0, 1], np.int8)
    scales = n.random.uniform(0.001, 0.01, 4).astype(np.float32)
    weights = n.node("DequantizeLinear", weights, scales, zeros, axis=0)
    x = n.node("Conv", "input", weights)
    step, zero = np.float32(0.02), np.uint8(121)
    stored = n.node("QuantizeLinear", n.normal(4, 1, 1, scale=0.5), step, zero)
    x = n.node("Add", x, n.node("DequantizeLinear", stored, step, zero))
    return n.done(n.node("GlobalAveragePool", x), [4, 1, 1])


def nested_functions():
    """Operators that the model defines: in each other, with attributes of their own, and of one name."""
    n = Net("own_nested_functions", [3, 6, 6], opset=17)
    own, standard = "own", helper.make_opsetid("", 17)
    clip = helper.make_node("Clip", ["x", "low", "high"], ["y"], "clip")
    low, high = (helper.make_node("Constant", [], [name], name) for name in ("low", "high"))
    for node, attribute in ((low, "least"), (high, "most")):
        reference = helper.make_attribute("value_float", 0.0)
        reference.ClearField("f")
        reference.ref_attr_name = attribute
        node.attribute.append(reference)
    default = helper.make_attribute("least", -0.25)
    bounded = helper.make_function(
        own, "Bounded", ["x"], ["y"], [low, high, clip], [standard], ["most"], [default])
    call = helper.make_node("Bounded", ["t"], ["y"], "same", domain=own, most=0.5)
    other = helper.make_node("Bounded", ["t"], ["z"], "again", domain=own, most=0.5, least=0.0)
    block = helper.make_function(
        own, "Block", ["x", "w", "b"], ["y", "z"],
        [helper.make_node("Conv", ["x", "w", "b"], ["t"], "clip"), call, other],
        [standard, helper.make_opsetid(own, 1)])
    n.functions = [bounded, block]
    for number in (1, 2):
        weights, bias = n.constant(n.normal(3, 3, 3, 3)), n.constant(n.normal(3)) if number == 1 else ""
        inputs = ["input" if number == 1 else "b1", weights, *([bias] if bias else [])]
        n.nodes.append(helper.make_node(
            "Block", inputs, [f"a{number}", f"b{number}"], f"block_{number}", domain=own))
    return n.done(n.node("Add", "a2", "b2"), [3, 2, 2])


def constant_condition():
    """A branch that the extents decide, and what only the other one needs."""
    n = Net("own_constant_condition", [3, 6, 6])
    x = n.conv("input", 3, 4)
    width = n.node("Gather", n.node("Shape", x), np.array(3))
    condition = n.node("Equal", width, np.array(4))
    other = n.node("Erf", x)
    value = helper.make_tensor_value_info("same", TensorProto.FLOAT, None)
    then = helper.make_graph(
        [helper.make_node("Relu", [x], ["t"]), helper.make_node("MaxPool", ["t"], ["same"],
                                                                kernel_shape=[2, 2])],
        "then", [], [value])
    otherwise = helper.make_graph([helper.make_node("Tanh", [other], ["same"])], "else", [], [value])
    x = n.node("If", condition, then_branch=then, else_branch=otherwise)
    return n.done(n.node("Flatten", x), [36])


def constants(number, build, opset=18):
    """A vector plus the results of many nodes on constants."""
    n = Net(f"own_constants_{number}", [0], opset=opset)
    parts = [
        n.node("Reshape", n.node("Cast", part, to=TensorProto.FLOAT), np.array([-1]))
        for part in build(n)
    ]
    x = n.node("Concat", *parts, axis=0)
    sizes = helper.make_graph(n.nodes, "sizes", [], [
        helper.make_tensor_value_info(x, TensorProto.FLOAT, None)], n.initializers)
    sizes = helper.make_model(
        sizes, ir_version=7, opset_imports=[helper.make_opsetid("", opset)])
    import onnxruntime

    session = onnxruntime.InferenceSession(sizes.SerializeToString())
    n.shape = [session.run(None, {})[0].size]
    return n.done(n.node("Add", "input", x), n.shape)


def moves(n):
    x, i = n.constant(n.normal(2, 3, 4, scale=1)), np.arange(24).reshape(2, 3, 4)
    f32 = np.float32
    yield n.node("Gather", x, np.array([[1, -1], [0, 2]]), axis=1)
    yield n.node("Gather", x, np.array(-1), axis=-1)
    yield n.node("GatherElements", x, np.array([[[1, 0]], [[0, -1]]]), axis=0)
    yield n.node("GatherND", x, np.array([[0, 1], [1, 2]]))
    yield n.node("Slice", x, np.array([1, -1]), np.array([2**62, -(2**62)]), np.array([1, 2]), np.array([1, -2]))
    yield n.node("Concat", x, n.normal(2, 1, 4, scale=1), axis=-2)
    yield n.node("Expand", n.normal(3, 1, scale=1), np.array([2, 1, 4]))
    yield n.node("Tile", n.normal(2, 3, scale=1), np.array([2, 3]))
    yield n.node("Transpose", x, perm=[2, 0, 1])
    yield n.node("Transpose", x)
    yield n.node("Where", np.array([[True], [False], [True]]), x, f32(7))
    yield n.node("Unsqueeze", n.node("Squeeze", n.normal(1, 3, 1, scale=1), np.array([-1])), np.array([0, -1]))
    yield n.node("Flatten", x, axis=2)
    yield n.node("Reshape", x, np.array([0, -1, 2]))
    yield n.node("ScatterND", x, np.array([[0, 1], [1, 0]]), n.normal(2, 4, scale=1))
    yield n.node("ScatterElements", x, np.array([[[1, 2]]]), n.normal(1, 1, 2, scale=1), axis=1)
    yield n.node("Pad", x, np.array([0, 1, 0, 0, 0, 2]), f32(3))
    yield n.node("Pad", i, np.array([1, 2]), np.array(-1), np.array([-1]))
    for name, sizes, attributes in (("a", [1, 3], {}), ("b", None, {"num_outputs": 2})):
        inputs = [n.constant(n.normal(4, 2, scale=1))] + ([n.constant(np.array(sizes))] if sizes else [])
        n.nodes.append(helper.make_node("Split", inputs, [f"{name}1", f"{name}2"], name, axis=0, **attributes))
        yield from (f"{name}2", f"{name}1")


def arithmetic(n):
    x, y = n.normal(2, 3, scale=2), n.normal(3, scale=2)
    i, j = np.array([[7, -7, 8], [5, 0, -9]]), np.array([2, -3, 4])
    for operator in ("Add", "Sub", "Mul", "Div", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"):
        yield n.node(operator, x, y)
        yield n.node(operator, i, j)
    yield n.node("Mod", i, j)
    yield n.node("Mod", i, j, fmod=1)
    yield n.node("Mod", x, y, fmod=1)
    yield n.node("Pow", np.abs(x), y)
    yield n.node("Pow", x, np.array([0, 2, 3]))
    yield n.node("Pow", j, np.array([2, 3, 0]))
    for operator in ("Min", "Max", "Sum", "Mean"):
        yield n.node(operator, x, y, np.float32(0.1))
    yield n.node("Max", i, j)
    for operator in ("And", "Or", "Xor"):
        yield n.node(operator, np.array([[True], [False]]), np.array([True, False]))
    for operator in ("Abs", "Neg", "Sign"):
        yield n.node(operator, x)
        yield n.node(operator, i)
    for operator in ("Floor", "Ceil", "Exp", "Sin", "Cos", "Tanh", "Sigmoid", "Reciprocal", "Relu"):
        yield n.node(operator, x)
    for operator in ("Sqrt", "Log"):
        yield n.node(operator, np.abs(x))
    yield n.node("Round", np.array([0.5, 1.5, 2.5, -0.5, -1.2]))
    yield n.node("Not", n.node("Less", x, y))
    yield n.node("IsNaN", np.array([1.0, np.nan], np.float32))
    yield n.node("IsInf", np.array([np.inf, -np.inf, 0], np.float32), detect_negative=0)
    yield n.node("Clip", x, np.float32(-0.5))
    yield n.node("Clip", i, np.array(-3), np.array(6))
    for to in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.DOUBLE):
        yield n.node("Cast", x, to=to)
    yield n.node("CastLike", x, j)


def reductions(n):
    x, i = n.constant(n.normal(2, 3, 4, scale=1)), n.constant(np.arange(-12, 12).reshape(2, 3, 4))
    for operator in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare"):
        yield n.node("Reduce" + operator, x, np.array([0, -1]), keepdims=0)
        yield n.node("Reduce" + operator, x)
        if operator not in ("L2",):
            yield n.node("Reduce" + operator, i, np.array([1]))
    yield n.node("ReduceSum", x, noop_with_empty_axes=1)
    yield n.node("ArgMax", x, axis=-1, keepdims=0)
    yield n.node("ArgMin", x, axis=1)
    yield n.node("ArgMax", np.array([[1, 3, 3]]), axis=1, select_last_index=1)
    yield n.node("CumSum", x, np.array(1))
    yield n.node("CumSum", i, np.array(-1), exclusive=1, reverse=1)
    yield n.node("MatMul", n.normal(2, 3, 4, scale=1), n.normal(2, 4, 2, scale=1))


def created(n):
    x = n.constant(n.normal(3, 4, scale=1))
    number = helper.make_tensor("value", TensorProto.INT64, [1], [7])
    yield n.node("ConstantOfShape", np.array([2, 2]), value=number)
    yield n.node("ConstantOfShape", np.array([3]))
    yield n.node("Range", np.array(7), np.array(-2), np.array(-2))
    yield n.node("Range", np.float32(0.5), np.float32(2.1), np.float32(0.4))
    yield n.node("Shape", x, start=-1)
    yield n.node("Shape", x)
    yield n.node("Size", x)
    yield n.node("EyeLike", x, k=1)
    yield n.node("Trilu", x, np.array(1))
    yield n.node("Trilu", x, upper=0)
    yield n.node("NonZero", np.array([[0, 3], [2, 0], [0, 0]]))
    yield n.node("OneHot", np.array([1, -1, 0]), np.array(3), np.array([-1.0, 2.0], np.float32), axis=0)
    for name, attributes in (("floats", {"value_floats": [1.5, 2.5]}), ("int", {"value_int": 3})):
        n.nodes.append(helper.make_node("Constant", [], [name], name, **attributes))
        yield name
    yield n.node("Identity", x)
    stored = n.random.integers(-8, 8, (4, 6)).astype(np.int8)
    yield n.node("DequantizeLinear", stored, np.float32(0.5))
    yield n.node("DequantizeLinear", stored, np.arange(1, 7).astype(np.float32), axis=1)
    yield n.node("QuantizeLinear", n.normal(2, 3, scale=3), np.array([0.01, 0.1, 1], np.float32), np.array([0, 3, -4], np.int8), axis=-1)



def functions():
    """Every function of each element, side by side."""
    n = Net("own_functions", [2, 3, 4], opset=20)
    x = n.conv("input", 2, 2, kernel=1)
    names = (
        "Abs Asinh Atan Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Mish Neg "
        "Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Tan Tanh ThresholdedRelu"
    ).split()
    values = [n.node(name, x) for name in names]
    inside = n.node("Sigmoid", x)
    values += [n.node(name, inside) for name in "Acos Asin Atanh Log Reciprocal Sqrt".split()]
    values.append(n.node("Acosh", n.node("Exp", n.node("Relu", x))))
    values += [
        n.node("Celu", x, alpha=0.6), n.node("Elu", x, alpha=0.6), n.node("Gelu", x, approximate="tanh"),
        n.node("HardSigmoid", x, alpha=1 / 6, beta=0.4), n.node("Selu", x, alpha=1.5, gamma=0.9),
        n.node("Shrink", x, lambd=0.4, bias=0.3), n.node("ThresholdedRelu", x, alpha=0.2),
        n.node("Pow", x, np.float32(2)), n.node("Pow", inside, np.float32(-1.5)),
        n.node("Pow", np.float32(2), x), n.node("Div", np.float32(0.5), inside),
    ]
    return n.done(n.node("Concat", *values, axis=1), [2 * len(values), 3, 4])


def spelled_functions():
    """Functions of one value as exporters spell them."""
    n = Net("own_spelled_functions", [2, 3, 4])
    x = n.conv("input", 2, 2, kernel=1)
    one, half = np.float32(1), np.float32(0.5)
    silu = n.node("Mul", x, n.node("Sigmoid", x))
    swish = n.node("Mul", n.node("Clip", n.node("Add", x, np.float32(3)), np.float32(0), np.float32(6)), x)
    swish = n.node("Div", swish, np.float32(6))
    erf = n.node("Add", n.node("Erf", n.node("Div", x, np.float32(2**0.5))), one)
    gelu = n.node("Mul", n.node("Mul", x, erf), half)
    mish = n.node("Mul", x, n.node("Tanh", n.node("Softplus", x)))
    leaky = n.node("Max", n.node("Mul", x, np.float32(0.2)), x)
    soft = n.node("Div", x, n.node("Add", n.node("Abs", x), one))
    clipped = n.node("Min", n.node("LeakyRelu", x, alpha=0.3), half)
    values = [silu, swish, gelu, mish, leaky, soft, clipped]
    return n.done(n.conv(n.node("Concat", *values, axis=1), 14, 3, kernel=1), [3, 3, 4])


def slopes():
    """Slopes below zero of any shape."""
    n = Net("own_slopes", [3, 2, 3])
    x = n.conv("input", 3, 3, kernel=1)
    shapes = [(3, 1, 1), (1, 3, 1, 1), (1, 1, 1), (1,), (3, 2, 3), (2, 1), (3,)]
    values = [n.node("PRelu", x, n.normal(*shape, scale=0.5)) for shape in shapes]
    return n.done(n.node("Concat", *values, axis=1), [21, 2, 3])


def image_attention():
    """Attention over the pixels of an image, as detectors have it: heads are channels, matrices are transposed."""
    n = Net("own_image_attention", [6, 3, 4])
    x = n.conv("input", 6, 16, kernel=1)
    x = n.node("Reshape", x, np.array([-1, 2, 8, 12]))
    n.nodes.append(helper.make_node("Split", [x, n.constant(np.array([2, 2, 4]))], ["q", "k", "v"], "split", axis=2))
    scores = n.node("MatMul", n.node("Transpose", "q", perm=[0, 1, 3, 2]), "k")
    weights = n.node("Softmax", n.node("Mul", scores, np.float32(2**-0.5)), axis=-1)
    x = n.node("MatMul", "v", n.node("Transpose", weights, perm=[0, 1, 3, 2]))
    return n.done(n.conv(n.node("Reshape", x, np.array([-1, 8, 3, 4])), 8, 3, kernel=1), [3, 3, 4])


def token_attention():
    """Attention over tokens as transformers have it, with a bias for positions; the factors stand before."""
    n = Net("own_token_attention", [5, 6])
    x = n.node("Add", n.node("MatMul", "input", n.normal(6, 18)), n.normal(18, scale=0.2))
    x = n.node("Transpose", n.node("Reshape", x, np.array([0, 5, 3, 2, 3])), perm=[2, 0, 3, 1, 4])
    q, k, v = (n.node("Gather", x, np.array(i), axis=0) for i in range(3))
    q = n.node("Mul", q, np.float32(0.76))
    k = n.node("Mul", n.node("Transpose", k, perm=[0, 1, 3, 2]), np.float32(0.76))
    scores = n.node("Add", n.node("MatMul", q, k), n.normal(1, 2, 5, 5))
    x = n.node("MatMul", n.node("Softmax", scores), v)
    x = n.node("Reshape", n.node("Transpose", x, perm=[0, 2, 1, 3]), np.array([0, 5, 6]))
    return n.done(n.node("MatMul", x, n.normal(6, 4)), [5, 4])


def window_attention():
    """Attention in windows, which are images of a larger batch meanwhile."""
    n = Net("own_window_attention", [4, 4, 6])
    x = n.node("Reshape", "input", np.array([-1, 2, 2, 2, 2, 6]))
    x = n.node("Reshape", n.node("Transpose", x, perm=[0, 1, 3, 2, 4, 5]), np.array([-1, 4, 6]))
    x = n.node("MatMul", x, n.normal(6, 18))
    x = n.node("Transpose", n.node("Reshape", x, np.array([-1, 4, 3, 2, 3])), perm=[2, 0, 3, 1, 4])
    q, k, v = (n.node("Gather", x, np.array(i), axis=0) for i in range(3))
    scores = n.node("MatMul", n.node("Div", q, np.float32(3**0.5)), n.node("Transpose", k, perm=[0, 1, 3, 2]))
    x = n.node("MatMul", n.node("Softmax", scores), v)
    x = n.node("Reshape", n.node("Transpose", x, perm=[0, 2, 1, 3]), np.array([-1, 4, 6]))
    x = n.node("MatMul", x, n.normal(6, 6))
    x = n.node("Transpose", n.node("Reshape", x, np.array([-1, 2, 2, 2, 2, 6])), perm=[0, 1, 3, 2, 4, 5])
    return n.done(n.node("Reshape", x, np.array([-1, 4, 4, 6])), [4, 4, 6])


def softmax_axes():
    """Softmax over every axis, inside."""
    n = Net("own_softmax_axes", [2, 3, 4])
    x = n.conv("input", 2, 2, kernel=1)
    values = [n.node("Softmax", x, axis=axis) for axis in (1, 2, 3, -2)]
    values.append(n.node("LogSoftmax", x, axis=2))
    return n.done(n.node("Concat", *values, axis=1), [10, 3, 4])


def softmax_flattened():
    """Softmax over all axes from one on, as before opset 13, inside."""
    n = Net("own_softmax_flattened", [2, 3, 4], opset=11)
    x = n.conv("input", 2, 2, kernel=1)
    values = [n.node("Softmax", x), *(n.node("Softmax", x, axis=axis) for axis in (1, 2, 3))]
    values.append(n.node("LogSoftmax", x, axis=2))
    return n.done(n.node("Concat", *values, axis=1), [10, 3, 4])


def attention_pooling():
    """Weights of pixels, and the weighted means of features over radixes: products with one row and a softmax each."""
    n = Net("own_attention_pooling", [4, 3, 2])
    x = n.conv("input", 4, 4, kernel=1)
    mask = n.node("Reshape", n.conv("input", 4, 1, kernel=1), np.array([-1, 1, 6]))
    weights = n.node("Unsqueeze", n.node("Softmax", mask, axis=2), np.array([3]))
    flat = n.node("Unsqueeze", n.node("Reshape", x, np.array([-1, 4, 6])), np.array([1]))
    context = n.node("Reshape", n.node("MatMul", flat, weights), np.array([-1, 4, 1, 1]))
    x = n.node("Add", x, n.conv(context, 4, 4, kernel=1))
    split = n.node("Reshape", x, np.array([-1, 2, 2, 3, 2]))
    gap = n.conv(n.node("GlobalAveragePool", x), 4, 4, kernel=1)
    gate = n.node("Softmax", n.node("Reshape", gap, np.array([-1, 2, 2])), axis=1)
    gate = n.node("Reshape", gate, np.array([-1, 2, 2, 1, 1]))
    x = n.node("ReduceSum", n.node("Mul", split, gate), np.array([1]), keepdims=0)
    return n.done(x, [2, 3, 2])


def products():
    """Products of values with axes of one on either side, and of matrices of constants on the left."""
    n = Net("own_products", [4, 3, 4])
    x = n.conv("input", 4, 4, kernel=1)
    y = n.conv("input", 4, 1, kernel=1)
    square = n.node("MatMul", x, n.node("Transpose", x, perm=[0, 1, 3, 2]))
    shared = n.node("MatMul", y, n.node("Transpose", x, perm=[0, 1, 3, 2]))
    right = n.node("MatMul", n.node("Relu", x), n.node("Transpose", y, perm=[0, 1, 3, 2]))
    right = n.node("MatMul", right, n.normal(3, 3))
    left = n.node("MatMul", n.normal(3, 3), n.node("MatMul", x, n.normal(1, 1, 4, 3)))
    one = n.node("MatMul", n.node("Reshape", x, np.array([-1, 4, 12])), n.node("Reshape", y, np.array([-1, 12, 1])))
    one = n.node("Reshape", one, np.array([-1, 4, 1, 1]))
    x = n.node("Add", n.node("Concat", square, shared, right, left, axis=1), n.conv(one, 4, 1, kernel=1))
    return n.done(x, [16, 3, 3])


def normalizations():
    """Normalizations of each image, over all that they are over, with scales and without."""
    n = Net("own_normalizations", [4, 3, 4], opset=21)
    x = n.conv("input", 4, 4, kernel=1)
    last = n.node("Transpose", x, perm=[0, 2, 3, 1])
    a = n.node("LayerNormalization", last, n.normal(4), n.normal(4), axis=-1, epsilon=0.1)
    a = n.node("Transpose", a, perm=[0, 3, 1, 2])
    b = n.node("LayerNormalization", x, n.normal(3, 4), axis=2)
    c = n.node("InstanceNormalization", x, n.normal(4), n.normal(4), epsilon=0.01)
    d = n.node("GroupNormalization", x, n.normal(4), n.normal(4), num_groups=2)
    e = n.node("Reshape", x, np.array([0, 2, -1]))
    e = n.node("InstanceNormalization", e, np.ones(2, np.float32), np.zeros(2, np.float32))
    e = n.node("Mul", n.node("Reshape", e, np.array([0, 4, 3, 4])), n.normal(4, 1, 1))
    f = n.node("LayerNormalization", x, np.ones(4, np.float32), axis=3)
    return n.done(n.node("Concat", a, b, c, d, e, f, axis=1), [24, 3, 4])


def lengths():
    """Sums of functions of elements, and what is divided by its length."""
    n = Net("own_lengths", [4, 3, 4])
    x = n.conv("input", 4, 4, kernel=1)
    last = n.node("Transpose", x, perm=[0, 2, 3, 1])
    length = n.node("ReduceL2", last, axes=[-1], keepdims=1)
    a = n.node("Div", last, n.node("Clip", length, np.float32(1e-12)))
    a = n.node("Transpose", a, perm=[0, 3, 1, 2])
    b = n.node("LpNormalization", x, axis=1, p=2)
    c = n.node("ReduceLogSumExp", x, axes=[1], keepdims=1)
    d = n.node("ReduceL1", x, axes=[1], keepdims=1)
    e = n.node("Unsqueeze", n.node("ReduceSumSquare", x, axes=[1], keepdims=0), np.array([1]))
    f = n.node("ReduceLogSum", n.node("Exp", x), axes=[1], keepdims=1)
    return n.done(n.node("Concat", a, b, c, d, e, f, axis=1), [12, 3, 4])


def windows():
    """What is done with windows that stand beside the images of a batch, on its axis."""
    n = Net("own_windows", [8, 4, 6])
    x = n.conv("input", 8, 8, kernel=1)
    # Windows of 2 x 3, as rows of features.
    x = n.node("Reshape", x, np.array([-1, 8, 2, 2, 2, 3]))
    x = n.node("Reshape", n.node("Transpose", x, perm=[0, 2, 4, 3, 5, 1]), np.array([-1, 6, 8]))
    x = n.node("Add", n.node("MatMul", x, n.normal(8, 8)), n.normal(8))
    x = n.node("Mul", x, n.normal(6, 1))
    # Each feature by the statistics of all of them, whatever image they are of.
    x = n.batch_norm(n.node("Reshape", n.node("Relu", x), np.array([-1, 8])), 8, negative=True)
    x = n.node("Reshape", x, np.array([-1, 2, 2, 2, 3, 8]))
    x = n.node("Reshape", n.node("Transpose", x, perm=[0, 5, 1, 3, 2, 4]), np.array([-1, 8, 4, 6]))
    return n.done(n.conv(x, 8, 4), [4, 2, 4])


def pixels_of_patches():
    """Sums and products of pixels of patches, which stand beside the images of a batch, with what a layer makes of them."""
    n = Net("own_pixels_of_patches", [8, 4, 6])
    x = n.conv("input", 8, 8, kernel=1)
    # Patches of 2 x 3: each pixel of all of them, as rows of features.
    x = n.node("Reshape", x, np.array([-1, 8, 2, 2, 2, 3]))
    x = n.node("Reshape", n.node("Transpose", x, perm=[0, 3, 5, 2, 4, 1]), np.array([-1, 4, 8]))
    y = n.node("Add", x, n.node("MatMul", n.node("Relu", x), n.normal(8, 8)))
    gate = n.node("Sigmoid", n.node("MatMul", y, n.normal(8, 1)))
    y = n.node("Max", n.node("Mul", y, gate), x)
    y = n.node("Reshape", y, np.array([-1, 2, 3, 2, 2, 8]))
    y = n.node("Reshape", n.node("Transpose", y, perm=[0, 5, 3, 1, 4, 2]), np.array([-1, 8, 4, 6]))
    return n.done(n.conv(y, 8, 4), [4, 2, 4])


def all_cases():
    """Every case: name, model, input."""
    return [
        nhwc_convolution(), nhwc_classifier(), nhwc_flatten(), nhwc_bias_and_relu(),
        flatten_gemm(), reshape_zero(), pad_convolution(), pad_value(), batch_norm_back(),
        batch_norm_forward(), batch_norm_max_pool(), batch_norm_negative_max_pool(),
        batch_norm_concat(), batch_norm_first(), normalization(), constant_minus_value(),
        matmul_bias(), transposed_weights(), reduce_mean_11(), reduce_mean_18(), squeeze_11(),
        squeeze_13(), convolution_1d(), softmax_11(), clip_one_sided(), leaky_relu(),
        residual_block(), add_value_to_itself(), inception_block(), concat_rows(),
        depthwise_separable(), auto_pad("SAME_UPPER", [4, 4, 4]), auto_pad("SAME_LOWER", [4, 4, 4]),
        auto_pad("VALID", [4, 2, 2]), max_pool_ceil(), average_pool(0), average_pool(1),
        average_pool_ceil(), constant_nodes(), constant_of_shape(), typed_data(), dropout(11),
        dropout(13), shared_weights(), unused_nodes(), allow_zero(), batch_of_shape(),
        shape_arithmetic(), batch_in_the_middle(), unequal_reshape(), flatten_2(),
        nhwc_one_channel(), nhwc_normalized(), signal_channels_last(), signal_as_image(), opset_7(),
        stored_integers(), nested_functions(), constant_condition(), constants("moves", moves),
        constants("arithmetic", arithmetic), constants("reductions", reductions),
        constants("created", created), functions(), spelled_functions(), slopes(),
        image_attention(), token_attention(), window_attention(), softmax_axes(), softmax_flattened(),
        attention_pooling(), products(), normalizations(), lengths(), windows(), pixels_of_patches(),
    ]
