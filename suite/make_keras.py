"""Small networks that Keras itself saved, and what it computes with them.

    python3 -m venv venv && venv/bin/pip install -r suite/requirements-keras.txt
    venv/bin/python suite/make_keras.py [NAME ...]

Writes all networks, or those named, into `suite/keras`. Weights, inputs and outputs are the same in every run; dates in the files are
not.
"""

import json
import os
import pathlib
import sys
import zipfile

os.environ["KERAS_BACKEND"] = "numpy"

import h5py
import keras
import numpy as np
from keras import layers as L

FOLDER = pathlib.Path(__file__).parent / "keras"


def plain():
    """One layer after the other; every extent is odd or even where `same` padding cares."""
    return keras.Sequential(
        [
            keras.Input((11, 8, 2)),
            L.Conv2D(6, (3, 2), strides=2, padding="same", activation="relu", name="conv"),
            L.BatchNormalization(name="norm"),
            L.MaxPooling2D(2, padding="same", name="pool"),
            L.Dropout(0.5, name="drop"),
            L.Flatten(name="flat"),
            L.Dense(5, activation="softmax", name="classes"),
        ],
        name="plain",
    )


def branches():
    """Every layer and option that is read and that `plain` does not have."""
    x = keras.Input((9, 12, 2), name="image")
    y = L.Rescaling(1 / 127.5, offset=-1, name="scaled")(x)
    y = L.ZeroPadding2D(((1, 2), (0, 3)), name="padded")(y)
    y = L.Conv2D(4, 3, dilation_rate=2, padding="same", use_bias=False, name="dilated")(y)
    y = L.BatchNormalization(scale=False, epsilon=1e-2, name="norm_no_scale")(y)
    y = L.ReLU(6.0, negative_slope=0.1, name="relu_slope_6")(y)
    a = L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, name="depthwise")(y)
    a = L.BatchNormalization(center=False, name="norm_no_center")(a)
    a = L.LeakyReLU(negative_slope=0.2, name="leaky")(a)
    b = L.SeparableConv2D(
        8, (2, 3), strides=2, padding="same", depth_multiplier=2, activation="relu6", name="separable"
    )(y)
    b = L.SpatialDropout2D(0.1, name="drop_space")(b)
    c = L.Conv2D(8, 1, strides=2, activation=L.LeakyReLU(negative_slope=0.3), name="point")(y)
    c = L.GaussianNoise(0.1, name="noise")(c)
    y = L.Add(name="sum")([a, b, c])
    y = L.Conv2D(8, 3, groups=2, padding="same", activation="leaky_relu", name="grouped")(y)
    y = L.Activation("relu", name="relu")(y)
    a = L.AveragePooling2D(3, strides=2, padding="same", name="mean_same")(y)
    b = L.AveragePooling2D((2, 2), name="mean_valid")(y)
    b = L.ZeroPadding2D(((0, 0), (0, 0)), name="not_padded")(b)
    c = L.MaxPooling2D(3, strides=2, padding="same", name="max_same")(y)
    y = L.Concatenate(name="channels")([a, c])
    b = L.Dense(16, activation="relu", name="dense_image")(b)
    b = L.ActivityRegularization(l2=0.1, name="regular")(b)
    y = L.Concatenate(axis=1, name="rows")([y, b])
    y = L.ReLU(max_value=6.0, name="relu_6")(y)
    a = L.GlobalAveragePooling2D(keepdims=True, name="mean")(y)
    a = L.Reshape((-1,), name="vector")(a)
    b = L.GlobalMaxPooling2D(name="max")(y)
    c = L.MaxPooling2D((3, 2), name="max_valid")(y)
    c = L.Reshape((2, -1, 8), name="reshaped")(c)
    c = L.Softmax(name="softmax_image")(c)
    c = L.Flatten(name="flat")(c)
    y = L.Concatenate(axis=1, name="vectors")([a, b, c])
    y = L.Dense(7, name="hidden")(y)
    y = L.ReLU(negative_slope=0.25, name="relu_slope")(y)
    y = L.Dense(4, use_bias=False, name="classes")(y)
    y = L.Softmax(axis=-1, name="softmax")(y)
    return keras.Model(x, y, name="branches")


