"""Make `onnx-node.zip`, `onnx-node.txt` and `onnx-node-refused.txt` from the `onnx` package.

    python suite/make_onnx_node.py

The package's test cases (node cases, and the ones converted from PyTorch) feed weights, shapes
and axes as graph inputs. Here a network has one input, whose first axis is the batch, and all
else is constant. So every case is rewritten:

- its first input stays; the others become initializers with the case's own data;
- where values are added or concatenated, they are packed side by side along the channels of one
  input, and taken apart again by convolutions or products with zeros and ones, which is exact;
- cases older than opset 11 are converted to opset 13.

A rewritten case is claimed if ONNX Runtime still gives the case's own expected output, and if no
image of the batch changes another one's output. What is not claimed is listed with its reason.
Cases that use an operator outside `OPERATORS` are not listed at all.
"""

import copy
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

import cases
import constant_cases
import map_cases
import own_cases
import pair_cases

OPERATORS = set(
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip "
    "Concat Constant Conv ConvTranspose Cos Cosh DepthToSpace Div Dropout Elu Erf Exp Expand "
    "Flatten Floor Gather GatherND Gelu Gemm Greater GreaterOrEqual GroupNormalization GlobalAveragePool GlobalMaxPool HardSigmoid "
    "HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mish Mul Neg Not Or PRelu Pad "
    "Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape Resize RMSNormalization Round Selu "
    "Shrink Sigmoid Sign Sin Sinh Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze "
    "Sub Sum Swish Tan Tanh ThresholdedRelu Tile Transpose Unsqueeze Upsample Where".split()
)
# They only choose and order elements, so that their values may have any number of axes.
MOVES = set(
    "DepthToSpace Expand Flatten Gather GatherND Identity Pad Reshape Slice SpaceToDepth Split "
    "Squeeze Tile Transpose Unsqueeze".split()
)
# Their inputs may all be values.
MANY_VALUES = {"Add", "Concat", "Max", "Mean", "Min", "Mul", "Sub", "Sum"}
REDUCTIONS = set(
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare".split()
)
BY_CONSTANT = {"Add", "Sub", "Mul", "Div"}
MAX_ELEMENTS = 20_000
OLDEST_OPSET = 11
HERE = Path(__file__).parent


class Refused(Exception):
    """A case is not claimed; the text says why."""


def package_cases():
    """Name, model, inputs and outputs of every case of the package that uses only `OPERATORS`."""
    for case in collect_testcases(None):
        if all(node.op_type in OPERATORS for node in case.model.graph.node):
            inputs, outputs = case.data_sets[0]
            yield case.name, case.model, inputs, outputs
    for kind in ("pytorch-converted", "pytorch-operator", "simple"):
        for case in load_model_tests(kind=kind):
            folder = Path(case.model_dir)
            model = onnx.load(folder / "model.onnx")
            if all(node.op_type in OPERATORS for node in model.graph.node):
                data = folder / "test_data_set_0"
                inputs = [load(p) for p in sorted(data.glob("input_*.pb"))]
                outputs = [load(p) for p in sorted(data.glob("output_*.pb"))]
                yield case.name, model, inputs, outputs


def load(path):
    return numpy_helper.to_array(onnx.load_tensor(path))


def number_to_array(value):
    return np.asarray(value) if isinstance(value, np.generic) else value


def check_rank(rank):
    if not 2 <= rank <= 4:
        raise Refused(f"has a value of rank {rank}; supported are 2 to 4")


def opset(model):
    return next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


def attribute(node, name, default):
    for a in node.attribute:
        if a.name == name:
            return helper.get_attribute_value(a)
    return default


