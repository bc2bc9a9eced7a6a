"""Which networks that people deploy are read, whether what is read is right, and whether it is quantized.

    python3 -m venv venv && venv/bin/pip install -r bench/requirements-census.txt
    venv/bin/python bench/census.py target/release/fixedwise [--only REGEX] [--route ROUTE] [--keep FOLDER]

Builds each network with random weights, saves it by every route it has (`torch` is `torch.onnx.export` with
`dynamo=False`, `torch-default` is its default exporter, `keras` and `h5` are what `model.save` writes, `tf2onnx` and
`tflite` what the converters make of a Keras model where TensorFlow and tf2onnx are installed), and for each file:

- `inspect` must read it; where it does not, what stands in the way is printed,
- its float results on random images must be those of ONNX Runtime or Keras, relative to the largest,
- `quantize --strategy fixed` at 8 bits must end without an error.

One line a file, then a table: how many files of each route, and how many networks by their best route, are read, right
and quantized. Networks and routes of packages that are not installed are left out. Takes hours for all; `--keep FOLDER`
continues where an earlier run ended.
"""

import argparse
import collections
import contextlib
import importlib.util
import io
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

N_IMAGES = 10
TORCH_ROUTES = ["torch", "torch-default"]
KERAS_ROUTES = ["keras", "h5", "tf2onnx", "tflite"]
TIME_LIMIT_S = 600
# Of float results, relative to the largest.
LARGEST_DIFFERENCE = 1e-4

TORCHVISION = """alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 mnasnet0_5
    mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet34
    resnet50 resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn
    wide_resnet50_2""".split()
SEGMENTATION = "deeplabv3_mobilenet_v3_large fcn_resnet50 lraspp_mobilenet_v3_large".split()
TIMM = """mobilenetv1_100 mobilenetv2_035 mobilenetv2_100 mobilenetv3_small_050 mobilenetv3_small_100
    mobilenetv3_large_100 mobilenetv4_conv_small efficientnet_lite0 efficientnet_b0 efficientnetv2_rw_t tf_efficientnet_lite0
    mixnet_s ghostnet_100 ghostnetv2_100 fbnetc_100 fbnetv3_b spnasnet_100 semnasnet_075 mnasnet_small tinynet_e lcnet_050
    lcnet_100 hardcorenas_a rexnet_100 regnetx_002 regnety_002 resnet10t resnet18 resnet26d resnet50 resnext50_32x4d
    seresnet18 legacy_seresnext26_32x4d repvgg_a0 mobileone_s0 repghostnet_050 vovnet39a hrnet_w18_small dla34 dpn68
    densenet121 xception41 selecsls42b cspresnet50 cspdarknet53 darknet53 skresnet18 convnext_atto edgenext_xx_small
    fastvit_t8 mobilevit_xxs efficientvit_b0 nfnet_l0 poolformer_s12 coat_tiny convit_tiny efficientformerv2_s0 levit_128s
    maxvit_pico_rw_256 nest_tiny pvt_v2_b0 resnest14d resnetv2_18 starnet_s050 swiftformer_xs test_nfnet tiny_vit_5m_224
    vit_tiny_r_s16_p8_224 xcit_nano_12_p8_224""".split()
ULTRALYTICS = """yolov5n yolov8n yolov8n-seg yolov8n-pose yolov8n-obb yolov8n-cls yolov9t yolov10n yolo11n yolo11n-cls
    yolo12n""".split()
KERAS = """MobileNet MobileNetV2 MobileNetV3Small MobileNetV3Large EfficientNetB0 EfficientNetV2B0 NASNetMobile
    DenseNet121 ResNet50 ResNet50V2 VGG16 Xception InceptionV3 InceptionResNetV2 ConvNeXtTiny""".split()


