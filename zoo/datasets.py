"""Reads the paper's four data sets: images `[n, h, w, c]` of bytes, and labels `[n]`."""

import functools
import gzip
import math
import pickle
import struct
from pathlib import Path

import numpy as np

DATASETS = ("mnist", "fashion", "cifar10", "svhn")
# A mirrored digit is no digit.
MAY_FLIP = ("fashion", "cifar10")


def load(name, path, split):
    """The `train` or `test` split of a data set.

    `path` is an .npz with `x_train`, `y_train`, `x_test` and `y_test`, or the folder of the files as
    their authors publish them, unpacked.
    """
    path = Path(path)
    if path.suffix == ".npz":
        arrays = np.load(path)
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    else:
        readers = {"mnist": idx, "fashion": idx, "cifar10": cifar10, "svhn": svhn}
        images, labels = readers[name](path, split)
    images = images.reshape(images.shape + (1,) * (4 - images.ndim))
    labels = labels.reshape(-1)
    if images.dtype != np.uint8 or len(images) != len(labels):
        raise ValueError(f"{path}: {split} has {images.dtype} images, {len(images)} of them, "
                         f"and {len(labels)} labels")
    if not 0 <= labels.min() <= labels.max() <= 9:
        raise ValueError(f"{path}: {split} has labels from {labels.min()} to {labels.max()}")
    return images, labels.astype(np.uint8)


def idx(folder, split):
    """The IDX files of MNIST and Fashion-MNIST, gzipped or not."""
    prefix = {"train": "train", "test": "t10k"}[split]

    def read(name):
        path = folder / name
        raw = path.read_bytes() if path.exists() else gzip.decompress(
            path.with_name(f"{name}.gz").read_bytes()
        )
        if raw[:3] != b"\x00\x00\x08":
            raise ValueError(f"{path}: not an IDX file of unsigned bytes")
        extents = struct.unpack_from(f">{raw[3]}I", raw, 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(extents)

    return read(f"{prefix}-images-idx3-ubyte"), read(f"{prefix}-labels-idx1-ubyte")


def cifar10(folder, split):
    """CIFAR-10's batches, the Python version or, where those are not there, the binary one."""
    numbers = range(1, 6) if split == "train" else (None,)
    images, labels = [], []
    for number in numbers:
        name = "test_batch" if number is None else f"data_batch_{number}"
        if (folder / name).exists():
            # The format its authors chose; only for files that come from them.
            batch = pickle.loads((folder / name).read_bytes(), encoding="bytes")
            pixels = np.asarray(batch[b"data"], np.uint8)
            classes = np.asarray(batch[b"labels"], np.uint8)
        else:
            raw = np.frombuffer((folder / f"{name}.bin").read_bytes(), np.uint8).reshape(-1, 3073)
            pixels, classes = raw[:, 1:], raw[:, 0]
        images.append(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(classes)
    return np.concatenate(images), np.concatenate(labels)


def svhn(folder, split):
    """SVHN's cropped digits; its label 10 is the digit 0."""
    import scipy.io

    arrays = scipy.io.loadmat(folder / f"{split}_32x32.mat")
    return arrays["X"].transpose(3, 0, 1, 2), arrays["y"].reshape(-1) % 10


@functools.cache
def resize_matrix(n_in, n_out):
    """The weights `[n_out, n_in]` that resize one axis bilinearly.

    Output `k` lies at `(k + 0.5) * n_in / n_out - 0.5` of the input; a neighbor beyond the border
    is mirrored about the border pixel's center, -1 to 1. To make an image larger,
    `skimage.transform.resize` does just this.
    """
    weights = np.zeros((n_out, n_in))
    for k in range(n_out):
        center = (k + 0.5) * n_in / n_out - 0.5
        left = math.floor(center)
        for i, weight in ((left, 1 - (center - left)), (left + 1, center - left)):
            i = abs(i)
            i = min(i, 2 * (n_in - 1) - i)
            weights[k, i] += weight
    return weights.astype(np.float32)


def preprocessing(resize):
    """What fixedwise reads beside a model: how pixels become the network's input."""
    lines = ["# How pixels become the network's input.", 'scale = "1/255"']
    if resize is not None:
        lines.append(f"resize = [{resize}, {resize}]")
    return "\n".join(lines) + "\n"
