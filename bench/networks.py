"""Writes the mobile networks whose speed `bench/run.sh --mobile` measures, as ONNX files.

    python bench/networks.py FOLDER

Needs `bench/requirements-census.txt`. Weights are random, the statistics of normalizations are those of random images,
so that no value is lost in noise or infinite; the number of images in a batch is free. Files that are there are kept.
"""

import sys
import warnings
from pathlib import Path

import timm
import torch
import torchvision
from torch import nn

warnings.filterwarnings("ignore")


def unit(inputs, outputs, kernel, stride=1, groups=1, activation=True):
    """A convolution, its normalization and ReLU."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *[nn.ReLU()] * activation)


def mobilenet_v1(width):
    """Source: Howard et al., MobileNets, 2017, table 1."""
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    channels = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    inputs = int(32 * width)
    layers = [unit(3, inputs, 3, 2)]
    for stride, outputs in zip(strides, channels):
        outputs = int(outputs * width)
        layers += [unit(inputs, inputs, 3, stride, groups=inputs), unit(inputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


class ResNet8(nn.Module):
    """Source: MLPerf Tiny, image classification."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.body = nn.Sequential(unit(inputs, outputs, 3, stride), unit(outputs, outputs, 3, activation=False))
            self.skip = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x):
            return torch.relu(self.body(x) + self.skip(x))

    def __init__(self):
        super().__init__()
        blocks = [self.Block(16, 16, 1), self.Block(16, 32, 2), self.Block(32, 64, 2)]
        self.body = nn.Sequential(unit(3, 16, 3), *blocks, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        return self.body(x)


def networks():
    """Name, how it is built, rows and columns of an image."""
    for size in (96, 224):
        yield f"mobilenet_v1_025_{size}", lambda: mobilenet_v1(0.25), size
        yield f"mobilenet_v2_035_{size}", lambda: timm.create_model("mobilenetv2_035"), size
        yield f"mobilenet_v3_small_{size}", lambda: torchvision.models.mobilenet_v3_small(), size
    yield "resnet_8", ResNet8, 32


def main():
    (folder,) = sys.argv[1:]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, build, size in networks():
        path = folder / f"{name}.onnx"
        if path.exists():
            continue
        torch.manual_seed(0)
        network = build()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                # The mean over all images that are seen in training mode.
                module.momentum = None
        with torch.no_grad():
            network.train()(torch.rand(16, 3, size, size))
        part = path.with_suffix(".part")
        torch.onnx.export(
            network.eval(), (torch.rand(1, 3, size, size),), str(part), dynamo=False, opset_version=17,
            input_names=["image"], output_names=["logits"],
            dynamic_axes={"image": {0: "images"}, "logits": {0: "images"}},
        )
        part.rename(path)
        print(path)


if __name__ == "__main__":
    main()