def blocks():
    """Small networks of constructs that larger ones are made of, by name: module and image shape."""
    import torch
    from torch import nn

    def unit(inputs, outputs, activation=nn.ReLU, **options):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, **options),
            nn.BatchNorm2d(outputs),
            activation(),
        )

    class UNet(nn.Module):
        def __init__(self, up):
            super().__init__()
            self.down = nn.ModuleList([unit(3, 8), unit(8, 16), unit(16, 32)])
            self.pool = nn.MaxPool2d(2)
            self.up = nn.ModuleList([up(32, 16), up(16, 8)])
            self.merge = nn.ModuleList([unit(32, 16), unit(16, 8)])
            self.head = nn.Conv2d(8, 2, 1)

        def forward(self, x):
            a = self.down[0](x)
            b = self.down[1](self.pool(a))
            c = self.down[2](self.pool(b))
            b = self.merge[0](torch.cat([self.up[0](c), b], 1))
            a = self.merge[1](torch.cat([self.up[1](b), a], 1))
            return self.head(a)

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = unit(3, 16, nn.SiLU), nn.Linear(16, 10)
            self.gate = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid()
            )

        def forward(self, x):
            x = self.body(x)
            return self.head((x * self.gate(x)).mean([2, 3]))

    class Focus(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = unit(12, 16, nn.SiLU)

        def forward(self, x):
            parts = [x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)]
            return self.body(torch.cat(parts, 1))

    def transposed(inputs, outputs):
        return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)

    def resized(mode):
        def up(inputs, outputs):
            return nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(inputs, outputs, 1))

        return up

    class Attention(nn.Module):
        """A block of a transformer without its normalizations, and a softmax over bins behind."""

        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 24, 4, stride=4)
            self.qkv, self.project = nn.Linear(24, 72), nn.Linear(24, 24)
            self.wide, self.narrow, self.head = nn.Linear(24, 48), nn.Linear(48, 24), nn.Linear(24, 32)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            n = x.shape[1]
            q, k, v = self.qkv(x).reshape(-1, n, 3, 4, 6).permute(2, 0, 3, 1, 4).unbind(0)
            weights = (q @ k.transpose(-2, -1) * 6**-0.5).softmax(-1)
            x = x + self.project((weights @ v).transpose(1, 2).reshape(-1, n, 24))
            x = x + self.narrow(nn.functional.gelu(self.wide(x)))
            bins = self.head(x).reshape(-1, n, 4, 8).softmax(-1)
            return (bins * torch.arange(8.0)).sum(-1)

    super_resolution = nn.Sequential(unit(1, 16), nn.Conv2d(16, 9, 3, padding=1), nn.PixelShuffle(3))
    signal = nn.Sequential(
        nn.Conv1d(2, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.ELU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 16, 3, padding=1), nn.PReLU(16), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 4),
    )
    return {
        "u-net, transposed": (UNet(transposed), (3, 32, 32)),
        "u-net, nearest": (UNet(resized("nearest")), (3, 32, 32)),
        "u-net, bilinear": (UNet(resized("bilinear")), (3, 32, 32)),
        "squeeze-and-excite": (Gate(), (3, 32, 32)),
        "focus": (Focus(), (3, 32, 32)),
        "attention": (Attention(), (3, 32, 32)),
        "super-resolution": (super_resolution, (1, 24, 24)),
        "signal": (signal, (2, 128)),
        "hard-swish": (nn.Sequential(unit(3, 8, nn.Hardswish), nn.Flatten(), nn.Linear(8 * 256, 5)), (3, 16, 16)),
        "gelu": (nn.Sequential(unit(3, 8, nn.GELU), nn.Flatten(), nn.Linear(8 * 256, 5)), (3, 16, 16)),
        "mish": (nn.Sequential(unit(3, 8, nn.Mish), nn.Flatten(), nn.Linear(8 * 256, 5)), (3, 16, 16)),
        "shuffle": (nn.Sequential(nn.Conv2d(3, 8, 1), nn.ChannelShuffle(2), unit(8, 8, groups=4)), (3, 16, 16)),
    }


