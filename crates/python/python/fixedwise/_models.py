"""Networks: files, and those of other frameworks."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ._errors import ModelError


class Model:
    """A network as a file, or as the bytes of one."""

    def __init__(self, path: str | None, name: str, contents: bytes):
        self.path = path
        self.name = name
        self.contents = contents

    @contextlib.contextmanager
    def file(self) -> Iterator[str]:
        """The path of its file; of one that is gone afterwards, where it is in memory."""
        if self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="fixedwise-") as folder:
            path = Path(folder, self.name)
            path.write_bytes(self.contents)
            yield str(path)

    def __repr__(self) -> str:
        return f"Model({self.path or self.name!r})"


def model_of(model: Any, example: Callable[[], Any]) -> Model:
    """A network of any kind that is taken; `example` gives an input for a tracer."""
    if isinstance(model, Model):
        return model
    if isinstance(model, (str, os.PathLike)):
        return Model(os.fspath(model), "", b"")
    kinds = [f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(model).__mro__]
    if "torch.Module" in kinds:
        return _from_torch(model, example)
    if hasattr(model, "SerializeToString") and hasattr(model, "graph"):
        contents = model.SerializeToString()
        return Model(None, f"{_name(getattr(model.graph, 'name', ''))}.onnx", contents)
    if hasattr(model, "save") and {"keras.Model", "tensorflow.Model", "tf_keras.Model"} & set(kinds):
        return _from_keras(model)
    raise ModelError(
        f"a model of type {type(model).__name__} is not supported; give a path, an onnx.ModelProto, a "
        "torch.nn.Module or a keras.Model"
    )


def _name(name: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._-")[:64] or "network"


def _from_torch(module: Any, example: Callable[[], Any]) -> Model:
    import torch

    given = example()
    if given is None:
        raise ModelError(
            f"`{type(module).__name__}` needs an example input for its export; give `example=tensor`, or "
            "images as an array"
        )
    args = given if isinstance(given, tuple) else (given,)
    tensors = tuple(torch.as_tensor(arg) for arg in args)
    tensors = tuple(t if t.is_floating_point() else t.float() / 255 for t in tensors)
    was_training = module.training
    try:
        module.eval()
        with tempfile.TemporaryDirectory(prefix="fixedwise-") as folder, torch.no_grad():
            path = Path(folder, "model.onnx")
            torch.onnx.export(module, tensors, str(path), external_data=False, verbose=False)
            return Model(None, f"{_name(type(module).__name__)}.onnx", path.read_bytes())
    except ModelError:
        raise
    except Exception as error:
        said = _said(error)
        way_out = "export it yourself with torch.onnx.export and give the path"
        operators = dict.fromkeys(re.findall(r"\b(?:aten|prims|torchvision)(?:\.|::)\w+", said))
        raise ModelError(
            f"`{type(module).__name__}` cannot be exported to ONNX: {said}; {way_out}",
            nodes=tuple(operators),
            way_out=way_out,
        ) from error
    finally:
        module.train(was_training)


def _said(error: BaseException | None) -> str:
    """What the first cause of an error says, in one line."""
    while error is not None and error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(text.split())[:500]


def _from_keras(model: Any) -> Model:
    with tempfile.TemporaryDirectory(prefix="fixedwise-") as folder:
        path = Path(folder, "model.keras")
        try:
            model.save(path)
        except Exception as error:
            raise ModelError(f"the Keras model cannot be saved: {error}") from error
        return Model(None, f"{_name(model.name)}.keras", path.read_bytes())
