"""What other tools make of a network within the same loss, beside the default search, on the same images.

    python3 -m venv venv && venv/bin/pip install -r bench/requirements-peers.txt
    venv/bin/python bench/peers.py --models DIR --data DIR --networks seq_small_fashion

- Sony's Model Compression Toolkit: powers of two, weights of 2, 4 or 8 bits by channel, mixed for a given
  memory; of several memories the smallest whose loss on the search images is within the bound; activations of 8 bits,
- Brevitas: GPTQ at 4 bits, one scale (a power of two) an output channel, with correction of biases; activations of 8 bits,
- ONNX Runtime: static quantization to int8, one scale an output channel.

All calibrate on the first 512 train images, without labels; 5,000 test images are searched on, the other 5,000 are only
reported. Memory and multiplications are counted as the search counts them, against 8 bits everywhere; for the peers, what
they keep in more than 8 bits (scales, biases) counts as 8 bits, too.
"""

import argparse
import contextlib
import json
import logging
import os
import pathlib
import subprocess
import tempfile
import warnings

import numpy as np
import onnx
import onnx2torch
import torch

import search

CALIBRATION = 512
HALF = 5000
BOUND = 0.01
MCT_BITS = (5, 4, 3.5, 3.25, 3, 2.75, 2.5)
BATCH = 250


def images_of(data, network):
    """Float images `[n, c, h, w]` of the train and the test split, and the labels of the latter."""
    arrays = np.load(search.images_of(data, network))

    def prepared(images):
        images = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
        return torch.from_numpy(images.copy()).float().div(255)

    return prepared(arrays["x_train"][:CALIBRATION]), prepared(arrays["x_test"]), arrays["y_test"].reshape(-1)


def resized(images, shape):
    if list(images.shape[2:]) == shape:
        return images
    return torch.nn.functional.interpolate(images, size=shape, mode="bilinear", align_corners=False)


class Counted:
    """Right or wrong on the test images, half by half."""

    def __init__(self, images, labels, shape):
        self.images, self.labels, self.shape = images, labels, shape
        self.float = None

    def right(self, run):
        with torch.no_grad():
            parts = [run(resized(part, self.shape)) for part in self.images.split(BATCH)]
        right = np.concatenate([np.asarray(part).argmax(1) for part in parts]) == self.labels
        return right[:HALF].sum(), right[HALF:].sum()

    def losses(self, run):
        """Relative, in percent: searched and unseen."""
        fixed = self.right(run)
        return [100 * (1 - new / old) for new, old in zip(fixed, self.float)]


def as_torch(model):
    """A network in PyTorch; a global maximum is a pool as large as its value, as the converter knows it."""
    model = onnx.shape_inference.infer_shapes(model)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.value_info}
    for node in model.graph.node:
        if node.op_type == "GlobalMaxPool":
            extents = [dim.dim_value for dim in shapes[node.input[0]][2:]]
            node.op_type = "MaxPool"
            node.attribute.extend([onnx.helper.make_attribute("kernel_shape", extents)])
    return onnx2torch.convert(model).eval()