def rewrite(model, inputs, outputs):
    """The case with one input: model, input, expected output."""
    if not inputs:
        raise Refused("has no input")
    if len(outputs) != 1 or len(model.graph.output) != 1:
        raise Refused("has more than one output")
    inputs, outputs = ([number_to_array(v) for v in values] for values in (inputs, outputs))
    values = [*inputs, *outputs]
    if any(not isinstance(v, np.ndarray) for v in values):
        raise Refused("is about sequences or optional values")
    if inputs[0].dtype != np.float32 or outputs[0].dtype != np.float32:
        raise Refused(f"computes with {inputs[0].dtype}")
    if any(v.size == 0 for v in values):
        raise Refused("has an empty tensor")
    for v in (inputs[0], outputs[0]):
        check_rank(v.ndim)
    if any(v.size > MAX_ELEMENTS for v in values):
        raise Refused(f"has a tensor of more than {MAX_ELEMENTS} elements, too large to keep")
    model = copy.deepcopy(model)
    if opset(model) < OLDEST_OPSET:
        try:
            model = version_converter.convert_version(model, 13)
        except Exception as error:
            raise Refused(f"opset {opset(model)} cannot be converted: {error}") from error
    # Older files had to list initializers among the inputs.
    model.ir_version = max(model.ir_version, 4)
    graph = model.graph
    names = [i.name for i in graph.input]
    x = inputs[0]
    first = graph.node[0]
    packs = (
        len(inputs) > 1 and len(graph.node) == 1 and first.op_type in MANY_VALUES
        and all(v.ndim == x.ndim and v.shape[0] == x.shape[0] for v in inputs)
        and all(v.shape[2:] == x.shape[2:] for v in inputs)
        and (first.op_type == "Concat" or all(v.shape == x.shape for v in inputs))
    )
    if packs:
        x = pack(graph, names, inputs)
    else:
        for name, value in zip(names[1:], inputs[1:]):
            graph.initializer.append(numpy_helper.from_array(value, name))
    del graph.input[:]
    del graph.value_info[:]
    graph.input.append(
        helper.make_tensor_value_info("input" if packs else names[0], TensorProto.FLOAT, x.shape)
    )
    for i, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type.lower()}_{i + 1}"
    return model, x, outputs[0]


def pack(graph, names, values):
    """Lay the values side by side along the channels, and add the nodes that take them apart."""
    rank, total = values[0].ndim, sum(v.shape[1] for v in values)
    nodes, start = [], 0
    for name, value in zip(names, values):
        n = value.shape[1]
        chosen = np.eye(total, dtype=np.float32)[start : start + n]
        start += n
        if rank == 2:
            weights, operator, attributes = chosen.T, "MatMul", {}
        else:
            weights = chosen.reshape(n, total, *[1] * (rank - 2))
            operator, attributes = "Conv", {"kernel_shape": [1] * (rank - 2)}
        weights = numpy_helper.from_array(np.ascontiguousarray(weights), f"{name}_weights")
        graph.initializer.append(weights)
        nodes.append(
            helper.make_node(operator, ["input", weights.name], [name], f"take_{name}", **attributes)
        )
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return np.concatenate(values, axis=1)


