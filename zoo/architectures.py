"""The three architectures of arXiv 2102.02147 as plain lists of steps.

A step list is the one description of a network: `Network` runs it in PyTorch and `export.write`
writes it as ONNX, so both agree on every name. Every convolution is followed by ReLU and then by
BatchNormalization, in this order, as in the paper.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

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

    def classifier(self, x, channels, n_classes=10):
        x = self.add("global_max_pool", "global_max_pooling2d", [x])
        x = self.add("flatten", "flatten", [x])
        self.add("dense", "dense", [x], channels_in=channels, channels_out=n_classes)
        return self.steps


SAME = (1, 1, 1, 1)
# What "same" padding means for an even extent at stride 2: nothing before, one after.
SAME_STRIDE_2 = (0, 0, 1, 1)


def small():
    """Four convolutions on 28x28 pixels."""
    b = Builder()
    x = b.conv_block("input", 1, 32)
    x = b.conv_block(x, 32, 32)
    x = b.max_pool(x)
    x = b.conv_block(x, 32, 64, pads=SAME)
    x = b.conv_block(x, 64, 64)
    x = b.max_pool(x)
    return b.classifier(x, 64)


def large():
    """Fourteen convolutions on 28x28 pixels, in seven stages of two."""
    b = Builder()
    x = b.conv_block("input", 1, 32)
    for _ in range(3):
        x = b.conv_block(x, 32, 32, pads=SAME)
    x = b.max_pool(x)
    for channels_in, channels_out in ((32, 32), (32, 32), (32, 64), (64, 64)):
        x = b.conv_block(x, channels_in, channels_out, pads=SAME)
    # 13x13 becomes 7x7 and 7x7 becomes 4x4.
    x = b.max_pool(x, pads=SAME_STRIDE_2)
    for _ in range(4):
        x = b.conv_block(x, 64, 64, pads=SAME)
    x = b.max_pool(x, pads=SAME_STRIDE_2)
    for _ in range(2):
        x = b.conv_block(x, 64, 64, pads=SAME)
    return b.classifier(x, 64)


def inception():
    """Three Inception modules on 96x96 pixels; each halves the extents and has four branches."""
    b = Builder()
    x = b.conv_block("input", 1, 20, stride=2, pads=SAME_STRIDE_2)
    channels = 20
    for width in (16, 32, 64):
        one = b.conv_block(x, channels, width, kernel=1, stride=2)
        three = b.conv_block(x, channels, width, kernel=1)
        three = b.conv_block(three, width, width, stride=2, pads=SAME_STRIDE_2)
        five = b.conv_block(x, channels, width, kernel=1)
        five = b.conv_block(five, width, width, pads=SAME)
        five = b.conv_block(five, width, width, stride=2, pads=SAME_STRIDE_2)
        pool = b.max_pool(x)
        pool = b.conv_block(pool, channels, width, kernel=1)
        x = b.add("concat", "concatenate", [one, three, five, pool])
        channels = 4 * width
    return b.classifier(x, channels)


ARCHITECTURES = {"small": small, "large": large, "inception": inception}
# The extent a 28x28 image is resized to before the network sees it; `None` leaves it as it is.
RESIZE = {"small": None, "large": None, "inception": 96}


class Network(nn.Module):
    """Runs a step list; the output is the logits, without softmax."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleDict()
        for step in steps:
            a = step.attributes
            if step.kind == "conv":
                layer = nn.Conv2d(
                    a["channels_in"], a["channels_out"], a["kernel"], stride=a["stride"],
                    padding=torch_padding(a["pads"]),
                )
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
            elif step.kind == "batch_norm":
                layer = nn.BatchNorm2d(a["channels"], eps=BATCH_NORM_EPSILON)
            elif step.kind == "dense":
                layer = nn.Linear(a["channels_in"], a["channels_out"])
            else:
                continue
            self.layers[step.name] = layer

    def forward(self, x):
        values = {"input": x}
        for step in self.steps:
            inputs = [values[name] for name in step.inputs]
            values[step.name] = self.run_step(step, inputs)
        return values[self.steps[-1].name]

    def run_step(self, step, inputs):
        x = inputs[0]
        if step.kind == "conv":
            pads = step.attributes["pads"]
            if pads == SAME_STRIDE_2:
                x = functional.pad(x, (0, 1, 0, 1))
            return self.layers[step.name](x)
        if step.kind in ("batch_norm", "dense"):
            return self.layers[step.name](x)
        if step.kind == "relu":
            return functional.relu(x)
        if step.kind == "max_pool":
            # On odd extents `ceil_mode` is one padded row below and one column to the right.
            return functional.max_pool2d(x, 2, ceil_mode=step.attributes["pads"] == SAME_STRIDE_2)
        if step.kind == "global_max_pool":
            return torch.amax(x, dim=(2, 3), keepdim=True)
        if step.kind == "flatten":
            return x.flatten(1)
        if step.kind == "concat":
            return torch.cat(inputs, dim=1)
        raise ValueError(f"unknown step kind `{step.kind}`")


def torch_padding(pads):
    """Symmetric padding as PyTorch's convolution takes it; uneven padding is its own step."""
    return 1 if pads == SAME else 0
