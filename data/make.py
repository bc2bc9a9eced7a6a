"""Make `data/fashion-mnist/` from the files of the Debian package `dataset-fashion-mnist`.

    apt-get install dataset-fashion-mnist
    python3 data/make.py --source /usr/share/datasets/fashion-mnist

Keeps the first images of the train split (they calibrate) and the whole test split. Only the
standard library is used, and the same input gives the same bytes: gzip time stamps are zero.
"""

import argparse
import gzip
import hashlib
import struct
from pathlib import Path

IMAGE_MAGIC = 0x0000_0803
LABEL_MAGIC = 0x0000_0801


def read_idx(path):
    """The magic number, the extents and the payload of a gzipped IDX file of bytes."""
    raw = gzip.decompress(path.read_bytes())
    (magic,) = struct.unpack_from(">I", raw)
    n_axes = magic & 0xFF
    extents = struct.unpack_from(f">{n_axes}I", raw, 4)
    return magic, extents, raw[4 + 4 * n_axes :]


def write_idx(path, magic, extents, payload):
    """Write a gzipped IDX file whose bytes depend on the content alone."""
    raw = struct.pack(f">I{len(extents)}I", magic, *extents) + payload
    with path.open("wb") as file:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as out:
            out.write(raw)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path.name}: {extents[0]} items, {path.stat().st_size} bytes, sha256 {digest}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fashion-mnist")
    parser.add_argument("--train-images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=10000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for split, n in (("train", args.train_images), ("t10k", args.test_images)):
        for kind, expected in (("images-idx3", IMAGE_MAGIC), ("labels-idx1", LABEL_MAGIC)):
            name = f"{split}-{kind}-ubyte.gz"
            magic, extents, payload = read_idx(args.source / name)
            if magic != expected or n > extents[0]:
                raise SystemExit(f"{name}: magic {magic:#x}, {extents[0]} items; wanted {expected:#x}, {n}")
            item_bytes = len(payload) // extents[0]
            write_idx(args.out / name, magic, (n, *extents[1:]), payload[: n * item_bytes])


if __name__ == "__main__":
    main()
