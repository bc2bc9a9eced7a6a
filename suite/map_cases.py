"""Networks that slice, split, gather, repeat, shuffle, pad, resize and convolve transposed, as exporters
spell them; ONNX Runtime gives their expected outputs."""

import numpy as np
from onnx import helper

from own_cases import Net


def split(n, x, parts, *inputs, **attributes):
    """Add a Split; the names of its outputs."""
    inputs = [n.constant(i) for i in inputs]
    names = [f"split_{len(n.nodes) + 1}_{i + 1}" for i in range(parts)]
    n.nodes.append(helper.make_node("Split", [x, *inputs], names, names[0], **attributes))
    return names


def focus():
    n = Net("own_focus", [3, 8, 6])
    corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
    end, axes = np.array([2**63 - 1] * 2), np.array([2, 3])
    x = [n.node("Slice", "input", np.array(c), end, axes, np.array([2, 2])) for c in corners]
    return n.done(n.conv(n.node("Concat", *x, axis=1), 12, 4, 1), [4, 4, 3])


def slices():
    """Backwards, from the end, of channels last, by attributes."""
    n = Net("own_slices", [6, 5, 4], opset=9)
    x = n.node("Slice", "input", starts=[1, -3], ends=[-1, 100], axes=[1, 2])
    x = n.node("Transpose", x, perm=[0, 3, 1, 2])
    x = n.conv(n.node("Slice", x, starts=[-3], ends=[2**31 - 1], axes=[-3]), 3, 4, 2)
    return n.done(n.node("Relu", x), [4, 3, 2])


def flips():
    n = Net("own_flips", [4, 3, 5])
    first, last = np.array([-1, 2**63 - 1]), np.array([-(2**63), -(2**63)])
    x = n.node("Slice", n.conv("input", 4, 4, 1), first, last, np.array([3, 1]), np.array([-1, -2]))
    return n.done(n.conv(n.node("Relu", x), 2, 3, 1), [3, 3, 5])


def splits():
    """By sizes, by their number with a rest, by halves, along rows; parts are taken twice or not at all."""
    n = Net("own_splits", [7, 6, 4], opset=18)
    a, b, c = split(n, "input", 3, num_outputs=3, axis=1)
    x = n.node("Concat", c, n.node("Relu", a), a, b, axis=1)
    a, b, _ = split(n, n.conv(x, 10, 8, 1), 3, np.array([3, 4, 1]), axis=-3)
    top, bottom = split(n, n.node("Concat", b, a, axis=1), 2, num_outputs=2, axis=2)
    return n.done(n.node("Add", top, bottom), [7, 3, 4])


def shuffle_unit():
    """A unit of ShuffleNetV2: half of the channels pass, the others are computed, then they are shuffled."""
    n = Net("own_shuffle_unit", [6, 8, 8])
    x = n.node("Relu", n.conv("input", 6, 8, pads=[1, 1, 1, 1]))
    for _ in range(2):
        a, b = split(n, x, 2, np.array([4, 4]), axis=1)
        b = n.node("Relu", n.batch_norm(n.conv(b, 4, 4, 1, bias=False), 4))
        b = n.batch_norm(n.conv(b, 4, 4, group=4, pads=[1, 1, 1, 1], bias=False), 4)
        b = n.node("Relu", n.conv(b, 4, 4, 1))
        x = n.node("Concat", a, b, axis=1)
        x = n.node("Reshape", x, np.array([-1, 2, 4, 8, 8]))
        x = n.node("Reshape", n.node("Transpose", x, perm=[0, 2, 1, 3, 4]), np.array([-1, 8, 8, 8]))
    x = n.node("Flatten", n.node("GlobalAveragePool", x))
    return n.done(n.node("Gemm", x, n.normal(4, 8), transB=1), [4])


def gathers():
    """A vector and a scalar index, two axes of indices, channels last."""
    n = Net("own_gathers", [6, 5, 4])
    x = n.node("Gather", n.conv("input", 6, 6, 1), np.array([5, -6, 2, 2, 0, 1]), axis=1)
    x = n.node("Gather", n.node("Transpose", x, perm=[0, 2, 3, 1]), np.array([[0, 4], [1, -2]]), axis=1)
    y = n.node("Gather", x, np.array(-1), axis=2)
    x = n.node("Reshape", x, np.array([-1, 4, 4, 6]))
    y = n.node("Transpose", y, perm=[0, 3, 1, 2])
    x = n.node("Concat", n.node("Transpose", x, perm=[0, 3, 1, 2]), y, axis=2)
    return n.done(n.conv(x, 6, 3, [2, 3]), [3, 5, 2])