def torch_networks():
    """Name, how it is built, shape of an image."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return
    for name, (module, shape) in blocks().items():
        yield name, lambda module=module: module, shape
    try:
        import torchvision.models as models
    except ImportError:
        models = None
    for name in TORCHVISION if models else []:
        options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        size = 299 if name == "inception_v3" else 96
        yield f"torchvision {name}", lambda n=name, o=options: models.get_model(n, weights=None, **o), (3, size, size)
    for name in SEGMENTATION if models else []:
        build = getattr(models.segmentation, name)
        yield f"torchvision {name}", lambda b=build: First(b(weights=None, weights_backbone=None)), (3, 96, 96)
    try:
        import timm
    except ImportError:
        timm = None
    for name in TIMM if timm else []:
        declared = timm.get_pretrained_cfg(name)
        shape = tuple(declared.input_size) if declared.fixed_input_size else (3, 96, 96)
        yield f"timm {name}", lambda n=name: timm.create_model(n, pretrained=False), shape
    try:
        import ultralytics
    except ImportError:
        return
    for name in ULTRALYTICS:
        yield f"ultralytics {name}", lambda n=name: detector(ultralytics.YOLO(f"{n}.yaml").model), (3, 160, 160)


def detector(network):
    """A network of ultralytics as that package exports it."""
    import torch

    network = network.float().eval()
    with_statistics(network)
    for module in network.modules():
        for name, value in (("export", True), ("format", "onnx"), ("dynamic", False)):
            if hasattr(module, name):
                setattr(module, name, value)
    network.fuse(verbose=False)
    # The places of its results are made in the first run.
    network(torch.zeros(1, 3, 160, 160))
    return network


def with_statistics(network):
    """Gives normalizations statistics as trained ones have."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            module.running_var.uniform_(0.5, 2)
            module.running_mean.uniform_(-0.5, 0.5)


def First(network):
    """A segmentation network without its dictionary."""
    from torch import nn

    class Only(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x)["out"]

    return Only()


def export_torch(build, shape, path, is_default):
    """Saves a network."""
    import torch

    torch.manual_seed(0)
    network = build().eval()
    with_statistics(network)
    options = {"dynamo": True} if is_default else {"dynamo": False, "opset_version": 17}
    torch.onnx.export(network, (torch.rand(1, *shape),), str(path), verbose=False, **options)


def run_onnx(path, images):
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def keras_blocks(keras):
    """Small Keras networks of layers that larger ones are made of, by name: how each is built, shape of an image."""
    layers = keras.layers

    def chain(shape, *parts):
        return lambda: keras.Sequential([layers.Input(shape), *[part() for part in parts]])

    def unit(filters, **options):
        def build():
            convolution = layers.Conv2D(filters, 3, padding="same", use_bias=False, **options)
            return keras.Sequential([convolution, layers.BatchNormalization(), layers.ReLU()])

        return build

    def around(*parts):
        head = (layers.GlobalAveragePooling2D, lambda: layers.Dense(5, activation="softmax"))
        return chain((32, 32, 3), unit(8, strides=2), *parts, unit(8), *head), (32, 32, 3)

    def unet(up):
        def build():
            image = layers.Input((32, 32, 3))
            a = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
            b = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(a))
            joined = layers.Concatenate()([a, up()(b)])
            return keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(joined))

        return build, (32, 32, 3)

    def residual():
        image = x = layers.Input((32, 32, 3))
        for filters, strides in ((16, 1), (32, 2), (64, 2)):
            y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
            y = layers.ReLU()(layers.BatchNormalization()(y))
            y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
            x = layers.Activation("relu")(layers.Add()([layers.Conv2D(filters, 1, strides=strides)(x), y]))
        x = layers.Flatten()(layers.AveragePooling2D(8)(x))
        return keras.Model(image, layers.Dense(10, activation="softmax")(x))

    def gate():
        image = layers.Input((32, 32, 3))
        x = layers.Conv2D(16, 3, strides=2, padding="same", activation="swish")(image)
        y = layers.Conv2D(4, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        x = layers.Multiply()([x, layers.Conv2D(16, 1, activation="sigmoid")(y)])
        return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))

    def transfer():
        base = keras.applications.MobileNetV2(
            weights=None, include_top=False, alpha=0.35, input_shape=(96, 96, 3)
        )
        augmented = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]
        scaled = layers.Rescaling(1 / 127.5, offset=-1)
        head = [layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(5)]
        return keras.Sequential([layers.Input((96, 96, 3)), *augmented, scaled, base, *head])

    def denoise():
        image = layers.Input((28, 28, 1))
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
        return keras.Model(image, layers.Subtract()([image, layers.Conv2D(1, 3, padding="same")(x)]))

    networks = {
        "residual": (residual, (32, 32, 3)),
        "gate": (gate, (32, 32, 3)),
        "denoise": (denoise, (28, 28, 1)),
        "transfer": (transfer, (96, 96, 3)),
        "u-net, transposed": unet(lambda: layers.Conv2DTranspose(8, 2, strides=2)),
        "u-net, nearest": unet(layers.UpSampling2D),
        "u-net, bilinear": unet(lambda: layers.UpSampling2D(interpolation="bilinear")),
        "separable": around(lambda: layers.SeparableConv2D(16, 3, padding="same")),
        "depthwise, dilated": around(lambda: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")),
        "PReLU": around(lambda: layers.PReLU(shared_axes=[1, 2])),
        "LeakyReLU": around(lambda: layers.LeakyReLU(negative_slope=0.1)),
        "average pool, same": around(lambda: layers.AveragePooling2D(3, 2, padding="same")),
        "crop and pad": around(lambda: layers.Cropping2D(1), lambda: layers.ZeroPadding2D(((0, 1), (0, 1)))),
        "permute": around(lambda: layers.Permute((2, 1, 3))),
        "multi-layer perceptron": (
            chain((16,), lambda: layers.Dense(32, activation="relu"), lambda: layers.Dense(3)), (16,)
        ),
        "signal": (
            chain(
                (128, 2), lambda: layers.Conv1D(8, 5, strides=2, padding="same", activation="relu"),
                lambda: layers.MaxPooling1D(2), lambda: layers.Conv1D(8, 3, padding="causal", dilation_rate=2),
                layers.GlobalAveragePooling1D, lambda: layers.Dense(4),
            ),
            (128, 2),
        ),
    }
    for name in ("elu", "gelu", "hard_sigmoid", "hard_silu", "mish", "selu", "sigmoid", "softplus", "swish", "tanh"):
        networks[name] = around(lambda name=name: layers.Activation(name))
    return networks


def keras_networks(keras):
    """Name, how it is built, shape of an image."""
    for name, (build, shape) in keras_blocks(keras).items():
        yield f"keras, {name}", build, shape
    for name in KERAS:
        size = 224 if name == "NASNetMobile" else 96
        build = getattr(keras.applications, name)
        yield (
            f"keras.applications {name}",
            lambda b=build, s=size: b(weights=None, input_shape=(s, s, 3)),
            (size, size, 3),
        )


def save_keras(model, route, folder):
    """The file that a route makes of a Keras model."""
    path = folder / ("network.onnx" if route == "tf2onnx" else f"network.{route}")
    if route in ("keras", "h5"):
        model.save(path)
        return path
    import tensorflow as tf

    if route == "tflite":
        path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        return path
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name="x")]
    function = tf.function(lambda x: model(x, training=False), input_signature=signature)
    tf2onnx.convert.from_function(function, input_signature=signature, opset=15, output_path=str(path))
    return path


