"""Reads the four gzipped IDX files of Fashion-MNIST."""

import gzip
import struct

import numpy as np


def read(path):
    """The array of unsigned bytes in a gzipped IDX file."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    n_axes = raw[3]
    extents = struct.unpack_from(f">{n_axes}I", raw, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_axes).reshape(extents)


def load(folder, split):
    """Images `[n, 28, 28]` and labels `[n]` of `train` or `t10k`."""
    images = read(folder / f"{split}-images-idx3-ubyte.gz")
    labels = read(folder / f"{split}-labels-idx1-ubyte.gz")
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} images but {len(labels)} labels in `{split}`")
    return images, labels
