"""The real networks that the `onnx` package ships without weights, and narrow copies of them.

The package's `light_*.onnx` compute all their weights by ConstantOfShape, each a tensor of one
number, so that a whole SqueezeNet is 16 kB. Their opset is 9; of the operators they use, none
changed its meaning up to 11, so they are marked as opset 11 here.

Equal weights make equal channels and hide mistakes. So a narrow copy of each has its channel
counts divided and random weights that are stored; the rest of the network is the same.
"""

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import TensorProto, numpy_helper

import cases

OPERATORS = set(
    "Add AveragePool BatchNormalization Concat ConstantOfShape Conv Dropout Gemm "
    "GlobalAveragePool MaxPool Mul Relu Reshape Softmax Sum Unsqueeze".split()
)
# ShuffleNet's channel shuffle reshapes to five axes.
UNSUPPORTED = {"light_shufflenet"}
# Its weights take 575 MB, too much for a test.
TOO_LARGE = {"light_vgg19"}
# By what the channel counts of the narrow copies are divided.
DIVISORS = {
    "light_densenet121": 8, "light_inception_v2": 16, "light_resnet50": 16, "light_squeezenet": 8,
    "light_vgg19": 32,
}
IMAGE = (1, 3, 224, 224)


def claimed():
    """Name and file of the models whose operators are all claimed."""
    folder = Path(onnx.backend.test.__file__).parent / "data" / "light"
    for path in sorted(folder.glob("light_*.onnx")):
        model = onnx.load(path)
        if path.stem in UNSUPPORTED:
            continue
        if {node.op_type for node in model.graph.node} <= OPERATORS:
            yield path.stem, path


def load(path):
    """The model, marked as opset 11."""
    model = onnx.load(path)
    assert [o.version for o in model.opset_import] == [9], path
    model.opset_import[0].version = 11
    return model


def counting_input():
    """What the package's test feeds: as many equal steps from 0 to 1 as there are elements."""
    n = int(np.prod(IMAGE))
    return (np.arange(n, dtype=np.float64).reshape(IMAGE) / n).astype(np.float32)


def image_input():
    """A smooth image of few values, so that it is small when compressed."""
    y, x = np.mgrid[0:224, 0:224] / 224
    channels = [np.sin(7 * x + 3 * y), np.cos(5 * y * x), np.sin(11 * (x - y) ** 2)]
    return (np.round(np.stack(channels)[None] * 8) / 8).astype(np.float32)


def narrow(path, divisor):
    """The model with all channel counts divided and weights drawn from a seed."""
    model = load(path)
    graph = model.graph
    random = np.random.default_rng(list(path.stem.encode()))
    data = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    weights = {}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            weights[node.output[0]] = data[node.input[0]]
    for name, value in data.items():
        if value.dtype == np.float32:
            weights[name] = np.array(value.shape)

    def divided(extent):
        # 1 and 3 are kernels and colors; every count of channels divides.
        return extent // divisor if extent % divisor == 0 and extent > divisor else extent

    # Kernels have no extent that divides, but for a fully connected layer over 7x7 pixels.
    kept, used = [], {}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            continue
        for i, name in enumerate(node.input):
            if name in weights:
                used.setdefault(name, (node, i))
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    initializers = []
    for name, shape in weights.items():
        if name not in used:
            continue
        node, position = used[name]
        shape = [divided(int(extent)) for extent in shape]
        initializers.append(numpy_helper.from_array(draw(random, node, position, shape), name))
    for name, value in data.items():
        if value.dtype == np.int64 and name not in weights:
            if any(name in node.input for node in kept):
                value = np.array([divided(int(v)) for v in value])
                initializers.append(numpy_helper.from_array(value, name))
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    # No initializer among the inputs, as files write it since IR version 4.
    names = {i.name for i in initializers}
    real = [i for i in graph.input if i.name not in names and i.name not in data]
    del graph.input[:]
    graph.input.extend(real)
    del graph.value_info[:]
    graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info(
            graph.output[0].name, TensorProto.FLOAT,
            [divided(d.dim_value) for d in graph.output[0].type.tensor_type.shape.dim],
        )
    )
    model.ir_version = 7
    return model


def draw(random, node, position, shape):
    """Random weights for one input of a node, such that values keep their size."""
    if node.op_type == "BatchNormalization":
        if position == 1:
            value = random.uniform(0.5, 1.5, shape)
        elif position == 4:
            value = random.uniform(0.5, 2, shape)
        else:
            value = random.normal(0, 0.3, shape)
    elif node.op_type in ("Conv", "Gemm") and position == 1:
        gain = 2 if node.op_type == "Conv" else 0.05
        value = random.normal(0, np.sqrt(gain / np.prod(shape[1:])), shape)
    elif node.op_type == "Unsqueeze":
        # The scale and shift that Caffe keeps beside its normalization.
        value = random.uniform(0.5, 1, shape)
    else:
        value = random.normal(0, 0.1, shape)
    # Half precision compresses better and is exact in single precision.
    return value.astype(np.float16).astype(np.float32)


def write(folder):
    """Write the models of the package, with input and expected output, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in claimed():
        model, x = load(path), counting_input()
        expected = numpy_helper.to_array(onnx.load_tensor(path.with_name(f"{name}_output_0.pb")))
        got = cases.run(model, x)
        print(name, "largest difference", np.abs(got - expected).max(), "of", np.abs(expected).max())
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        np.save(folder / f"{name}.input.npy", x)
        np.save(folder / f"{name}.output.npy", expected.astype(np.float32))


def archive_files():
    """Small copies of them for `light.zip`.

    `light_*` are the package's own, without input: that is `counting_input`. `narrow_*` are the
    narrow copies.
    """
    files = {}
    for name, path in claimed():
        if name not in TOO_LARGE:
            expected = numpy_helper.to_array(onnx.load_tensor(path.with_name(f"{name}_output_0.pb")))
            files[f"{name}/model.onnx"] = load(path).SerializeToString(deterministic=True)
            files[f"{name}/output.npy"] = cases.npy(expected.astype(np.float32))
        model, x = narrow(path, DIVISORS[name]), image_input()
        onnx.checker.check_model(model, full_check=True)
        y = cases.run(model, x)
        assert np.isfinite(y).all(), name
        print(f"{name}: {len(model.SerializeToString())} bytes, output {y.min():.4g} to {y.max():.4g}")
        files |= cases.case_files(name.replace("light_", "narrow_"), model, x, y)
    return files