def check_nodes(model, x):
    """Refuse what the operators' own rules exclude."""
    shapes = {i.name: tuple(i.dims) for i in model.graph.initializer}
    data = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    constants = set(shapes)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in inferred.value_info}
    for node in model.graph.node:
        if all(i in constants for i in node.input):
            constants.update(node.output)
        for name in node.output:
            if name in ranks and name not in constants and node.op_type not in MOVES:
                check_rank(ranks[name])
    for node in model.graph.node:
        if node.op_type in BY_CONSTANT:
            constant_inputs = [i for i in node.input if i in shapes]
            if constant_inputs == [node.input[1]]:
                aligned = (1,) * (x.ndim - len(shapes[node.input[1]])) + shapes[node.input[1]]
                if len(aligned) > x.ndim or aligned[0] != 1:
                    raise Refused("its constant differs along the batch")
        if node.op_type == "BatchNormalization" and attribute(node, "training_mode", 0):
            raise Refused("training mode")
        if node.op_type == "Dropout" and len(node.input) > 2 and data[node.input[2]]:
            raise Refused("training mode")
        if node.op_type == "Gemm":
            if attribute(node, "transA", 0):
                raise Refused("transposes its input, so that the batch comes last")
            bias = shapes.get(node.input[2], ()) if len(node.input) > 2 else ()
            if len(bias) == 2 and bias[0] != 1:
                raise Refused("its bias differs along the batch")
        if node.op_type == "MatMul" and np.prod(shapes.get(node.input[1], ())[:-2]) > 1:
            raise Refused("multiplies by several constant matrices")
        if node.op_type == "Resize":
            for name, refused in (("mode", b"cubic"), ("antialias", 1)):
                if attribute(node, name, None) == refused:
                    raise Refused(f"resizes with {name} = {refused}")
            if attribute(node, "coordinate_transformation_mode", b"") == b"tf_crop_and_resize":
                raise Refused("crops while it resizes")
        if node.op_type == "Pow" and data.get(node.input[1], np.empty(1)).size > 1:
            raise Refused("raises to several powers")
        if node.op_type in REDUCTIONS:
            axes = attribute(node, "axes", None)
            if axes is None:
                if len(node.input) > 1 and node.input[1] not in data:
                    continue  # Other nodes compute them: `check_batch` sees whether they fit.
                axes = data[node.input[1]].tolist() if len(node.input) > 1 else []
            is_identity = not axes and attribute(node, "noop_with_empty_axes", 0)
            if not is_identity and (not axes or 0 in [axis % x.ndim for axis in axes]):
                raise Refused("reduces the batch")


def check_batch(model, x, y):
    """Refuse a case whose first axis is not a batch of images that do not see each other."""
    if y.shape[0] != x.shape[0]:
        raise Refused("its first axis is not the batch: the output has another extent there")
    try:
        expected = cases.run(model, x)
    except Exception as error:
        raise Refused("ONNX Runtime does not run it once it is rewritten") from error
    if expected.shape != y.shape or not np.allclose(expected, y, rtol=1e-3, atol=1e-5):
        raise Refused("ONNX Runtime disagrees with the expected output")
    alone = x.copy()
    alone[1:] = 0
    for changed, same in ((x[::-1], expected[::-1]), (alone, np.concatenate([expected[:1]]))):
        got = cases.run(model, np.ascontiguousarray(changed))[: len(same)]
        if not np.allclose(got, same, rtol=1e-4, atol=1e-6):
            raise Refused("its first axis is not the batch: images change each other")


def main():
    files, claimed, refused = {}, [], []
    for name, model, inputs, outputs in package_cases():
        try:
            model, x, y = rewrite(model, inputs, outputs)
            check_nodes(model, x)
            check_batch(model, x, y)
        except Refused as reason:
            refused.append(f"{name}: {reason}")
            continue
        files |= cases.case_files(name, model, x, y)
        claimed.append(name)
    own = [own_cases, pair_cases, map_cases, constant_cases]
    for name, model, x in [case for module in own for case in module.all_cases()]:
        onnx.checker.check_model(model, full_check=True)
        y = cases.run(model, x)
        declared = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
        assert declared[1:] == list(y.shape[1:]), f"{name}: {declared} but {y.shape}"
        check_batch(model, x, y)
        files |= cases.case_files(name, model, x, y)
        claimed.append(name)
    cases.write_zip(HERE / "onnx-node.zip", files)
    (HERE / "onnx-node.txt").write_text("\n".join(sorted(claimed)) + "\n")
    (HERE / "onnx-node-refused.txt").write_text("\n".join(sorted(refused)) + "\n")
    size = (HERE / "onnx-node.zip").stat().st_size
    print(f"{len(claimed)} claimed, {len(refused)} refused, {size} bytes")


if __name__ == "__main__":
    main()
