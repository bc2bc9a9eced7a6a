"""Images per second of ONNX Runtime in fp32, to stand beside our own.

    python bench/ort_speed.py MODEL.onnx --threads 2 --images 2000 --batch 32

Prints one JSON line. Needs `suite/requirements.txt`. Each batch size is warmed up once and then
timed several times; the best time counts. Inputs are random: the time does not depend on them.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime


def images_per_second(session, name, shape, batch, n_images, repeats):
    """The best rate over `repeats` passes of at least `n_images` images each."""
    images = np.random.default_rng(0).random((batch, *shape), dtype=np.float32)
    n_batches = -(-n_images // batch)
    session.run(None, {name: images})
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(n_batches):
            session.run(None, {name: images})
        best = min(best, time.perf_counter() - start)
    return n_batches * batch / best


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument(
        "--batch", type=int, nargs="*", help="batch sizes to try (default: 1 8 32 128)"
    )
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(args.model), options, providers=["CPUExecutionProvider"]
    )
    (value,) = session.get_inputs()
    fixed_batch, *shape = value.shape
    batches = [fixed_batch] if isinstance(fixed_batch, int) else args.batch or [1, 8, 32, 128]
    rates = {
        batch: images_per_second(session, value.name, shape, batch, args.images, args.repeats)
        for batch in batches
    }
    best = max(rates, key=rates.get)
    print(json.dumps({
        "tool": f"onnxruntime {onnxruntime.__version__}", "model": args.model.name,
        "threads": args.threads, "batch": best, "images_per_second": round(rates[best], 1),
        "by_batch": {str(batch): round(rate, 1) for batch, rate in rates.items()},
    }))


if __name__ == "__main__":
    main()