def models():
    """Models in models, layers called with constants, operations, what changes images in training only."""
    ops = keras.ops
    inner_x = keras.Input((8, 8, 3))
    inner = L.Conv2D(3, 3, padding="same", name="conv")(inner_x)
    inner = L.Add(name="inner_sum")([inner, L.Conv2D(3, 1, name="shortcut")(inner_x)])
    inner = keras.Model(inner_x, inner, name="inner")
    base = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(3, 1, name="conv"),
            L.BatchNormalization(name="norm"),
            inner,
            L.ReLU(name="base_relu"),
        ],
        name="base",
    )
    base.trainable = False
    x = keras.Input((8, 8, 3), name="image")
    y = L.Normalization(name="adapted")(x)
    y = L.Normalization(mean=[0.4, 0.5, 0.3], variance=[0.1, 0.2, 0.3], name="given")(y)
    y = L.Normalization(mean=0.3, variance=0.5, invert=True, name="inverted")(y)
    y = L.Normalization(axis=None, name="adapted_to_all")(y)
    y = L.RandomFlip(name="flip")(y)
    y = L.RandomRotation(0.1, name="rotation")(y)
    y = L.Resizing(8, 8, name="resizing")(y)
    y = base(y, training=False)
    a = ops.subtract(ops.true_divide(1.0 - y * 2.0, 1.5), np.array([0.1, 0.2, 0.3], "float32"))
    a = ops.negative(ops.maximum(ops.minimum(a, 0.9), -0.8))
    a = a * np.linspace(-1, 1, 64).reshape(8, 8, 1).astype("float32")
    gate = ops.relu(ops.mean(y, axis=[1, 2], keepdims=True))
    b = L.Multiply(name="gated")([y, gate])
    c = L.Maximum(name="larger")([a, b, y])
    d = L.Average(name="average")([L.Minimum(name="smaller")([a, b]), L.Subtract(name="less")([c, y])])
    d = ops.add(d, ops.max(y, axis=-1, keepdims=True))
    y = L.Concatenate(name="all")([ops.sum(d, axis=1), ops.min(c, axis=2)])
    y = L.Flatten(name="flat")(y)
    return keras.Model(x, L.Dense(4, name="classes")(y), name="models")


def signal():
    """Layers of one dimension."""
    return keras.Sequential(
        [
            keras.Input((40, 3)),
            L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu", name="causal"),
            L.ZeroPadding1D((1, 2), name="padded"),
            L.MaxPooling1D(2, padding="same", name="max"),
            L.BatchNormalization(name="norm"),
            L.SpatialDropout1D(0.1, name="drop"),
            L.SeparableConv1D(6, 3, padding="same", depth_multiplier=2, name="separable"),
            L.DepthwiseConv1D(3, strides=2, padding="same", activation="relu", name="depthwise"),
            L.AveragePooling1D(3, strides=2, padding="same", name="mean"),
            L.Conv1D(6, 2, strides=2, groups=2, name="grouped"),
            L.GlobalAveragePooling1D(name="global"),
            L.Dense(3, name="classes"),
        ],
        name="signal",
    )


def functions():
    """Every activation function by name, and every layer that is one."""
    x = keras.Input((4, 5, 2), name="image")
    names = (
        "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu "
        "log_sigmoid mish relu relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus "
        "sparse_sigmoid squareplus swish tanh tanh_shrink"
    ).split()
    values = [L.Conv2D(2, 1, activation=name, name=name)(x) for name in names]
    for name, layer in {
        "elu_layer": L.ELU(0.7),
        "leaky_layer": L.LeakyReLU(0.01),
        "prelu_each": L.PReLU(),
        "prelu_channels": L.PReLU(shared_axes=[1, 2]),
        "prelu_columns": L.PReLU(shared_axes=[1, 3]),
        "relu_threshold": L.ReLU(threshold=0.3),
        "relu_all": L.ReLU(max_value=0.8, negative_slope=0.2, threshold=0.1),
        "activation": L.Activation("tanh"),
    }.items():
        layer.name = name
        values.append(layer(L.Conv2D(2, 1, name=f"{name}_conv")(x)))
    y = L.Concatenate(name="all")(values)
    return keras.Model(x, L.Flatten(name="flat")(y), name="functions")


