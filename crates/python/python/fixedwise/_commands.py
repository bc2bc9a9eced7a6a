"""Every command of the program as a function."""

from __future__ import annotations

import contextlib
import datetime
import difflib
import inspect as _inspect
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _data, _fixedwise
from ._errors import FixedwiseError, FixedwiseWarning, OptionError
from ._metric import Metric
from ._models import Model, model_of

DESCRIPTIONS: dict[str, dict[str, Any]] = {
    " ".join(command["words"]): command for command in _fixedwise.commands()
}

# What only a terminal has.
TERMINAL = ("json", "verbose", "quiet", "ray")


def keyword(name: str) -> str:
    """The name that an option has in Python."""
    name = name.replace("-", "_")
    return f"{name}_" if name in ("from",) else name


def parameters(command: str) -> list[dict[str, Any]]:
    """What a function takes: all that its command does, but what only a terminal has."""
    return [one for one in DESCRIPTIONS[command]["parameters"] if one["name"] not in TERMINAL]


def option(command: str, name: str) -> dict[str, Any]:
    """The option of a command that has this name in Python."""
    for one in parameters(command):
        if keyword(one["name"]) == name and not one["is_positional"]:
            return one
    known = [keyword(one["name"]) for one in parameters(command) if not one["is_positional"]]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    raise TypeError(f"{command.replace(' ', '_')}() has no option `{name}`{hint}")


def word(value: Any) -> str:
    """A value as it stands on a command line."""
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, (bool, np.bool_)):
        raise OptionError(f"`{value}` is no value of an option that has one")
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, range):
        if value.step != 1 or not len(value):
            raise OptionError(f"{value} is no range of consecutive numbers")
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, (str, int, np.integer, os.PathLike)):
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    raise OptionError(f"`{value!r}` of type {type(value).__name__} is no value of an option")


def _preprocess(value: Mapping[str, Any]) -> str:
    """`{"scale": "1/255", "mean": [0.5, 0.4]}` as the command has it."""

    def one(key: str, value: Any) -> str:
        if key == "resize" and isinstance(value, Sequence) and not isinstance(value, str):
            return f"{key}=" + "x".join(word(part) for part in value)
        if isinstance(value, (list, tuple, np.ndarray)):
            return f"{key}=" + ";".join(word(part) for part in value)
        return f"{key}={word(value)}"

    return ",".join(one(key, part) for key, part in value.items())


def words(command: str, options: Mapping[str, Any]) -> list[str]:
    """Options as they stand on a command line."""
    found = []
    for name, value in options.items():
        one = option(command, name)
        long = f"--{one['name']}"
        if one["is_flag"]:
            if not isinstance(value, (bool, np.bool_, type(None))):
                raise OptionError(f"option `{name}` is {value!r}; it is True or False", way_out=None)
            found += [long] if value else []
            continue
        if value is None:
            continue
        if isinstance(value, Mapping):
            if name == "preprocess":
                value = _preprocess(value)
            else:
                value = [f"{key}={_joined(part)}" for key, part in value.items()]
        if one["is_list"] and isinstance(value, (list, tuple)):
            if name == "input_shape" and all(isinstance(part, (int, np.integer)) for part in value):
                value = ["x".join(word(part) for part in value)]
            values = [_joined(part, "x" if name == "input_shape" else ",") for part in value]
            if one["delimiter"]:
                values = [one["delimiter"].join(values)] if values else []
            found += [f"{long}={part}" for part in values]
        else:
            found.append(f"{long}={_joined(value)}")
    return found


def _joined(value: Any, between: str = ",") -> str:
    if isinstance(value, (list, tuple)):
        return between.join(word(part) for part in value)
    return word(value)


