"""Small networks as TensorFlow Lite files, and what its interpreter computes with them.

    python3 -m venv venv && venv/bin/pip install -r suite/requirements-tflite.txt
    venv/bin/python suite/make_tflite.py

Writes `suite/tflite`: each network in float32, and where it matters with weights in float16 (`f16`), with weights
in int8 that are computed in float (`dynamic`), and in int8 throughout (`int8`). `NAME.npz` has images `x`, `[n, h, w, c]`,
and the results `y` of the interpreter, as real numbers.
"""

import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tensorflow.keras import layers as L

FOLDER = pathlib.Path(__file__).parent / "tflite"


def layers():
    """One layer after the other; every kind of padding over extents that are odd and even."""
    return [
        L.Input((11, 10, 3)),
        L.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu"),
        L.BatchNormalization(),
        L.DepthwiseConv2D(3, padding="valid", depth_multiplier=2, activation="relu6"),
        L.Conv2D(24, 3, dilation_rate=2, padding="same", use_bias=False),
        L.LeakyReLU(0.1),
        L.AveragePooling2D(2, strides=1, padding="same"),
        L.MaxPooling2D((2, 3), padding="same"),
        L.Conv2D(16, 3, padding="same", groups=2),
        L.Flatten(),
        L.Dense(40, activation="relu"),
        L.Dense(5, activation="softmax"),
    ]


def branches():
    """What is added, joined, padded and averaged."""
    x = L.Input((8, 9, 3))
    a = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    b = L.Conv2D(4, 1)(x)
    y = L.ReLU()(L.Add()([a, b]))
    y = L.Concatenate()([y, a])
    y = L.ZeroPadding2D(((1, 0), (2, 1)))(y)
    y = L.Conv2D(5, 3, strides=2)(y)
    return tf.keras.Model(x, L.Dense(4)(L.GlobalAveragePooling2D()(y)))


def gates():
    """Functions of one value, products, other sizes."""
    x = L.Input((8, 6, 4))
    y = L.Conv2D(8, 3, padding="same", activation="swish")(x)
    gate = L.GlobalAveragePooling2D(keepdims=True)(y)
    gate = L.Conv2D(4, 1, activation="relu")(gate)
    gate = L.Conv2D(8, 1, activation="sigmoid")(gate)
    y = L.Multiply()([y, gate])
    y = L.UpSampling2D(2, interpolation="bilinear")(y)
    y = L.Conv2DTranspose(3, 3, strides=2, padding="same")(y)
    y = L.Cropping2D(((1, 2), (3, 0)))(y)
    y = L.Conv2D(4, 3, activation="hard_silu")(y)
    y = L.PReLU(shared_axes=[1, 2])(y)
    y = L.UpSampling2D((1, 2))(y)
    return tf.keras.Model(x, y)


def filled(model, seed):
    """The model with parameters like those of a trained one."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, L.BatchNormalization):
            weights = [random.uniform(0.5, 1.5, w.shape) for w in weights]
        else:
            weights = [w if w.ndim > 1 else random.uniform(-0.3, 0.3, w.shape) for w in weights]
        layer.set_weights(weights)
    return model


def converted(model, kind):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "f16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        random = np.random.default_rng(0)
        shape = (1, *model.input_shape[1:])
        images = [random.random(shape, dtype=np.float32) for _ in range(100)]
        converter.representative_dataset = lambda: ([image] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def interpreted(file, images):
    """Real results for real images, which the integers of the file can be."""
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    run = Interpreter(model_content=file, experimental_op_resolver_type=resolver)
    run.allocate_tensors()
    [entry], [end] = run.get_input_details(), run.get_output_details()
    results = []
    for image in images:
        if entry["dtype"] != np.float32:
            scale, zero = entry["quantization"]
            image = np.clip(np.round(image / scale) + zero, -128, 127).astype(np.int8)
        run.set_tensor(entry["index"], image[None])
        run.invoke()
        y = run.get_tensor(end["index"])[0]
        if end["dtype"] != np.float32:
            scale, zero = end["quantization"]
            y = np.float32(scale) * (y.astype(np.float32) - zero)
        results.append(y)
    step = end["quantization"][0]
    return np.array(results), np.float32(step)


def main():
    FOLDER.mkdir(exist_ok=True)
    tf.keras.utils.set_random_seed(1)
    networks = [
        ("layers", tf.keras.Sequential(layers()), ["float", "f16", "dynamic", "int8"]),
        ("branches", branches(), ["float", "int8"]),
        ("gates", gates(), ["float", "int8"]),
    ]
    for seed, (name, model, kinds) in enumerate(networks):
        model = filled(model, seed)
        random = np.random.default_rng(7)
        # Multiples of 1/255, which the inputs in int8 hold.
        images = random.integers(0, 256, (4, *model.input_shape[1:])).astype(np.float32) / 255
        for kind in kinds:
            file = converted(model, kind)
            (FOLDER / f"{name}_{kind}.tflite").write_bytes(file)
            y, step = interpreted(file, images)
            np.savez_compressed(FOLDER / f"{name}_{kind}.npz", x=images, y=y, step=step)


if __name__ == "__main__":
    main()