def sources():
    """Name, route, a function that saves it and gives its reference on images, shape of an image in the file."""
    for name, build, shape in torch_networks():
        for route, is_default in (("torch", False), ("torch-default", True)):

            def save(folder, build=build, shape=shape, is_default=is_default):
                path = folder / "network.onnx"
                export_torch(build, shape, path, is_default)
                return path, lambda images: run_onnx(path, images)

            yield name, route, save, shape
    is_installed = {name: importlib.util.find_spec(name) is not None for name in ("tensorflow", "tf2onnx")}
    os.environ.setdefault("KERAS_BACKEND", "tensorflow" if is_installed["tensorflow"] else "torch")
    try:
        import keras
    except ImportError:
        return
    routes = ["keras", "h5"]
    if keras.backend.backend() == "tensorflow":
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        routes += ["tf2onnx", "tflite"] if is_installed["tf2onnx"] else ["tflite"]
    for name, build, shape in keras_networks(keras):
        for route in routes:

            def save(folder, build=build, route=route):
                keras.utils.set_random_seed(0)
                model = build()
                path = save_keras(model, route, folder)
                return path, lambda images: np.asarray(model.predict(images, verbose=0))

            yield name, route, save, shape


def shortened(text):
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("[")]
    return " ".join(lines)[:600]


