"""Runs a list of steps in PyTorch."""

import torch
from torch import nn
from torch.nn import functional

from architectures import BATCH_NORM_EPSILON, SAME, SAME_STRIDE_2

ACTIVATIONS = {
    "relu": functional.relu, "relu6": functional.relu6, "hard_swish": functional.hardswish,
    "hard_sigmoid": functional.hardsigmoid,
}


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
                    padding=torch_padding(a["pads"]), groups=a.get("groups", 1), bias=a.get("bias", True),
                )
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif step.kind == "batch_norm":
                layer = nn.BatchNorm2d(a["channels"], eps=BATCH_NORM_EPSILON)
            elif step.kind == "dropout":
                layer = nn.Dropout(a["rate"])
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
        if step.kind in ("batch_norm", "dense", "dropout"):
            return self.layers[step.name](x)
        if step.kind in ACTIVATIONS:
            return ACTIVATIONS[step.kind](x)
        if step.kind == "add":
            return x + inputs[1]
        if step.kind == "mul":
            return x * inputs[1]
        if step.kind == "global_average_pool":
            return x.mean((2, 3), keepdim=True)
        if step.kind == "max_pool":
            # On odd extents `ceil_mode` is one padded row below and one column to the right.
            return functional.max_pool2d(x, 2, ceil_mode=step.attributes["pads"] == SAME_STRIDE_2)
        if step.kind == "average_pool":
            return functional.avg_pool2d(x, 2)
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
