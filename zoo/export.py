"""Writes a trained `Network` as ONNX, opset 17, with the names of its steps."""

import hashlib

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from architectures import BATCH_NORM_EPSILON


def array(tensor):
    """A contiguous float32 array of a PyTorch tensor."""
    return tensor.detach().float().cpu().contiguous().numpy()


def write(network, name, shape, path):
    """Write `network` with input `[batch, c, h, w]`, `shape` the last three, and a softmax at its end."""
    nodes, initializers = [], []

    def constant(constant_name, tensor):
        initializers.append(numpy_helper.from_array(array(tensor), constant_name))
        return constant_name

    def output_of(value):
        return value if value == "input" else f"{value}_output"

    for step in network.steps:
        inputs = [output_of(value) for value in step.inputs]
        a = step.attributes
        layer = network.layers[step.name] if step.name in network.layers else None
        if step.kind == "conv":
            inputs.append(constant(f"{step.name}.weight", layer.weight))
            if layer.bias is not None:
                inputs.append(constant(f"{step.name}.bias", layer.bias))
            operator, attributes = "Conv", {
                "dilations": [1, 1], "group": layer.groups, "kernel_shape": [a["kernel"]] * 2,
                "pads": list(a["pads"]), "strides": [a["stride"]] * 2,
            }
        elif step.kind == "batch_norm":
            inputs += [
                constant(f"{step.name}.weight", layer.weight),
                constant(f"{step.name}.bias", layer.bias),
                constant(f"{step.name}.running_mean", layer.running_mean),
                constant(f"{step.name}.running_var", layer.running_var),
            ]
            operator, attributes = "BatchNormalization", {"epsilon": BATCH_NORM_EPSILON}
        elif step.kind == "dense":
            inputs += [
                constant(f"{step.name}.weight", layer.weight),
                constant(f"{step.name}.bias", layer.bias),
            ]
            operator, attributes = "Gemm", {"transB": 1}
        elif step.kind == "max_pool":
            operator, attributes = "MaxPool", {
                "kernel_shape": [2, 2], "pads": list(a["pads"]), "strides": [2, 2],
            }
        elif step.kind == "relu6":
            limits = {"low": 0.0, "high": 6.0}
            inputs += [constant(f"{step.name}.{name}", torch.tensor(x)) for name, x in limits.items()]
            operator, attributes = "Clip", {}
        else:
            operator, attributes = {
                "relu": ("Relu", {}),
                "hard_swish": ("HardSwish", {}),
                "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
                "add": ("Add", {}),
                "mul": ("Mul", {}),
                "global_average_pool": ("GlobalAveragePool", {}),
                "average_pool": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
                "dropout": ("Identity", {}),
                "global_max_pool": ("GlobalMaxPool", {}),
                "flatten": ("Flatten", {"axis": 1}),
                "concat": ("Concat", {"axis": 1}),
            }[step.kind]
        nodes.append(
            helper.make_node(operator, inputs, [output_of(step.name)], step.name, **attributes)
        )
    last = output_of(network.steps[-1].name)
    nodes.append(helper.make_node("Softmax", [last], ["output"], "softmax_1", axis=-1))
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 10])],
        initializers,
    )
    model = helper.make_model(
        graph, producer_name="fixedwise-zoo", ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
    )
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