def tiles():
    """Repeated channels, rows and columns; what tf2onnx makes of UpSampling2D; a vector as an image."""
    n = Net("own_tiles", [3, 4, 3])
    x = n.node("Tile", n.conv("input", 3, 2, 1), np.array([1, 2, 1, 2]))
    up = n.node("Expand", n.node("Unsqueeze", x, np.array([3, 5])), np.array([1, 4, 4, 2, 6, 3]))
    x = n.node("Relu", n.node("Reshape", up, np.array([-1, 4, 8, 18])))
    mean = n.node("Expand", n.node("GlobalAveragePool", x), np.array([1, 1, 8, 18]))
    return n.done(n.node("Concat", mean, n.conv(x, 4, 2, 1), axis=1), [6, 8, 18])


def views():
    """Parts of axes that no image has: windows, patches of unequal order, a slice inside a divided axis."""
    n = Net("own_views", [8, 12, 10])
    x = n.node("Reshape", n.conv("input", 8, 8, 1), np.array([-1, 2, 4, 3, 4, 10]))
    x = n.node("Slice", x, np.array([1, 0]), np.array([3, 3]), np.array([2, 3]), np.array([1, 2]))
    x = n.node("Relu", n.node("Transpose", x, perm=[0, 2, 1, 4, 3, 5]))
    x = n.conv(n.node("Reshape", x, np.array([0, 4, 8, 10])), 4, 5, 1)
    x = n.node("Reshape", n.node("Transpose", x, perm=[0, 2, 1, 3]), np.array([-1, 5, 10, 8]))
    return n.done(n.conv(x, 5, 2), [2, 8, 6])


def pixel_shuffles():
    """By blocks and back, in both orders, around normalization."""
    n = Net("own_pixel_shuffles", [4, 4, 6])
    x = n.batch_norm(n.node("DepthToSpace", n.conv("input", 4, 12, 1), blocksize=2, mode="CRD"), 3)
    x = n.node("SpaceToDepth", n.node("Relu", x), blocksize=4)
    x = n.node("Relu", n.conv(x, 48, 8, 1))
    return n.done(n.node("DepthToSpace", x, blocksize=2), [2, 4, 6])


def pads(mode, negative=False):
    n = Net(f"own_pad_{mode}{'_negative' if negative else ''}", [3, 5, 6], opset=19)
    sides = [0, 0, -1, 2, 0, 1, 2, -2] if negative else [0, 0, 3, 2, 0, 0, 1, 4]
    x = n.node("Pad", n.conv("input", 3, 4, 1), np.array(sides), mode=mode)
    channels, h, w = (5, 6, 6) if negative else (4, 9, 12)
    return n.done(n.conv(x, channels, 2, 2), [2, h - 1, w - 1])


def pad_channels(value):
    n = Net(f"own_pad_channels_{'zero' if value == 0 else 'value'}", [3, 4, 4])
    x = n.node("Relu", n.conv("input", 3, 4, 1))
    x = n.node("Pad", x, np.array([0, 1, 2, 0, 0, 3, -1, 1]), np.float32(value))
    return n.done(n.conv(x, 8, 3, 2), [3, 4, 4])


def resizes(mode):
    """Factors, sizes, coordinates, one after the other."""
    n = Net(f"own_resize_{mode}", [3, 5, 7], opset=18)
    scales = lambda h, w: np.array([1, 1, h, w], np.float32)
    none = np.zeros(0, np.float32)
    x = n.node("Resize", n.conv("input", 3, 3, 1), "", scales(2, 3), mode=mode)
    asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    x = n.node("Resize", x, none, scales(1, 0.6), mode=mode, **asymmetric)
    aligned = {"coordinate_transformation_mode": "align_corners", "nearest_mode": "ceil"}
    x = n.node("Resize", x, "", "", np.array([7, 9]), mode=mode, axes=[2, 3], **aligned)
    half = {"coordinate_transformation_mode": "pytorch_half_pixel", "nearest_mode": "round_prefer_ceil"}
    x = n.node("Resize", x, "", "", np.array([5, 11]), mode=mode, axes=[-1, 2], **half)
    return n.done(n.conv(n.node("Relu", x), 3, 2, 1), [2, 11, 5])


def upsample(opset):
    """The operator before Resize; scales as an attribute or an input."""
    n = Net(f"own_upsample_{opset}", [3, 4, 4], opset=opset)
    scales = np.array([1, 1, 2, 2], np.float32)
    x = n.conv("input", 3, 3, 1)
    given = {"scales": scales.tolist()} if opset < 9 else {}
    x = n.node("Upsample", x, *([] if given else [scales]), mode="linear", **given)
    x = n.node("Upsample", x, *([] if given else [scales]), mode="nearest", **given)
    return n.done(x, [3, 16, 16])


def resize_10():
    n = Net("own_resize_10", [3, 4, 4], opset=10)
    x = n.conv("input", 3, 3, 1)
    x = n.node("Resize", x, np.array([1, 1, 1.5, 2], np.float32), mode="nearest")
    return n.done(n.node("Resize", x, np.array([1, 1, 2, 0.5], np.float32), mode="linear"), [3, 12, 4])


