"""Constants beside what is computed: joined to it, and with each element of values of more than four axes.

Written as those of `own_cases.py`.
"""

import numpy as np

from own_cases import Net


def for_each_image(n, value):
    """The constant once for each image, as a free batch has it."""
    batch = n.node("Gather", n.node("Shape", "input"), np.array([0]), axis=0)
    shape = n.node("Concat", batch, np.array(value.shape), axis=0)
    return n.node("Expand", value[None], shape)


def coordinates():
    """Maps of rows and columns before and behind features, zeros beside them."""
    n = Net("own_coordinates", [3, 4, 5])
    rows, columns = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 5), indexing="ij")
    rows, columns = (for_each_image(n, x[None].astype(np.float32)) for x in (rows, columns))
    zeros = for_each_image(n, np.zeros((2, 4, 5), np.float32))
    x = n.node("Concat", zeros, rows, n.conv("input", 3, 4, 1), columns, zeros, axis=1)
    return n.done(n.conv(n.node("Relu", x), 10, 3, 3), [3, 2, 3])


def joined_numbers():
    """Along rows, along a signal, in a vector, and on five axes."""
    n = Net("own_joined_numbers", [3, 4, 4])
    x = n.node("Concat", n.conv("input", 3, 4, 1), for_each_image(n, n.normal(4, 2, 4, scale=1)), axis=2)
    x = n.node("Reshape", n.node("Relu", x), np.array([0, 2, 2, 6, 4]))
    x = n.node("Concat", for_each_image(n, n.normal(2, 1, 6, 4, scale=1)), x, axis=2)
    x = n.node("Reshape", x, np.array([0, 6, 24]))
    x = n.node("Concat", x, for_each_image(n, n.normal(6, 3, scale=1)), axis=-1)
    x = n.node("ReduceMean", x, axes=[2], keepdims=0)
    x = n.node("Concat", for_each_image(n, n.normal(2, scale=1)), x, axis=1)
    return n.done(n.node("MatMul", x, n.normal(5, 8).T), [5])


def boxes():
    """The head of a detector with anchors: offsets on a grid, sizes by anchors, on five axes."""
    n = Net("own_boxes", [3, 4, 5])
    x = n.conv("input", 3, 21, 1)
    x = n.node("Reshape", x, np.array([0, 3, 7, 4, 5]))
    x = n.node("Sigmoid", n.node("Transpose", x, perm=[0, 1, 3, 4, 2]))
    part = lambda first, last: n.node(
        "Slice", x, np.array([first]), np.array([last]), np.array([-1])
    )
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1)[None, None] - 0.5
    grid = np.broadcast_to(grid, (1, 3, 4, 5, 2)).astype(np.float32)
    anchors = n.random.uniform(1, 4, (1, 3, 1, 1, 2)).astype(np.float32)
    xy = n.node("Mul", n.node("Add", n.node("Mul", part(0, 2), np.float32(2)), grid), np.float32(8))
    wh = n.node("Mul", n.node("Pow", n.node("Mul", part(2, 4), np.float32(2)), np.float32(2)), anchors)
    far = n.node("Sub", np.full((1, 1, 1, 1, 2), 40, np.float32), n.node("Max", xy, np.float32(3)))
    x = n.node("Concat", far, n.node("Div", wh, anchors * 2), part(4, 7), axis=4)
    return n.done(n.node("Reshape", x, np.array([0, 60, 7])), [60, 7])


def constants_on_five_axes():
    """Two computed values of five axes in different orders, and numbers along the first and the third."""
    n = Net("own_constants_on_five_axes", [6, 4, 2])
    a = n.node("Reshape", n.conv("input", 6, 6, 1), np.array([0, 2, 3, 4, 2]))
    b = n.node("Reshape", n.conv("input", 6, 6, 1), np.array([0, 3, 2, 4, 2]))
    x = n.node("Add", a, n.node("Transpose", b, perm=[0, 2, 1, 3, 4]))
    x = n.node("Mul", x, n.normal(2, 1, 4, 1, scale=1))
    x = n.node("Min", n.node("Sub", x, n.normal(3, 1, 1, scale=1)), n.normal(2, 3, 4, 2, scale=1))
    return n.done(n.node("Reshape", x, np.array([0, 6, 8])), [6, 8])


def all_cases():
    """Every case: name, model, input."""
    return [coordinates(), joined_numbers(), boxes(), constants_on_five_axes()]