def maps():
    """Layers that choose, repeat and order elements, that resize, and that convolve transposed."""
    x = keras.Input((10, 8, 3), name="image")
    y = L.Cropping2D(((1, 2), (0, 1)), name="cropped")(x)
    a = L.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu", name="same")(y)
    b = L.Conv2DTranspose(4, (2, 3), strides=(3, 2), name="valid")(y)
    b = L.BatchNormalization(name="norm")(b)
    b = L.Cropping2D((4, 1), name="inner")(b)
    b = L.Cropping2D(((0, 0), (0, 0)), name="not_cropped")(L.ReLU(name="relu")(b))
    c = L.UpSampling2D((2, 1), name="nearest")(y)
    c = L.UpSampling2D((1, 2), interpolation="bilinear", name="bilinear")(c)
    d = L.Conv2DTranspose(3, 4, dilation_rate=2, use_bias=False, name="dilated")(y)
    d = L.Conv2DTranspose(3, 2, strides=2, output_padding=1, padding="same", name="more")(d)
    d = L.Cropping2D(6, name="middle")(d)
    c = L.Concatenate(axis=1, name="below")([c, c])
    c = L.MaxPooling2D((2, 1), name="pool")(c)
    y = L.Concatenate(name="channels")([a, c])
    y = L.Permute((3, 1, 2), name="permuted")(y)
    y = L.Reshape((-1, 14), name="steps")(y)
    y = L.ZeroPadding1D((2, 1), name="longer")(y)
    y = L.Conv1DTranspose(5, 3, strides=2, padding="same", activation="relu", name="signal")(y)
    y = L.Cropping1D((3, 4), name="shorter")(y)
    y = L.UpSampling1D(3, name="repeated")(y)
    y = L.Flatten(name="flat")(y)
    b = L.GlobalAveragePooling2D(name="mean")(b)
    b = L.Flatten(name="flat_vector")(L.Permute((2, 1), name="turned")(L.RepeatVector(3, name="times")(b)))
    d = L.Flatten(name="flat_image")(L.Permute((2, 3, 1), name="rolled")(d))
    y = L.Rescaling(1 / 512, name="small")(L.Concatenate(name="vectors")([y, b, d]))
    return keras.Model(x, L.Dense(4, name="values")(y), name="maps")


def fill(model, random):
    """Weights such that every value matters."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            fill(layer, random)
            continue
        for weight in layer.weights:
            if "seed" in weight.path or weight.name == "count":
                continue
            if "variance" in weight.path:
                value = random.uniform(0.3, 2.0, weight.shape)
            elif "gamma" in weight.path:
                value = random.uniform(-1.5, 1.5, weight.shape)
            else:
                value = random.normal(0, 0.4, weight.shape)
            weight.assign(value.astype("float32"))
        if isinstance(layer, L.Normalization):
            layer.finalize_state()


def as_keras_2(model, path):
    """The file of the same model as Keras 2.2 wrote it, its datasets compressed."""
    layers = []
    for layer in model.layers:
        config = {
            key: value
            for key, value in layer.get_config().items()
            if key not in ("dtype", "groups", "synchronized", "quantization_config")
            and not key.startswith("renorm")
        }
        layers.append({"class_name": type(layer).__name__, "config": config})
    layers[0]["config"]["batch_input_shape"] = [None, *model.input_shape[1:]]
    layers[0]["config"]["dtype"] = "float32"
    config = {"name": model.name, "layers": layers}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.2.4"
        file.attrs["backend"] = b"tensorflow"
        text = json.dumps({"class_name": "Sequential", "config": config})
        file.attrs["model_config"] = text.encode()
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = root.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights if "seed" not in weight.path]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights):
                value = np.asarray(weight.value)
                group.create_dataset(name, data=value, compression="gzip", shuffle=True)


def deflate(path):
    """The same archive, compressed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def quotients():
    """Values divided by values, and by their lengths."""
    ops = keras.ops
    x = keras.Input((6, 5, 3), name="image")
    y = L.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    gate = ops.add(ops.sigmoid(ops.mean(y, axis=[1, 2], keepdims=True)), 0.5)
    y = ops.true_divide(L.Conv2D(4, 1, name="pixels")(y), gate)
    y = L.UnitNormalization(name="unit")(y)
    z = ops.divide(0.75, ops.add(ops.relu(y), 0.25))
    z = L.UnitNormalization(axis=[1, 2], name="unit_of_image")(z)
    y = L.Flatten(name="flat")(L.Concatenate(name="both")([y, z]))
    y = L.UnitNormalization(name="unit_vector")(L.Dense(4, name="features")(y))
    return keras.Model(x, L.Dense(3, name="classes")(y), name="quotients")


def main():
    FOLDER.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["plain", "branches", "models", "signal", "functions", "maps", "quotients"]
    random = np.random.default_rng(1)
    for make in (plain, branches, models, signal, functions, maps, quotients):
        model = make()
        fill(model, random)
        scale = 255 if make is branches else 1
        x = (random.uniform(-0.2, 1, (3, *model.input_shape[1:])) * scale).astype("float32")
        y = np.asarray(model(x, training=False)).astype("float32")
        name = model.name
        if name not in wanted:
            continue
        np.savez_compressed(FOLDER / f"{name}.npz", x=x, y=y)
        model.save(FOLDER / f"{name}.keras")
        if make is not functions:
            model.save(FOLDER / f"{name}.h5")
        if make is not plain:
            deflate(FOLDER / f"{name}.keras")
        else:
            model.save_weights(FOLDER / f"{name}.weights.h5")
            (FOLDER / f"{name}.json").write_text(model.to_json())
            as_keras_2(model, FOLDER / f"{name}_keras_2.h5")


main()