def conv_transpose(name, kernel, output, group=1, **attributes):
    n = Net(f"own_conv_transpose_{name}", [4, 5, 6])
    x = n.node("Relu", n.conv("input", 4, 4, 1))
    x = n.node(
        "ConvTranspose", x, n.normal(4, 6 // group, *kernel), n.normal(6, scale=0.2), group=group,
        kernel_shape=kernel, **attributes,
    )
    return n.done(n.node("Relu", n.batch_norm(x, 6)), [6, *output])


def conv_transposes():
    two = {"strides": [2, 2]}
    return [
        conv_transpose("2", [2, 2], [10, 12], **two),
        conv_transpose("3", [3, 3], [10, 12], pads=[1] * 4, output_padding=[1, 1], **two),
        conv_transpose("4_groups", [4, 4], [10, 12], group=2, pads=[1] * 4, **two),
        conv_transpose("9", [9, 9], [15, 18], strides=[3, 3], pads=[4] * 4, output_padding=[2, 2]),
        conv_transpose("flat", [3, 2], [5, 6], pads=[1, 0, 1, 1]),
        conv_transpose("dilated", [3, 2], [9, 14], dilations=[2, 3], strides=[1, 2]),
        conv_transpose("far", [1, 2], [13, 17], strides=[3, 3]),
        conv_transpose("cropped", [3, 3], [6, 10], strides=[2, 2], pads=[3, 2, 2, 1]),
        conv_transpose("same", [3, 5], [10, 12], auto_pad="SAME_UPPER", **two),
        conv_transpose("lower", [3, 5], [10, 12], auto_pad="SAME_LOWER", **two),
        conv_transpose("shape", [3, 3], [10, 8], output_shape=[10, 8], **two),
    ]


def unet(up):
    """Down and up again, with what was there before beside it."""
    n = Net(f"own_unet_{up}", [3, 16, 16])
    a = n.node("Relu", n.conv("input", 3, 6, pads=[1, 1, 1, 1]))
    x = n.node("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2])
    x = n.node("Relu", n.conv(x, 6, 8, pads=[1, 1, 1, 1]))
    if up == "transposed":
        x = n.node("ConvTranspose", x, n.normal(8, 6, 2, 2), n.normal(6), kernel_shape=[2, 2], strides=[2, 2])
    else:
        x = n.node("Resize", x, "", np.array([1, 1, 2, 2], np.float32), mode=up)
        x = n.conv(x, 8, 6, 1)
    x = n.node("Relu", n.conv(n.node("Concat", x, a, axis=1), 12, 6, pads=[1, 1, 1, 1]))
    return n.done(n.conv(x, 6, 2, 1), [2, 16, 16])


def stacks():
    """Values of five axes side by side, and zeros as constants before, between and behind."""
    n = Net("own_stacks", [4, 5, 6])
    a, b = split(n, n.conv("input", 4, 4, 1), 2, np.array([2, 2]), axis=1)
    x = n.node("Concat", *(n.node("Unsqueeze", part, np.array([2])) for part in (a, b)), axis=2)
    x = n.node("Concat", x, n.node("Relu", x), axis=-1)
    x = n.node("Reshape", x, np.array([0, 4, 5, 12]))
    x = n.node("Concat", n.node("Tile", x, np.array([1, 2, 1, 1])), x, axis=1)
    return n.done(n.conv(x, 12, 3, 2), [3, 4, 11])


def zero_channels():
    n = Net("own_zero_channels", [3, 4, 4])
    zeros = np.zeros((1, 2, 4, 4), np.float32)
    x = n.node("Relu", n.conv("input", 3, 4, 1))
    x = n.node("Concat", zeros, x, zeros, n.conv("input", 3, 2, 1), axis=1)
    return n.done(n.conv(x, 10, 3, 3), [3, 2, 2], n=1)


def conv_transpose_1d():
    n = Net("own_conv_transpose_1d", [4, 7])
    x = n.node("ConvTranspose", "input", n.normal(4, 3, 4), n.normal(3), strides=[2], pads=[1, 1])
    x = n.node("ConvTranspose", n.node("Relu", x), n.normal(3, 2, 3), strides=[3], dilations=[2])
    return n.done(x, [2, 44])


def all_cases():
    """Every case: name, model, input."""
    return [
        focus(), slices(), flips(), splits(), shuffle_unit(),
        gathers(), tiles(), views(), pixel_shuffles(), pads("reflect"), pads("edge"), pads("wrap"),
        pads("edge", True), pads("wrap", True), pad_channels(0), pad_channels(-0.4),
        resizes("nearest"), resizes("linear"), upsample(7), upsample(9), resize_10(),
        stacks(), zero_channels(), *conv_transposes(), conv_transpose_1d(), unet("transposed"), unet("nearest"),
        unet("linear"),
    ]
