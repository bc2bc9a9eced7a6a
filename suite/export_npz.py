"""Runs an archive of `fixedwise export npz` in NumPy: the number format page in integers.

Slow and plain. Values are int64 arrays `[h, w, c]`; all that is known of the network is in the archive.
"""

import json
import math

import numpy as np

PAIRS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
}


def load(path):
    """The description, and every array by name."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop("fixedwise"))), arrays


def shift_round(x, shift, rounding):
    if shift <= 0:
        return x << -shift
    if rounding == "floor":
        return x >> shift
    up = (x + (1 << (shift - 1))) >> shift
    if rounding == "ties-even":
        is_tie = (x & ((1 << shift) - 1)) == 1 << (shift - 1)
        return up - (is_tie & (up & 1 == 1))
    return up


def requantize(x, how):
    y = shift_round(x, how["shift"], how["rounding"])
    slope = how["leaky"]
    if slope is not None:
        below = shift_round(x * slope["mantissa"], how["shift"] + slope["frac"], how["rounding"])
        y = np.where(x < 0, below, y)
    return y.clip(how["min"], how["max"])


def taps(x, window, shape, fill):
    """The value under each tap of a window, `[kh, kw, h, w, c]`; `fill` outside the image."""
    kernel, stride, dilation, begin = (
        window[key] for key in ("kernel", "stride", "dilation", "pad_begin")
    )
    need = [(shape[a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1 for a in (0, 1)]
    end = [max(0, need[a] - begin[a] - x.shape[a]) for a in (0, 1)]
    x = np.pad(x, [(begin[0], end[0]), (begin[1], end[1]), (0, 0)], constant_values=fill)
    under = np.empty((*kernel, *shape[:2], x.shape[2]), np.int64)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = i * dilation[0] + stride[0] * np.arange(shape[0])
            columns = j * dilation[1] + stride[1] * np.arange(shape[1])
            under[i, j] = x[rows][:, columns]
    return under


def conv(node, arrays, x):
    weights = arrays[node["weights"]].astype(np.int64)
    under = taps(x, node["window"], node["shape"], 0)
    groups = node["groups"]
    parts = zip(np.split(weights, groups), np.split(under, groups, axis=4))
    acc = np.concatenate([np.einsum("oijc,ijhwc->hwo", w, u) for w, u in parts], axis=2)
    rows, columns = arrays[node["row_class"]], arrays[node["column_class"]]
    classes = rows[:, None].astype(int) * node["n_column_classes"] + columns[None, :]
    return acc + arrays[node["bias"]].astype(np.int64)[classes]


def max_pool(node, x):
    sign = np.where(np.array(node["minimum"] or [False] * x.shape[2]), -1, 1)
    return taps(x * sign, node["window"], node["shape"], -(1 << 40)).max(axis=(0, 1)) * sign


def compute(node, arrays, inputs):
    op = node["op"]
    if op == "constant":
        return arrays[node["values"]].astype(np.int64)
    x = inputs[0]
    if op == "conv":
        y = conv(node, arrays, x)
        if node["residual_shift"] is not None:
            # Each channel has its own shift.
            coarser = np.array(node["coarser"] or [0] * y.shape[2])
            y = y + (inputs[1].reshape(y.shape) << (node["residual_shift"] - coarser))
        if node["coarser"]:
            how = node["requantization"]
            hows = [{**how, "shift": how["shift"] - bits} for bits in node["coarser"]]
            return np.stack([requantize(y[:, :, c], how) for c, how in enumerate(hows)], axis=2)
    elif op in PAIRS:
        a, b = (x << shift for x, shift in zip(inputs, node["shifts"]))
        y = PAIRS[op](a, b)
    elif op.removesuffix("_constant") in PAIRS:
        pair = [x, arrays[node["constant"]].astype(np.int64)]
        a, b = (x << shift for x, shift in zip(pair[:: -1 if node["is_first"] else 1], node["shifts"]))
        y = PAIRS[op.removesuffix("_constant")](a, b)
    elif op == "average_pool":
        sums = taps(x, node["window"], node["shape"], 0).sum(axis=(0, 1))
        y = sums * arrays[node["reciprocals"]].astype(np.int64)[:, :, None]
    elif op == "concat":
        parts = zip(inputs, node["requantizations"], node["runs"])
        return np.concatenate([requantize(x, how).reshape(-1, run) for x, how, run in parts], axis=1)
    elif op == "function":
        table, lines = arrays[node["table"]].astype(np.int64), node["lines"]
        if lines is None:
            return table[x - node["first"]]
        k, g, start = lines["shift"], lines["guard"], x - node["first"]
        i, r = start >> k, start & ((1 << k) - 1)
        between = ((table[i + 1] - table[i]) * r + (1 << (k - 1))) >> k
        y = (table[i] + between + (1 << (g - 1))) >> g
        return np.clip(y, lines["min"], lines["max"])
    elif op == "max_pool":
        return max_pool(node, x)
    elif op == "pad":
        y = np.full(node["shape"], node["value"])
        (top, left), (h, w, _) = node["begin"], x.shape
        y[top : top + h, left : left + w] = x
        return y
    elif op == "prelu":
        how = node["requantization"]
        slopes, fracs = (arrays[node[kind]].astype(np.int64) for kind in ("mantissas", "fracs"))
        slopes, fracs = (np.tile(v, x.size // v.size).reshape(x.shape) for v in (slopes, fracs))
        below = np.zeros_like(x)
        for frac in np.unique(fracs):
            own = requantize(x * slopes, {**how, "shift": how["shift"] + int(frac)})
            below = np.where(fracs == frac, own, below)
        return np.where(x < 0, below, requantize(x, how))
    elif op == "index_map":
        rows, columns, channels = (arrays[node[axis]] for axis in ("rows", "columns", "channels"))
        parts = np.meshgrid(rows, columns, channels, indexing="ij")
        source, is_zero = sum(parts), np.any([part < 0 for part in parts], axis=0)
        return np.where(is_zero, 0, x.reshape(-1)[np.where(is_zero, 0, source)])
    elif op == "mat_mul":
        a, b = inputs
        y = np.einsum("mik,mjk->mij", a, b) * node["factor"]
    elif op == "layer_normalization":
        n = x.shape[2]
        total = x.sum(axis=2, keepdims=True) * node["is_centered"]
        variance = n * (x * x).sum(axis=2, keepdims=True) - total * total + node["epsilon"]
        pairs = np.vectorize(lambda v: (62 - int(v).bit_length()) // 2)(variance)
        reciprocal = 2**61 // np.vectorize(math.isqrt)(variance << (2 * pairs))
        how, product = node["requantization"], (n * x - total) * reciprocal
        y = np.zeros_like(x)
        for few in np.unique(pairs):
            own = requantize(product, {**how, "shift": how["shift"] - int(few)})
            y = np.where(pairs == few, own, y)
        return y
    elif op == "softmax":
        difference = x.max(axis=2, keepdims=True) - x
        fine = arrays[node["fine"]].astype(np.int64)[difference & 255]
        coarse = arrays[node["coarse"]].astype(np.int64)[difference >> 8]
        exponential = np.where(difference < 256, fine, (fine * coarse + 2**29) >> 30)
        y = exponential * ((2**62 - 1) // exponential.sum(axis=2, keepdims=True))
    elif op == "resize":
        for axis, bits in zip(("rows", "columns"), node["weight_bits"]):
            first, weight = (arrays[node[axis]][:, i].astype(np.int64) for i in (0, 1))
            at = 0 if axis == "rows" else 1
            weight = weight.reshape(-1, *[1] * (2 - at))
            last = first + (weight.reshape(-1) > 0)
            x = np.take(x, first, at) * (2**bits - weight) + np.take(x, last, at) * weight
        return requantize(x, node["requantization"])
    elif op == "reshape":
        return x.reshape(-1)[arrays[node["source"]]]
    elif op == "rescale":
        y = x
    else:
        raise ValueError(f"unknown operation {op}")
    return requantize(y, node["requantization"])


def limits(form):
    top = (1 << (form["bits"] - (form["range"] != "unsigned"))) - 1
    return {"unsigned": 0, "narrow": -top, "full": -top - 1}[form["range"]], top


def run_image(description, arrays, image):
    """The integers of every node for one image of raw pixels."""
    values = []
    for node in description["nodes"]:
        form = node["format"]
        if node["op"] == "input":
            y = np.round(image.astype(np.float64) * 2.0 ** form["frac"]).clip(*limits(form))
            y = y.astype(np.int64)
        else:
            y = compute(node, arrays, [values[i] for i in node["inputs"]])
        y = y.reshape(node["shape"])
        low, high = limits(form)
        assert low <= y.min() and y.max() <= high, node["name"]
        values.append(y)
    return values


def run(path, images):
    """The real values of the classes, `[n, classes]`; of several outputs, one after the other."""
    description, arrays = load(path)

    def results(image):
        values = run_image(description, arrays, image)
        for output in description["outputs"]:
            step = 2.0 ** -description["nodes"][output["node"]]["format"]["frac"]
            yield values[output["node"]].reshape(-1) * step

    return np.array([np.concatenate(list(results(image))) for image in images])
