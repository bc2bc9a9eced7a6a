"""Images and labels: arrays, iterables of batches, and what names files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ._errors import DataError

# The native module takes them without a copy.
_PIXELS = (np.dtype(np.uint8), np.dtype(np.float32))


def is_named(data: Any) -> bool:
    """Whether it is a path as the command takes it."""
    return isinstance(data, (str, os.PathLike))


def native(name: str, data: Any) -> tuple[list[tuple[str, np.ndarray]], np.ndarray | None]:
    """Inputs and labels as the native module takes them."""
    x, y = _split(name, data)
    if isinstance(x, Mapping):
        inputs = [(str(key), pixels(f"{name}, input `{key}`", value)) for key, value in x.items()]
        if not inputs:
            raise DataError(f"data `{name}` has no input", name)
    else:
        inputs = [(name, pixels(name, x))]
    return inputs, None if y is None else labels(name, y)


def _split(name: str, data: Any) -> tuple[Any, Any]:
    """Images and labels, each as a whole."""
    if isinstance(data, Mapping) or _is_array(data):
        return data, None
    if isinstance(data, tuple) and len(data) == 2:
        x, y = data
        if isinstance(x, Mapping) or _is_array(x):
            return x, y
        if isinstance(x, (list, tuple)) and not _is_batches(x):
            return np.asarray(x), y
    if isinstance(data, list) and data and not _is_batches(data):
        return _as_array(name, data), None
    if isinstance(data, Iterable) and not isinstance(data, (bytes, tuple)):
        return gathered(name, data)
    raise DataError(
        f"data `{name}` is of type {type(data).__name__}; give an array, a pair of images and labels, a "
        "mapping from inputs to arrays, an iterable of batches, or a path",
        name,
    )


def _is_array(data: Any) -> bool:
    return hasattr(data, "__array__") or hasattr(data, "__array_interface__")


def _is_batches(data: Any) -> bool:
    """Whether a list holds batches, arrays or pairs of them, and not numbers."""
    first = data[0] if len(data) else None
    return _is_array(first) or isinstance(first, (tuple, Mapping))


def _as_array(name: str, data: Any) -> np.ndarray:
    if hasattr(data, "detach"):  # A tensor of PyTorch may want gradients or be on a device.
        data = data.detach().cpu()
    try:
        return np.asarray(data)
    except Exception as error:
        raise DataError(f"data `{name}` cannot be read as an array: {error}", name) from error


def _checked(name: str, what: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"data `{name}` has {what} of type {array.dtype}; give numbers, for example float32", name
        )
    return array


def pixels(name: str, data: Any) -> np.ndarray:
    """An array as images: `uint8` or `float32` in C order, not copied where it is that already."""
    array = _checked(name, "pixels", _as_array(name, data))
    if array.ndim == 0:
        raise DataError(f"data `{name}` is a single number; the first axis counts the images", name)
    if array.dtype not in _PIXELS:
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                narrow = array.astype(np.float32)
            if not np.isfinite(narrow).all() and np.isfinite(array).all():
                raise DataError(f"data `{name}` has values that float32 cannot hold", name)
            array = narrow
        elif array.dtype.kind == "b":
            array = array.astype(np.float32)
        elif array.size and (array.min() < 0 or array.max() > 255):
            raise DataError(
                f"data `{name}` has integer pixels outside 0 to 255 ({array.dtype}); give them as float32",
                name,
            )
        else:
            array = array.astype(np.uint8)
    return np.require(array, requirements="CA")


def labels(name: str, data: Any) -> np.ndarray:
    """An array as labels."""
    array = _checked(name, "labels", _as_array(name, data))
    if array.ndim == 0:
        raise DataError(f"data `{name}` has a single label; there is one for each image", name)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype != np.uint8:
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise DataError(f"data `{name}` has labels that are no class numbers", name)
        array = array.astype(np.int64)
    return np.require(array, requirements="CA")


class _Rows:
    """Rows of an array that grows as batches come."""

    def __init__(self, expected: int | None):
        self.expected = expected
        self.array: np.ndarray | None = None
        self.count = 0

    def add(self, name: str, batch: np.ndarray) -> None:
        if self.array is None:
            capacity = max(len(batch), len(batch) * (self.expected or 1))
            self.array = np.empty((capacity, *batch.shape[1:]), batch.dtype)
        if batch.shape[1:] != self.array.shape[1:] or batch.dtype != self.array.dtype:
            raise DataError(
                f"data `{name}` has a batch of shape {batch.shape} ({batch.dtype}) after others of "
                f"{self.array.shape[1:]} ({self.array.dtype}) an image; all must be alike",
                name,
            )
        end = self.count + len(batch)
        if end > len(self.array):
            grown = np.empty((max(end, 2 * len(self.array)), *batch.shape[1:]), batch.dtype)
            grown[: self.count] = self.array[: self.count]
            self.array = grown
        self.array[self.count : end] = batch
        self.count = end

    def done(self) -> np.ndarray:
        assert self.array is not None
        return self.array[: self.count]


def gathered(name: str, batches: Iterable[Any]) -> tuple[Any, Any]:
    """All batches of an iterable, read once; no more than they and the last batch are held."""
    try:
        expected = len(batches)  # type: ignore[arg-type]
    except TypeError:
        expected = None
    inputs: dict[str | None, _Rows] = {}
    truths = _Rows(expected)
    count = 0
    try:
        for batch in batches:
            x, y = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
            if isinstance(batch, (tuple, list)) and len(batch) == 1:
                x = batch[0]
            parts = x.items() if isinstance(x, Mapping) else [(None, x)]
            for key, part in parts:
                inputs.setdefault(key, _Rows(expected)).add(name, pixels(name, part))
            if y is not None:
                truths.add(name, labels(name, y))
            count += 1
    except DataError:
        raise
    except Exception as error:
        of = "" if expected is None else f" of {expected}"
        raise DataError(f"data `{name}` failed after {count} batches{of}: {error}", name) from error
    if expected is not None and count < expected:
        raise DataError(f"data `{name}` ended after {count} of {expected} batches", name)
    if not inputs:
        raise DataError(f"data `{name}` has no batch; an iterator that was read before is empty", name)
    x = {key: rows.done() for key, rows in inputs.items()}
    y = truths.done() if truths.array is not None else None
    return (x[None] if None in x else x), y