class _Teller:
    """Hears what a command does: shows a bar, calls a function, warns."""

    def __init__(self, progress: bool | None, on_progress: Callable[[dict[str, Any]], Any] | None):
        self.call = on_progress
        self.bar: Any = None
        if progress:
            try:
                from tqdm.auto import tqdm
            except ImportError as error:
                raise OptionError("progress=True needs the package tqdm; pip install tqdm") from error
            self.bar = tqdm(total=0, leave=False)

    def __call__(self, event: dict[str, Any]) -> None:
        if "warning" in event:
            warnings.warn(event["warning"], FixedwiseWarning, stacklevel=5)
        if "address" in event:
            print(f"live: {event['address']}", file=sys.stderr, flush=True)
        if self.bar is not None and "text" in event:
            self.bar.total = event.get("total") or None
            self.bar.n = event.get("done", 0)
            self.bar.set_description_str(event["text"].splitlines()[0])
        if self.call is not None:
            self.call(event)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Call:
    """A command with its network and images, ready to run."""

    def __init__(self, command: str, options: dict[str, Any], example: Any = None):
        self.command = command
        self.progress = options.pop("progress", None)
        self.on_progress = options.pop("on_progress", None)
        self.images: list[tuple[str, Any]] = []
        self.data: dict[str, Any] = {}
        self.is_repeatable = True
        self._given = example
        self.metric: Any = None
        # What measures images, too, for the network of the call.
        self.spread: Callable[[list[str]], Any] | None = None
        if callable(options.get("metric")):
            if options.get("metric_command") is not None:
                raise OptionError("`metric` is a function, and `metric_command` is given too; remove one of the two")
            self.metric = options.pop("metric")
            self.is_repeatable = False
        self.options = {}
        for name, value in options.items():
            is_data = option(command, name)["value_name"] == "DATA"
            if is_data and value is not None and not _data.is_named(value):
                value = self.in_memory(name, value)
            self.options[name] = value

    def in_memory(self, name: str, value: Any) -> str:
        """Keeps images in memory, and gives the word that stands for them."""
        known = next((at for at, (given, _) in self.data.items() if given is value), None)
        if known is not None:
            return known
        placeholder = f"<{name}>"
        self.is_repeatable = False
        images = _data.native(name, value)
        self.data[placeholder] = (value, images)
        self.images.append((placeholder, {"inputs": images[0], "labels": images[1]}))
        return placeholder

    def example(self) -> Any:
        """An input for a tracer: the first image in memory."""
        if self._given is not None:
            return self._given
        for _, (inputs, _) in self.data.values():
            return tuple(array[:1].copy() for _, array in inputs)
        return None

    def run(self, positional: Sequence[str], more: Sequence[str] = ()) -> tuple[bool, list[str]]:
        """Whether bound and budgets are met, and what was printed."""
        line = ["fixedwise", *self.command.split(), *positional]
        line += [*words(self.command, self.options), *more]
        if self.metric is None:
            return self._run(line)
        option(self.command, "metric_command")
        labels = {name: labels for name, (_, (_, labels)) in self._sets()}
        with Metric(self.metric, labels) as metric:
            try:
                return self._run([*line, f"--metric-command={metric.command}"])
            except FixedwiseError as error:
                raise (metric.problem or error) from None

    def _sets(self) -> Iterator[tuple[str, Any]]:
        """What is in memory, by the names that the program has for it: those of the first input."""
        for value, images in self.data.values():
            yield images[0][0][0], (value, images)

    def _run(self, line: list[str]) -> tuple[bool, list[str]]:
        nodes = None if self.spread is None else self.spread(line)
        teller = _Teller(self.progress, self.on_progress)
        images = [(name, Images(**images)) for name, images in self.images]
        try:
            return in_memory_named(
                lambda: _fixedwise.run(line, images, self.is_repeatable, teller, nodes)
            )
        finally:
            teller.close()
            if nodes is not None:
                nodes.close()


class Images:
    """Images as the native module takes them."""

    def __init__(self, inputs: Any, labels: Any):
        self.inputs = inputs
        self.labels = labels


_FOLDER = re.compile(re.escape(tempfile.gettempdir().rstrip("/\\")) + r"[/\\]fixedwise-[^/\\`\s]+[/\\]?")


def _without_folders(error: FixedwiseError) -> FixedwiseError:
    """The same error, in which what is in memory has no path."""
    error.args = (_FOLDER.sub("", str(error)),)
    if error.file is not None:
        error.file = _FOLDER.sub("", error.file)
    if error.way_out is not None:
        error.way_out = _FOLDER.sub("", error.way_out)
    return error


def in_memory_named(work: Callable[[], Any]) -> Any:
    """Does work, whose errors name what is in memory without a path."""
    try:
        return work()
    except FixedwiseError as error:
        raise _without_folders(error) from None


@contextlib.contextmanager
def folder(out: Any = None) -> Iterator[Path]:
    """The folder that is asked for, or one that is gone afterwards."""
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory(prefix="fixedwise-") as name:
        yield Path(name)


def network(call: Call, model: Any) -> Model:
    """The network of a call; one in memory is not there another time."""
    found = model_of(model, call.example)
    if found.path is None:
        call.is_repeatable = False
    return found


def signature(function: Callable[..., Any], command: str, *, hides: Sequence[str] = ()) -> None:
    """Gives a function the signature and the documentation of its command."""
    own = [
        one
        for one in _inspect.signature(function).parameters.values()
        if one.kind is not _inspect.Parameter.VAR_KEYWORD
    ]
    kind = _inspect.Parameter.KEYWORD_ONLY
    names = {one.name for one in own}
    lines = [DESCRIPTIONS[command]["about"], ""]
    for one in parameters(command):
        name = keyword(one["name"])
        if one["is_positional"] or name in hides:
            continue
        if name not in names:
            own.append(_inspect.Parameter(name, kind, default=None))
        default = f" Default: {one['default']}." if one["default"] else ""
        choices = f" One of: {', '.join(one['choices'])}." if one["choices"] else ""
        lines.append(f"{name}: {' '.join(one['help'].split())}{choices}{default}")
    own.sort(key=lambda one: one.kind)
    function.__signature__ = _inspect.Signature(own)  # type: ignore[attr-defined]
    extra = _inspect.cleandoc(function.__doc__ or "")
    function.__doc__ = "\n".join(lines) + (f"\n\n{extra}" if extra else "")