def check(tool, folder, path, reference, shape, is_last):
    """What became of one file; `is_last`: its channels are the last axis."""

    def run(*arguments):
        return subprocess.run(
            [tool, *map(str, arguments)], capture_output=True, text=True, timeout=TIME_LIMIT_S
        )

    found = run("inspect", path, "--json")
    if found.returncode != 0:
        return {"read": False, "why": shortened(found.stderr or found.stdout)}
    images = np.random.default_rng(5).random((N_IMAGES, *shape), dtype=np.float32)
    expected = reference(images)
    is_first = path.suffix == ".onnx" and not is_last
    # The tool takes signals and vectors as images of one row.
    stored = images
    if len(shape) == 2:
        stored = images[:, :, None] if is_first else images[:, None]
    elif len(shape) == 1:
        stored = images[:, None, None]
        is_first = False
    np.savez(folder / "data.npz", x=stored)
    script = folder / "keep.py"
    script.write_text(
        "import pathlib, shutil, sys\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "if not (folder / 'float.npy').exists(): shutil.copy(sys.argv[1], folder / 'float.npy')\n"
        "print(1)\n"
    )
    data = folder / "data.npz"
    layout = ["--preprocess", "layout=nchw" if is_first else "layout=nhwc"]
    common = ["--calibration", f"{data}@0..4", "--search", f"{data}@4..{N_IMAGES}", "--test", "none", *layout]
    made = run(
        "quantize", path, *common, "--strategy", "fixed", "-o", folder / "out",
        "--metric-command", f"{sys.executable} {script}",
    )
    result = {"read": True, "quantized": made.returncode in (0, 2)}
    if not result["quantized"]:
        result["why"] = shortened(made.stderr)
    if (folder / "float.npy").exists():
        values = np.load(folder / "float.npy")
        wanted = expected[4:] if len(values) == N_IMAGES - 4 else expected
        scale = np.abs(wanted).max()
        same = values.size == wanted.size
        difference = np.abs(values.reshape(wanted.shape) - wanted).max() / scale if same else np.inf
        result["difference"] = float(difference)
    return result


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("tool", help="the fixedwise command")
    arguments.add_argument("--only", default="", help="names that match this regular expression")
    arguments.add_argument("--route", help="one of " + ", ".join(TORCH_ROUTES + KERAS_ROUTES))
    arguments.add_argument("--keep", type=pathlib.Path, help="folder for one line of JSON a file")
    given = arguments.parse_args()
    results = []
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        kept = given.keep / "census.jsonl"
        results = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    known = {(result["name"], result["route"]) for result in results}
    for name, route, save, shape in sources():
        if not re.search(given.only, name) or given.route not in (None, route) or (name, route) in known:
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            try:
                # Exporters print much of their own.
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    path, reference = save(folder)
            except Exception as error:  # An exporter that fails says nothing of the tool.
                print(f"{name:44} {route:14} not exported: {type(error).__name__}", flush=True)
                continue
            try:
                result = check(given.tool, folder, path, reference, shape, route in KERAS_ROUTES)
            except subprocess.TimeoutExpired:
                result = {"read": False, "why": f"takes more than {TIME_LIMIT_S} s"}
        told = "read" if result["read"] else "refused"
        if result["read"]:
            told += f", differs by {result.get('difference', np.nan):.1e}"
            told += ", quantized" if result["quantized"] else ", not quantized"
        print(f"{name:44} {route:14} {told} {result.get('why', '')}", flush=True)
        results.append({"name": name, "route": route, **result})
        if given.keep:
            with open(kept, "a") as lines:
                lines.write(json.dumps(results[-1]) + "\n")
    print("\n" + table(results))


def table(results):
    """How much of each route, and of the networks by their best route, is read, right and quantized."""
    is_so = {
        "read": lambda result: result["read"],
        "right": lambda result: result.get("difference", np.inf) <= LARGEST_DIFFERENCE,
        "quantized": lambda result: result.get("quantized", False),
    }
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for result in results:
        groups[result["route"]][result["name"]].append(result)
        groups["best route"][result["name"]].append(result)
    lines = ["{:14} {:>5} {:>12} {:>12} {:>12}".format("route", "files", *is_so)]
    for route in [*TORCH_ROUTES, *KERAS_ROUTES, "best route"]:
        networks = groups[route].values()
        n = len(networks)
        if n == 0:
            continue
        counts = [sum(any(map(test, files)) for files in networks) for test in is_so.values()]
        cells = [f"{count} ({100 * count / n:.0f} %)" for count in counts]
        lines.append("{:14} {:>5} {:>12} {:>12} {:>12}".format(route, n, *cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
