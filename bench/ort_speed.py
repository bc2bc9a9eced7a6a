"""Images per second of ONNX Runtime, in fp32 and in its int8 forms, to stand beside our own.

    python bench/ort_speed.py MODEL.onnx [--threads 2] [--int8]

Prints one JSON line a form. Needs `suite/requirements.txt`. The int8 forms are what ONNX Runtime's own static
quantization makes: QDQ and QOperator, with one scale a tensor or one a channel, with signed and with unsigned
activations. Of each form the batch size counts that is fastest, and of several passes the best. Inputs are random: the
time does not depend on them.
"""

import argparse
import contextlib
import io
import json
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

BATCHES = [1, 8, 32]
PASS_SECONDS = 0.15
PASSES = 3


class Session:
    """A model, ready to run at the batch size that is fastest."""

    def __init__(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (value,) = self.session.get_inputs()
        self.name = value.name
        fixed, *self.shape = value.shape
        batches = [fixed] if isinstance(fixed, int) else BATCHES
        self.batch = max(batches, key=lambda batch: self.rate(batch, passes=1))

    def rate(self, batch=None, passes=PASSES):
        """Images per second: the best of several passes."""
        batch = batch or self.batch
        images = np.random.default_rng(0).random((batch, *self.shape), dtype=np.float32)
        self.session.run(None, {self.name: images})
        best = 0.0
        for _ in range(passes):
            n, start = 0, time.perf_counter()
            while (seconds := time.perf_counter() - start) < PASS_SECONDS or n == 0:
                self.session.run(None, {self.name: images})
                n += batch
            seconds = time.perf_counter() - start
            best = max(best, n / seconds)
        return best


class Images(quantization.CalibrationDataReader):
    """A few random images."""

    def __init__(self, session):
        random = np.random.default_rng(1)
        shape = (1, *session.shape)
        self.images = [{session.name: random.random(shape, dtype=np.float32)} for _ in range(8)]

    def get_next(self):
        return self.images.pop() if self.images else None


def int8_forms(path, session, folder):
    """Name and file of each int8 form of a model."""
    logging.disable(logging.WARNING)
    folder = Path(folder)
    prepared = folder / "prepared.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    types = quantization.QuantType
    for form in (quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator):
        for per_channel in (False, True):
            for activations in (types.QUInt8, types.QInt8):
                name = f"{form.name} {'per channel' if per_channel else 'per tensor'} {activations.name[1:].lower()}"
                file = folder / f"{name.replace(' ', '_')}.onnx"
                quantization.quantize_static(
                    str(prepared), str(file), Images(session), quant_format=form, per_channel=per_channel,
                    activation_type=activations, weight_type=types.QInt8,
                )
                yield name, file


def sessions(path, threads, with_int8):
    """Name and session of fp32 and, where wanted, of each int8 form."""
    float_session = Session(path, threads)
    found = [("fp32", float_session)]
    if with_int8:
        with tempfile.TemporaryDirectory() as folder:
            for name, file in int8_forms(path, float_session, folder):
                found.append((name, Session(file, threads)))
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--int8", action="store_true")
    args = parser.parse_args()
    for name, session in sessions(args.model, args.threads, args.int8):
        print(json.dumps({
            "tool": f"onnxruntime {onnxruntime.__version__}", "model": args.model.name, "form": name,
            "threads": args.threads, "batch": session.batch, "images_per_second": round(session.rate(), 1),
        }))


if __name__ == "__main__":
    main()
