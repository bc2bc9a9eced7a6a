"""Which networks that people deploy are read, whether what is read is right, and whether it is quantized.

    python3 -m venv venv && venv/bin/pip install -r bench/requirements-census.txt
    venv/bin/python bench/census.py target/release/fixedwise [--only REGEX] [--route ROUTE] [--keep FOLDER]

Builds each network with random weights, saves it by every route it has (`torch` is `torch.onnx.export` with
`dynamo=False`, `torch-default` is its default exporter, `keras` and `h5` are what `model.save` writes), and for each file:

- `inspect` must read it; where it does not, what stands in the way is printed,
- its float results on random images must be those of ONNX Runtime or Keras, relative to the largest,
- `quantize --strategy fixed` at 8 bits must end without an error.

One line a file, then how many networks each route reads, and by their best route. Networks of packages that are not
installed are left out. Takes hours for all.
"""

import argparse
import collections
import contextlib
import io
import json
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
TIME_LIMIT_S = 600

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
    fastvit_t8 mobilevit_xxs efficientvit_b0 nfnet_l0 poolformer_s12""".split()
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
        yield f"timm {name}", lambda n=name: timm.create_model(n, pretrained=False), (3, 96, 96)
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


def sources():
    """Name, route, a function that saves it and gives its reference on images, shape of an image in the file."""
    for name, build, shape in torch_networks():
        for route, is_default in (("torch", False), ("torch-default", True)):

            def save(folder, build=build, shape=shape, is_default=is_default):
                path = folder / "network.onnx"
                export_torch(build, shape, path, is_default)
                return path, lambda images: run_onnx(path, images)

            yield name, route, save, shape
    try:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        import keras
    except ImportError:
        return
    for name in KERAS:
        for route in ("keras", "h5"):

            def save(folder, name=name, route=route):
                keras.utils.set_random_seed(0)
                shape = (331, 331, 3) if name == "NASNetLarge" else (96, 96, 3)
                if name == "NASNetMobile":
                    shape = (224, 224, 3)
                model = getattr(keras.applications, name)(weights=None, input_shape=shape)
                path = folder / f"network.{route}"
                model.save(path)
                return path, lambda images: np.asarray(model.predict(images, verbose=0))

            size = 224 if name == "NASNetMobile" else 96
            yield f"keras.applications {name}", route, save, (size, size, 3)


def shortened(text):
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("[")]
    return " ".join(lines)[:600]


def check(tool, folder, path, reference, shape):
    """What became of one file."""

    def run(*arguments):
        return subprocess.run(
            [tool, *map(str, arguments)], capture_output=True, text=True, timeout=TIME_LIMIT_S
        )

    found = run("inspect", path, "--json")
    if found.returncode != 0:
        return {"read": False, "why": shortened(found.stderr or found.stdout)}
    images = np.random.default_rng(5).random((N_IMAGES, *shape), dtype=np.float32)
    expected = reference(images)
    # The tool takes signals as images of one row.
    stored = images if len(shape) == 3 else images[:, :, None] if path.suffix == ".onnx" else images[:, None]
    np.savez(folder / "data.npz", x=stored)
    script = folder / "keep.py"
    script.write_text(
        "import pathlib, shutil, sys\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "if not (folder / 'float.npy').exists(): shutil.copy(sys.argv[1], folder / 'float.npy')\n"
        "print(1)\n"
    )
    data = folder / "data.npz"
    layout = ["--preprocess", "layout=nchw" if path.suffix == ".onnx" else "layout=nhwc"]
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
    arguments.add_argument("--route", help="torch, torch-default, keras or h5")
    arguments.add_argument("--keep", type=pathlib.Path, help="folder for one line of JSON a file")
    given = arguments.parse_args()
    counts, networks = collections.Counter(), collections.defaultdict(bool)
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    for name, route, save, shape in sources():
        if not re.search(given.only, name) or given.route not in (None, route):
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
                result = check(given.tool, folder, path, reference, shape)
            except subprocess.TimeoutExpired:
                result = {"read": False, "why": f"takes more than {TIME_LIMIT_S} s"}
        counts[route, "files"] += 1
        networks[name] |= result["read"]
        for key in ("read", "quantized"):
            counts[route, key] += result.get(key, False)
        right = result.get("difference", np.inf) <= 1e-4
        counts[route, "right"] += right
        told = "read" if result["read"] else "refused"
        if result["read"]:
            told += f", differs by {result.get('difference', np.nan):.1e}"
            told += ", quantized" if result["quantized"] else ", not quantized"
        print(f"{name:44} {route:14} {told} {result.get('why', '')}", flush=True)
        if given.keep:
            with open(given.keep / "census.jsonl", "a") as lines:
                lines.write(json.dumps({"name": name, "route": route, **result}) + "\n")
    print()
    for route in sorted({route for route, _ in counts}):
        of = [counts[route, key] for key in ("read", "right", "quantized", "files")]
        print("{:14} read {}, right {}, quantized {} of {}".format(route, *of))
    if networks:
        print(f"by their best route {sum(networks.values())} of {len(networks)} networks are read")


if __name__ == "__main__":
    main()
