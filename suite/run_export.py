"""What other tools make of exported networks.

    python suite/run_export.py onnx FOLDER    ONNX Runtime, without and with its optimizations
    python suite/run_export.py qonnx FOLDER   the reference execution of the `qonnx` package
    python suite/run_export.py npz FOLDER     NumPy, by the integers of the archive alone
    python suite/run_export.py hls FOLDER     hls4ml's parser; and what g++ makes of its C++
    python suite/run_export.py tflite FOLDER  LiteRT, by its reference kernels and by XNNPACK
    python suite/run_export.py vela FOLDER    what Arm's Vela leaves to the processor beside an Ethos-U55

FOLDER holds a folder for each case: the exported file `network.onnx`, `network.qonnx.onnx`, `network.npz` or
`reference.tflite` and `xnnpack.tflite` (for hls4ml `network.yml`, and `network_types.h` with a program `check.cpp` that uses it), the images `images.npy` `[n, h, w, c]` (for LiteRT the integers of the input) and what fixedwise computes, `expected.npy`
`[n, classes]` (of several outputs, one after the other), as real values. Prints `CASE: EQUAL of IMAGES equal, SAME the same class` a line for
each setting of the tool; whether that is enough is for the caller to say.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import export_npz

BATCH = 250
# Networks of layers that hls4ml has.
HLS4ML_TAKES = ("branches", "fashion_small")


def report(name, got, expected):
    equal = int((got == expected).all(axis=1).sum())
    same = int((got.argmax(axis=1) == expected.argmax(axis=1)).sum())
    print(f"{name}: {equal} of {len(expected)} equal, {same} the same class", flush=True)


def joined(outputs):
    """All outputs as one, `[n, elements]`."""
    return np.concatenate([output.reshape(len(output), -1) for output in outputs], axis=1)


def run_onnx(case, images, expected):
    import onnx
    import onnxruntime

    model = onnx.load(case / "network.onnx")
    onnx.checker.check_model(model, full_check=True)
    levels = onnxruntime.GraphOptimizationLevel
    for setting, level in [("plain", levels.ORT_DISABLE_ALL), ("optimized", levels.ORT_ENABLE_ALL)]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            str(case / "network.onnx"), options, providers=["CPUExecutionProvider"]
        )
        (value,) = session.get_inputs()
        kind = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[value.type]
        x = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(kind)
        parts = [x[i : i + BATCH] for i in range(0, len(x), BATCH)]
        got = np.concatenate([joined(session.run(None, {value.name: part})) for part in parts])
        report(f"{case.name} {setting}", got, expected)


def run_qonnx(case, images, expected):
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(str(case / "network.qonnx.onnx"))
    model = model.transform(InferShapes()).transform(InferDataTypes())
    (name,) = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    x = images.transpose(0, 3, 1, 2).astype(np.float32)
    results = [execute_onnx(model, {name: x[i : i + 1]}) for i in range(len(x))]
    got = [joined([result[output] for output in outputs]) for result in results]
    report(case.name, np.concatenate(got), expected)


def run_npz(case, images, expected):
    got = export_npz.run(case / "network.npz", images)
    report(case.name, got, expected)


def run_hls(case, images, expected):
    import hls4ml
    import yaml

    config = yaml.safe_load((case / "network.yml").read_text())
    parsed = hls4ml.model.graph.HLSConfig({"HLSConfig": config, "Backend": "Vitis"})
    for name, layer in config["LayerName"].items():
        for kind, text in layer["Precision"].items():
            stored = parsed.layer_name_precision[f"{name.lower()}_{kind}"]
            precision = parsed.backend.convert_precision_string(stored)
            width, integer, *modes = text[text.index("<") + 1 : -1].split(",")
            assert (precision.width, precision.integer) == (int(width), int(integer)), text
            assert precision.signed != ("ufixed" in text), text
            if modes:
                rounding, saturation = precision.rounding_mode, precision.saturation_mode
                assert [f"AP_{rounding}", f"AP_{saturation}"] == modes, text
    types = Path(hls4ml.__file__).parent / "templates/vivado/ap_types"
    with tempfile.TemporaryDirectory() as folder:
        if (case / "check.cpp").exists():
            program = Path(folder) / "check"
            flags = ["-std=c++14", "-w", "-I", types, "-I", case]
            subprocess.run(["g++", *flags, case / "check.cpp", "-o", program], check=True)
            subprocess.run([program], check=True)
            print(f"{case.name}: types as expected", flush=True)
        if case.name.startswith(HLS4ML_TAKES):
            report(case.name, run_hls4ml(case, config, images, folder), expected)


def run_hls4ml(case, config, images, folder):
    """What the C++ of hls4ml computes, with `ap_fixed` in software."""
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(str(case / "network.qonnx.onnx"))
    channels_last = ConvertToChannelsLastAndClean(make_input_channels_last=True)
    model = model.transform(InferShapes()).transform(channels_last).transform(InferShapes())
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"added_{i}"
    # Its progress goes to where ours is not.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        converted = hls4ml.converters.convert_from_onnx_model(
            model,
            output_dir=folder,
            project_name="network",
            backend="Vitis",
            io_type="io_stream",
            hls_config=config,
        )
        converted.compile()
        return converted.predict(images.astype(np.float32)).reshape(len(images), -1)


def run_tflite(case, images, expected):
    """Of each file the results by the reference kernels and by default, with the largest difference in steps and the
    share of elements that differ."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolvers = {"reference": OpResolverType.BUILTIN_REF, "xnnpack": OpResolverType.AUTO}
    for file in sorted(case.glob("*.tflite")):
        for kernels, resolver in resolvers.items():
            interpreter = Interpreter(
                str(file), experimental_op_resolver_type=resolver, num_threads=1
            )
            (given,) = interpreter.get_input_details()
            shape = [len(images), *given["shape"][1:]]
            interpreter.allocate_tensors()
            x = images.astype(np.int64) + given["quantization"][1]
            x = x.astype(given["dtype"]).reshape(shape)
            got = []
            outputs = interpreter.get_output_details()
            for image in x:
                interpreter.set_tensor(given["index"], image[None])
                interpreter.invoke()
                values = [interpreter.get_tensor(output["index"]) for output in outputs]
                pairs = zip(values, (output["quantization"] for output in outputs))
                real = [(v.astype(np.float64) - zero) * scale for v, (scale, zero) in pairs]
                got.append(np.concatenate([v.reshape(-1) for v in real]))
            steps = [np.full(v.size, o["quantization"][0]) for v, o in zip(values, outputs)]
            off = np.abs(np.array(got) - expected) / np.concatenate(steps)
            share = 100 * (off > 0).mean()
            name = f"{case.name} {file.stem} by {kernels} ({off.max():.0f} steps, {share:.3f} %)"
            report(name, np.array(got).astype(np.float32), expected)


def run_vela(case, images, expected):
    """Prints the operators of each file that are not on the NPU."""
    for file in sorted(case.glob("*.tflite")):
        with tempfile.TemporaryDirectory() as folder:
            vela = Path(sys.executable).with_name("vela")
            command = [vela, file, "--output-dir", folder, "--accelerator-config", "ethos-u55-128"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            text = done.stdout + done.stderr
            (line,) = [line for line in text.splitlines() if line.startswith("CPU operators = ")]
            print(f"{case.name} {file.stem}: {line}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    runs = {
        "onnx": run_onnx,
        "qonnx": run_qonnx,
        "npz": run_npz,
        "hls": run_hls,
        "tflite": run_tflite,
        "vela": run_vela,
    }
    parser.add_argument("form", choices=runs)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    for case in sorted(path for path in args.folder.iterdir() if path.is_dir()):
        images, expected = (np.load(case / f"{name}.npy") for name in ("images", "expected"))
        runs[args.form](case, images, expected.reshape(len(images), -1))


if __name__ == "__main__":
    main()