def weights_of(model):
    """The numbers of weights of the layers that are convolutions and dense, by the names of their initializers."""
    sizes = {value.name: int(np.prod(value.dims)) for value in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return {node.input[1]: sizes[node.input[1]] for node in layers if node.input[1] in sizes}


@contextlib.contextmanager
def silent():
    """Nothing of what solvers print, which are processes of their own."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def sony(model, calibration, counted, n_weights):
    """The plan of fewest bits within the bound: mean bits of weights, and its losses."""
    import model_compression_toolkit as mct

    def representative():
        for part in calibration.split(32):
            yield [part]

    best = None
    for bits in MCT_BITS:
        with silent():
            budget = mct.core.ResourceUtilization(weights_memory=n_weights * bits / 8)
            config = mct.core.CoreConfig(mixed_precision_config=mct.core.MixedPrecisionQuantizationConfig())
            quantized, _ = mct.ptq.pytorch_post_training_quantization(
                as_torch(model), representative, target_resource_utilization=budget,
                core_config=config,
            )
        losses = counted.losses(lambda x: quantized(x).numpy())
        if losses[0] > 100 * BOUND:
            break
        best = (bits, losses)
    return best


def brevitas(model, calibration, counted):
    from brevitas.graph.quantize import preprocess_for_quantize
    from brevitas_examples.imagenet_classification.ptq import ptq_common as ptq

    network = preprocess_for_quantize(as_torch(model), equalize_iters=20)
    network = ptq.quantize_model(
        network, backend="layerwise", weight_bit_width=4, act_bit_width=8, bias_bit_width=32,
        weight_quant_granularity="per_channel", scale_factor_type="po2_scale", weight_narrow_range=True,
        weight_param_method="mse", weight_quant_type="sym", act_quant_type="sym", act_param_method="mse",
        act_quant_percentile=99.999, quant_format="int", layerwise_first_last_bit_width=8,
        act_quant_granularity="per_tensor", act_scale_computation_type="static", dtype=torch.float32,
        device="cpu", uint_sym_act_for_unsigned_values=True,
    )
    with torch.no_grad():
        # Quantizers of weights take their scales from the first run.
        network(calibration[:64])
    loader = [(part, torch.zeros(len(part))) for part in calibration.split(64)]
    ptq.calibrate(loader, network)
    ptq.apply_gptq(loader, network, act_order=True)
    ptq.apply_bias_correction(loader, network)
    return 4, counted.losses(lambda x: network(x).numpy())


def onnx_runtime(path, calibration, counted):
    import onnxruntime
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self, name):
            self.parts = iter([{name: part.numpy()} for part in calibration.split(64)])

        def get_next(self):
            return next(self.parts, None)

    name = onnx.load(path).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "int8.onnx"
        quantization.quantize_static(path, target, Reader(name), per_channel=True)
        session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
        return 8, counted.losses(lambda x: session.run(None, {name: x.numpy()})[0])


def ours(options, network):
    images = search.images_of(options.data, network)
    sets = ["--calibration", f"{images}:train@0..2000"]
    sets += ["--search", f"{images}:test@0..{HALF}", "--test", f"{images}:test@{HALF}..{2 * HALF}"]
    with tempfile.TemporaryDirectory() as folder:
        command = [options.tool, "quantize", options.models / f"{network}.onnx", *sets, "-o", folder, "--quiet"]
        command += search.preprocessing(options.models, network)
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        return json.loads((pathlib.Path(folder) / "result.json").read_text())


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tool", type=pathlib.Path, default=search.ROOT / "target" / "release" / "fixedwise")
    parser.add_argument("--networks", default=",".join(search.NETWORKS))
    options = parser.parse_args()
    print("| network | tool | memory saved % | bit products saved % | loss %, searched | loss %, unseen |")
    print("|---|---|---|---|---|---|")
    for network in options.networks.split(","):
        path = options.models / f"{network}.onnx"
        model = onnx.load(path)
        calibration, images, labels = images_of(options.data, network)
        shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]]
        calibration = resized(calibration, shape)
        counted = Counted(images, labels, shape)
        counted.float = counted.right(lambda x: as_torch(model)(x).numpy())
        result = ours(options, network)
        all_bits = result["memory_bits"]["total"] / (1 - result["memory_bits"]["reduction"])
        n_weights = sum(weights_of(model).values())

        def row(tool, found):
            if found is None:
                print(f"| {network} | {tool} | none within the bound | | | |", flush=True)
                return
            bits, losses = found
            memory = 100 * (8 - bits) * n_weights / all_bits
            print(f"| {network} | {tool}, {bits} bits | {memory:.1f} | {100 * (1 - bits / 8):.1f} | "
                  f"{losses[0]:.2f} | {losses[1]:.2f} |", flush=True)

        accuracy = result["accuracy"]
        print(f"| {network} | fixedwise | {100 * result['memory_bits']['reduction']:.1f} | "
              f"{100 * result['multiplication_cost']['operand_reduction']:.1f} | "
              f"{100 * accuracy['search']['relative_loss']:.2f} | {100 * accuracy['test']['relative_loss']:.2f} |", flush=True)
        row("MCT", sony(model, calibration, counted, n_weights))
        row("Brevitas GPTQ", brevitas(model, calibration, counted))
        row("ONNX Runtime", onnx_runtime(path, calibration, counted))


if __name__ == "__main__":
    main()
