"""What every script here shares: running ONNX Runtime, and files whose bytes never vary."""

import io
import zipfile

import numpy as np
import onnx
import onnxruntime


def open_model(model, threads=1):
    """A function that runs a model: from its only real input to its first output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    constants = {i.name for i in session.get_overridable_initializers()}
    (name,) = [i.name for i in session.get_inputs() if i.name not in constants]
    output = session.get_outputs()[0].name
    return lambda x: session.run([output], {name: x})[0]


def run(model, x):
    """ONNX Runtime's output of a model for one input."""
    return open_model(model)(x)


def npy(array):
    """The bytes of an `.npy` file, version 1.0, C order, little endian."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return out.getvalue()


def write_zip(path, files):
    """Write `{name: bytes}` in the order of names, with a constant time stamp."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, files[name], compresslevel=9)


def case_files(name, model, x, y):
    """The three files of one case: the model, its input, its expected output."""
    onnx.checker.check_model(model, full_check=False)
    return {
        f"{name}/model.onnx": model.SerializeToString(deterministic=True),
        f"{name}/input.npy": npy(x.astype(np.float32, copy=False)),
        f"{name}/output.npy": npy(y.astype(np.float32, copy=False)),
    }
