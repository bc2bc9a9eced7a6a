"""Make the files of `suite/data`: small data sets as other programs write them.

    pip install numpy==2.4.6 scipy==1.17.1 pillow==13.0.0
    python suite/make_data.py

Every pixel follows one rule, so that no expected values are stored: row `r`, column `c`, channel
`k` of image `n` is `(29 n + 7 r + 3 c + 83 k) mod 256`. JPEG does not keep pixels: those images have
one color, and `colors.npz` has what Pillow decodes and its gray values of the RGB image.

`python2.batch` has the instructions of the original CIFAR-10 batches, which Python 2 wrote; the other
batches are what Python 3 writes today. Nothing of the original data sets is here.
"""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

FOLDER = Path(__file__).parent / "data"


def rule(n, height, width, channels):
    """Images `[n, h, w, c]`."""
    image, row, column, channel = np.meshgrid(*map(np.arange, (n, height, width, channels)), indexing="ij")
    return ((29 * image + 7 * row + 3 * column + 83 * channel) % 256).astype(np.uint8)


def python2_batch(data, labels):
    """A batch as Python 2's `cPickle` writes it with protocol 2: texts without encoding."""
    count = 0

    def put():
        nonlocal count
        count += 1
        return b"q" + bytes([count])

    def text(x):
        return b"U" + bytes([len(x)]) + x + put()

    n, size = data.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n" + put() + b"cnumpy\nndarray\n" + put() + b"K\x00\x85" + put()
        + text(b"b") + b"\x87" + put() + b"R" + put() + b"(K\x01M" + struct.pack("<H", n) + b"M"
        + struct.pack("<H", size) + b"\x86cnumpy\ndtype\n" + put() + text(b"u1") + b"K\x00K\x01\x87" + put() + b"R"
        + put() + b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<I", data.size) + data.tobytes() + put() + b"tb"
    )
    return (
        b"\x80\x02}" + put() + b"(" + text(b"batch_label") + text(b"testing batch 1 of 1") + text(b"labels") + b"]"
        + put() + b"(" + b"".join(b"K" + bytes([x]) for x in labels) + b"e" + text(b"data") + array
        + text(b"filenames") + b"]" + put() + b"(" + b"".join(text(b"%d.png" % x) for x in range(n)) + b"eu."
    )


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def main():
    FOLDER.mkdir(exist_ok=True)
    files = {}

    planes = rule(2, 32, 32, 3).transpose(0, 3, 1, 2).reshape(2, -1)
    files["python2.batch"] = python2_batch(planes, [3, 9])
    assert pickle.loads(files["python2.batch"], encoding="bytes")[b"labels"] == [3, 9]
    assert (pickle.loads(files["python2.batch"], encoding="bytes")[b"data"] == planes).all()
    batch = {"data": np.ascontiguousarray(planes), "labels": [3, 9], "fine_labels": [42, 99], "filenames": ["a", "b"]}
    files["python3.batch"] = pickle.dumps(batch, protocol=4)
    files["protocol5.batch"] = pickle.dumps({k.encode(): v for k, v in batch.items()}, protocol=5)

    digits = rule(5, 32, 32, 3).transpose(1, 2, 3, 0)
    for name, labels, compressed in (
        ("digits.mat", np.array([[1], [10], [2], [9], [10]], np.uint8), True),
        ("doubles.mat", np.array([[1.0], [10.0], [2.0], [9.0], [10.0]]), False),
    ):
        out = io.BytesIO()
        part = digits if compressed else digits[:4, :3, :, :]
        savemat(out, {"X": part, "y": labels}, do_compression=compressed)
        # Its first 116 bytes say when it was made.
        files[name] = b"MATLAB 5.0 MAT-file".ljust(116) + out.getvalue()[116:]

    rgb = rule(1, 5, 4, 3)[0]
    gray = rgb[:, :, 0]
    opaque = np.concatenate([rgb, np.full((5, 4, 1), 255, np.uint8)], axis=2)
    clear = opaque.copy()
    clear[2, 3, 3] = 128
    palette = Image.fromarray(rgb).quantize(32, dither=Image.Dither.NONE)
    assert (np.asarray(palette.convert("RGB")) == rgb).all()
    images = {
        "rgb": Image.fromarray(rgb), "gray": Image.fromarray(gray), "opaque": Image.fromarray(opaque),
        "transparent": Image.fromarray(clear), "palette": palette,
        "deep": Image.fromarray(gray.astype(np.uint16) * 257), "bit": Image.fromarray(gray > 20),
    }
    for name, image in images.items():
        files[f"{name}.png"] = encoded(image, "PNG")
    color = Image.new("RGB", (9, 6), (200, 30, 90))
    files["rgb.jpg"] = encoded(color, "JPEG", quality=95)
    files["progressive.jpg"] = encoded(color, "JPEG", quality=95, progressive=True)
    files["gray.jpg"] = encoded(Image.new("L", (9, 6), 77), "JPEG", quality=95)
    every = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    files["random.png"] = encoded(Image.fromarray(every), "PNG")

    expected = {
        "random_gray": np.asarray(Image.fromarray(every).convert("L")),
        "rgb_jpg": np.asarray(Image.open(io.BytesIO(files["rgb.jpg"]))),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in expected.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0))
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content.getvalue(), compresslevel=9)
    files["colors.npz"] = out.getvalue()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
