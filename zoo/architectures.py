"""The three architectures of arXiv 2102.02147 as plain lists of steps.

A step list is the one description of a network: `network.Network` runs it in PyTorch,
`export.write` writes it as ONNX and `train_keras.py` builds it in Keras, so all agree on every
name. Every convolution is followed by ReLU and then by BatchNormalization, in this order, as in the
paper.
"""

from dataclasses import dataclass, field

BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class Step:
    """One node: its name, its kind, the names of the values it reads, and its attributes."""

    name: str
    kind: str
    inputs: tuple
    attributes: dict = field(default_factory=dict)


class Builder:
    """Collects steps and numbers them per kind: `conv2d_1`, `conv2d_2`, ..."""

    def __init__(self):
        self.steps = []
        self.counts = {}

    def add(self, kind, prefix, inputs, **attributes):
        self.counts[prefix] = self.counts.get(prefix, 0) + 1
        name = f"{prefix}_{self.counts[prefix]}"
        self.steps.append(Step(name, kind, tuple(inputs), attributes))
        return name

    def conv_block(self, x, channels_in, channels_out, kernel=3, stride=1, pads=(0, 0, 0, 0)):
        """Convolution, ReLU, BatchNormalization; `pads` are top, left, bottom, right."""
        name = self.add(
            "conv", "conv2d", [x], channels_in=channels_in, channels_out=channels_out,
            kernel=kernel, stride=stride, pads=pads,
        )
        self.steps.append(Step(f"{name}_relu", "relu", (name,)))
        return self.add(
            "batch_norm", "batch_normalization", [f"{name}_relu"], channels=channels_out
        )

    def max_pool(self, x, pads=(0, 0, 0, 0)):
        return self.add("max_pool", "max_pooling2d", [x], pads=pads)

    def average_pool(self, x):
        return self.add("average_pool", "average_pooling2d", [x])

    def classifier(self, x, channels, dropout, n_classes=10):
        x = self.add("global_max_pool", "global_max_pooling2d", [x])
        x = self.add("flatten", "flatten", [x])
        if dropout > 0:
            x = self.add("dropout", "dropout", [x], rate=dropout)
        self.add("dense", "dense", [x], channels_in=channels, channels_out=n_classes)
        return self.steps


SAME = (1, 1, 1, 1)
# What "same" padding means for an even extent at stride 2: nothing before, one after.
SAME_STRIDE_2 = (0, 0, 1, 1)


def small(channels, dropout=0.0):
    """Four convolutions on images as they are, of so many channels."""
    b = Builder()
    x = b.conv_block("input", channels, 32)
    x = b.conv_block(x, 32, 32)
    x = b.max_pool(x)
    x = b.conv_block(x, 32, 64, pads=SAME)
    x = b.conv_block(x, 64, 64)
    x = b.max_pool(x)
    return b.classifier(x, 64, dropout)


def large(channels, dropout=0.0):
    """Fourteen convolutions on images as they are, in seven stages of two."""
    b = Builder()
    x = b.conv_block("input", channels, 32)
    for _ in range(3):
        x = b.conv_block(x, 32, 32, pads=SAME)
    x = b.max_pool(x)
    for channels_in, channels_out in ((32, 32), (32, 32), (32, 64), (64, 64)):
        x = b.conv_block(x, channels_in, channels_out, pads=SAME)
    # 13x13 becomes 7x7 and 7x7 becomes 4x4; 15x15 becomes 8x8 and 8x8 becomes 4x4.
    x = b.max_pool(x, pads=SAME_STRIDE_2)
    for _ in range(4):
        x = b.conv_block(x, 64, 64, pads=SAME)
    x = b.max_pool(x, pads=SAME_STRIDE_2)
    for _ in range(2):
        x = b.conv_block(x, 64, 64, pads=SAME)
    return b.classifier(x, 64, dropout)


def inception(channels, dropout=0.0, pooling="max"):
    """Three Inception modules on 96x96 pixels; each halves the extents and has four branches, one
    of which begins with the `pooling`: `max` or `average`."""
    b = Builder()
    pool_of = {"max": b.max_pool, "average": b.average_pool}[pooling]
    x = b.conv_block("input", channels, 20, stride=2, pads=SAME_STRIDE_2)
    channels = 20
    for width in (16, 32, 64):
        one = b.conv_block(x, channels, width, kernel=1, stride=2)
        three = b.conv_block(x, channels, width, kernel=1)
        three = b.conv_block(three, width, width, stride=2, pads=SAME_STRIDE_2)
        five = b.conv_block(x, channels, width, kernel=1)
        five = b.conv_block(five, width, width, pads=SAME)
        five = b.conv_block(five, width, width, stride=2, pads=SAME_STRIDE_2)
        pool = pool_of(x)
        pool = b.conv_block(pool, channels, width, kernel=1)
        x = b.add("concat", "concatenate", [one, three, five, pool])
        channels = 4 * width
    return b.classifier(x, channels, dropout)


ARCHITECTURES = {"small": small, "large": large, "inception": inception}
# The extent an image is resized to before the network sees it; `None` leaves it as it is.
RESIZE = {"small": None, "large": None, "inception": 96}


def build(arch, channels, pooling, dropout):
    """The steps of an architecture for images of so many channels."""
    options = {"dropout": dropout}
    if arch == "inception":
        options["pooling"] = pooling
    elif pooling != "max":
        raise ValueError(f"`{arch}` has no branch that pools; `pooling` is for `inception`")
    return ARCHITECTURES[arch](channels, **options)
