"""Trains one of the paper's three architectures in Keras 3 and writes it as `.keras`.

    KERAS_BACKEND=torch python zoo/train_keras.py --arch small --dataset mnist --data mnist \
        --epochs 10 --seed 1 --out mnist_small.keras

The layers, their names and the options are those of `train.py`; any backend will do. The test
split is read once, after training; the epoch that is kept is the best on images held out of the
train split.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers as L

import datasets
from architectures import ARCHITECTURES, BATCH_NORM_EPSILON, RESIZE, SAME, SAME_STRIDE_2, build


def model_of(steps, name, shape):
    """The Keras model of a step list, with a softmax at its end; `shape` is `[h, w, c]`."""
    values = {"input": keras.Input(shape, name="input")}
    for step in steps:
        inputs = [values[name] for name in step.inputs]
        layer = layer_of(step)
        values[step.name] = layer(inputs if step.kind == "concat" else inputs[0])
    output = L.Softmax(name="softmax_1")(values[steps[-1].name])
    return keras.Model(values["input"], output, name=name)


def layer_of(step):
    a, name = step.attributes, step.name
    # Of even extents at stride 2, as of odd ones in pooling, `same` pads below and to the right.
    padding = "same" if a.get("pads") in (SAME, SAME_STRIDE_2) else "valid"
    if step.kind == "conv":
        return L.Conv2D(
            a["channels_out"], a["kernel"], strides=a["stride"], padding=padding,
            kernel_initializer="he_normal", name=name,
        )
    if step.kind == "batch_norm":
        return L.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=name)
    if step.kind == "max_pool":
        return L.MaxPooling2D(2, padding=padding, name=name)
    if step.kind == "dense":
        return L.Dense(a["channels_out"], name=name)
    if step.kind == "dropout":
        return L.Dropout(a["rate"], name=name)
    if step.kind == "average_pool":
        return L.AveragePooling2D(2, name=name)
    return {
        "relu": L.ReLU, "flatten": L.Flatten, "global_max_pool": L.GlobalMaxPooling2D,
        "concat": L.Concatenate,
    }[step.kind](name=name)


def prepare(images, resize):
    """Pixels `[n, h, w, c]` between 0 and 1, resized if the network wants it."""
    x = images.astype(np.float32) / 255
    if resize is not None:
        rows, columns = (datasets.resize_matrix(n, resize) for n in x.shape[1:3])
        x = np.einsum("rh,nhwc,kw->nrkc", rows, x, columns, optimize=True)
    return x


class Batches(keras.utils.PyDataset):
    """Shuffled batches, augmented as `train.py` does and resized one at a time."""

    def __init__(self, images, labels, args, train):
        super().__init__()
        self.images, self.labels, self.args, self.train = images, labels, args, train
        self.random = np.random.default_rng(args.seed)
        self.order = np.arange(len(images))
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.images) // self.args.batch)

    def on_epoch_end(self):
        if self.train:
            self.random.shuffle(self.order)

    def __getitem__(self, idx):
        chosen = self.order[idx * self.args.batch : (idx + 1) * self.args.batch]
        images = self.images[chosen]
        if self.train:
            images = self.augment(images)
        return prepare(images, RESIZE[self.args.arch]), self.labels[chosen]

    def augment(self, images):
        flip = self.random.random(len(images)) < 0.5
        if self.args.dataset in datasets.MAY_FLIP:
            images = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
        shift = self.args.shift
        if shift == 0:
            return images
        _, height, width, _ = images.shape
        padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
        corners = self.random.integers(0, 2 * shift + 1, (len(images), 2))
        return np.stack([p[r : r + height, c : c + width] for p, (r, c) in zip(padded, corners)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=ARCHITECTURES, required=True)
    parser.add_argument("--dataset", choices=datasets.DATASETS, default="fashion")
    parser.add_argument("--data", type=Path, required=True, help="its folder, or an .npz")
    parser.add_argument("--pooling", choices=("max", "average"), default="max", help="of Inception")
    parser.add_argument("--dropout", type=float, default=0.0, help="before the dense layer")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="NAME.keras")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--weight-decay", type=float, default=2e-2)
    parser.add_argument("--shift", type=int, default=1, help="largest random shift in pixels")
    parser.add_argument("--held-out", type=int, default=3000, help="train images that choose")
    parser.add_argument("--limit", type=int, help="so many images of each split only, to try it out")
    args = parser.parse_args()
    if args.out.suffix != ".keras":
        parser.error("--out must end in .keras")

    keras.utils.set_random_seed(args.seed)
    images, labels = (a[: args.limit] for a in datasets.load(args.dataset, args.data, "train"))
    n_train = len(images) - args.held_out
    if n_train < args.batch:
        parser.error(f"{len(images)} images leave {n_train} to train on; lower --held-out or --batch")
    resize = RESIZE[args.arch]
    extents = (resize, resize) if resize else images.shape[1:3]
    steps = build(args.arch, images.shape[3], args.pooling, args.dropout)
    model = model_of(steps, args.out.stem, (*extents, images.shape[3]))
    n_steps = args.epochs * -(-n_train // args.batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        args.learning_rate / 25, n_steps * 3 // 4 or 1, warmup_target=args.learning_rate,
        warmup_steps=n_steps // 4,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=args.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    best = keras.callbacks.ModelCheckpoint(
        str(args.out), monitor="val_accuracy", mode="max", save_best_only=True
    )
    started = time.monotonic()
    held_out = Batches(images[n_train:], labels[n_train:], args, train=False)
    history = model.fit(
        Batches(images[:n_train], labels[:n_train], args, train=True), validation_data=held_out,
        epochs=args.epochs, callbacks=[best], verbose=2,
    )

    # Whole again without what only training needs.
    model = keras.saving.load_model(args.out, compile=False)
    model.save(args.out)
    args.out.with_suffix(".toml").write_text(datasets.preprocessing(resize))
    images, labels = (a[: args.limit] for a in datasets.load(args.dataset, args.data, "test"))
    predicted = np.concatenate([
        np.asarray(model.predict_on_batch(prepare(images[i : i + 250], resize))).argmax(1)
        for i in range(0, len(images), 250)
    ])
    summary = {
        "model": args.out.name, "arch": args.arch, "dataset": args.dataset,
        "backend": keras.backend.backend(), "epochs": args.epochs, "seed": args.seed,
        "parameters": sum(w.size for w in map(np.asarray, model.trainable_variables)),
        "held_out_accuracy": max(history.history["val_accuracy"]),
        "held_out_images": args.held_out,
        "test_correct": int((predicted == labels).sum()), "test_images": len(images),
        "seconds": round(time.monotonic() - started),
        "sha256": hashlib.sha256(args.out.read_bytes()).hexdigest(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
