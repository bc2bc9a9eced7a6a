"""Architectures that embedded projects deploy, as lists of steps: the networks of MLPerf Tiny and small MobileNets.

Every convolution but the shortcuts of a ResNet has no bias and is followed by BatchNormalization, then by its
activation.
"""

from architectures import SAME, Builder


class DeployedBuilder(Builder):
    def conv(self, x, channels_in, channels_out, kernel=3, stride=1, groups=1, bias=False):
        pads = SAME if kernel == 3 else (0, 0, 0, 0)
        return self.add(
            "conv", "conv2d", [x], channels_in=channels_in, channels_out=channels_out, kernel=kernel, stride=stride,
            pads=pads, groups=groups, bias=bias,
        )

    def block(self, x, channels_in, channels_out, kernel=3, stride=1, groups=1, activation="relu"):
        """Convolution, BatchNormalization and the activation, if any."""
        x = self.conv(x, channels_in, channels_out, kernel, stride, groups)
        x = self.add("batch_norm", "batch_normalization", [x], channels=channels_out)
        return self.add(activation, activation, [x]) if activation else x

    def depthwise(self, x, channels, stride=1, activation="relu"):
        return self.block(x, channels, channels, 3, stride, channels, activation)

    def gate(self, x, channels, activation="relu"):
        """Squeeze and excite: each channel times a factor from the means of all."""
        y = self.add("global_average_pool", "global_average_pooling2d", [x])
        y = self.conv(y, channels, channels // 4, 1, bias=True)
        y = self.add(activation, activation, [y])
        y = self.conv(y, channels // 4, channels, 1, bias=True)
        y = self.add("hard_sigmoid", "hard_sigmoid", [y])
        return self.add("mul", "multiply", [x, y])

    def inverted(self, x, channels_in, wide, channels_out, stride=1, activation="relu6", has_gate=False):
        """The block of MobileNetV2; where `wide` is `channels_in`, without its first convolution."""
        y = x
        if wide != channels_in:
            y = self.block(y, channels_in, wide, 1, activation=activation)
        y = self.depthwise(y, wide, stride, activation)
        if has_gate:
            y = self.gate(y, wide)
        y = self.block(y, wide, channels_out, 1, activation=None)
        if stride == 1 and channels_in == channels_out:
            return self.add("add", "add", [x, y])
        return y

    def ending(self, x, channels, dropout, n_classes=10):
        x = self.add("global_average_pool", "global_average_pooling2d", [x])
        x = self.add("flatten", "flatten", [x])
        if dropout > 0:
            x = self.add("dropout", "dropout", [x], rate=dropout)
        self.add("dense", "dense", [x], channels_in=channels, channels_out=n_classes)
        return self.steps


def resnet8(channels, dropout=0.0):
    """The image classifier of MLPerf Tiny: three residual blocks of 16, 32 and 64 channels."""
    b = DeployedBuilder()
    x = b.block("input", channels, 16)
    channels = 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        y = b.block(x, channels, width, 3, stride)
        y = b.block(y, width, width, activation=None)
        if stride != 1:
            x = b.conv(x, channels, width, 1, stride, bias=True)
        x = b.add("relu", "relu", [b.add("add", "add", [x, y])])
        channels = width
    return b.ending(x, channels, dropout)


def ds_cnn(channels, dropout=0.0):
    """Depthwise separable convolutions of 64 channels, as MLPerf Tiny's keyword spotting."""
    b = DeployedBuilder()
    x = b.block("input", channels, 64, stride=2)
    for _ in range(4):
        x = b.block(b.depthwise(x, 64), 64, 64, 1)
    return b.ending(x, 64, dropout)


def mobilenet_v1(channels, dropout=0.0):
    """MobileNetV1 with a quarter of the channels: MLPerf Tiny's visual wake words."""
    b = DeployedBuilder()
    x = b.block("input", channels, 8, stride=2)
    channels = 8
    steps = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for width, stride in steps:
        x = b.block(b.depthwise(x, channels, stride), channels, width, 1)
        channels = width
    return b.ending(x, channels, dropout)


def mobilenet_v2(channels, dropout=0.0):
    """MobileNetV2 with 0.35 of the channels."""
    b = DeployedBuilder()
    x = b.block("input", channels, 16, stride=2, activation="relu6")
    channels = 16
    for factor, width, times, stride in (
        (1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1),
    ):
        for i in range(times):
            x = b.inverted(x, channels, factor * channels, width, stride if i == 0 else 1)
            channels = width
    x = b.block(x, channels, 1280, 1, activation="relu6")
    return b.ending(x, 1280, dropout)


def gated(channels, dropout=0.0):
    """Blocks of MobileNetV3: squeeze and excite, and hard-swish."""
    b = DeployedBuilder()
    x = b.block("input", channels, 16, activation="hard_swish")
    channels = 16
    for wide, width, stride in ((32, 16, 1), (64, 24, 2), (96, 24, 1), (96, 32, 2), (128, 32, 1)):
        x = b.inverted(x, channels, wide, width, stride, "hard_swish", has_gate=True)
        channels = width
    x = b.block(x, channels, 96, 1, activation="hard_swish")
    return b.ending(x, 96, dropout)


ARCHITECTURES = {
    "resnet8": resnet8, "ds_cnn": ds_cnn, "mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2, "gated": gated,
}
# The extent an image is resized to before the network sees it.
RESIZE = {"resnet8": 32, "ds_cnn": 32, "mobilenet_v1": 96, "mobilenet_v2": 96, "gated": 32}
