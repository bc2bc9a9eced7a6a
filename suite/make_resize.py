"""Make `resize.npz`: what `skimage.transform.resize` gives, to compare our resize with.

    pip install numpy==2.4.6 scikit-image==0.26.0
    python suite/make_resize.py

Keys `x_NAME` (uint8 `[h, w, c]`) and `y_NAME` (float32 `[h, w, c]`, of `x / 255`). Bilinear; output
`k` of an axis lies at `(k + 0.5) * n_in / n_out - 0.5` of the input, and a neighbor beyond the
border is mirrored about the border pixel's center: -1 becomes 1, `n` becomes `n - 2`. Only
enlarged images are here: to shrink one, scikit-image smooths it first.
"""

from pathlib import Path

import numpy as np
from skimage.transform import resize

import cases

SIZES = {
    "square": ((28, 28, 1), (96, 96)), "uneven": ((5, 7, 1), (12, 9)), "colors": ((4, 6, 3), (11, 6)),
    "double": ((8, 8, 1), (16, 16)), "narrow": ((2, 3, 1), (9, 8)), "row": ((1, 4, 1), (3, 10)),
}


def main():
    random = np.random.default_rng(1)
    files = {}
    for name, (shape, extents) in SIZES.items():
        x = random.integers(0, 256, shape, dtype=np.uint8)
        y = resize(x / 255, (*extents, shape[2]))
        files[f"x_{name}.npy"] = cases.npy(x)
        files[f"y_{name}.npy"] = cases.npy(y.astype(np.float32))
    cases.write_zip(Path(__file__).parent / "resize.npz", files)


if __name__ == "__main__":
    main()
