"""Writes the stub of the functions of the package, from what their commands take.

    python stubs.py _functions.pyi
"""

import inspect
import sys
from pathlib import Path

from fixedwise import _commands, _functions

HEAD = '''"""The functions of the package; written by `cargo xtask wheel --stubs`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from ._results import Export, Generalization, Inspection, Network, Plan, Result, Sweep

_Path = str | os.PathLike[str]
_Data = _Path | Iterable[Any] | Mapping[str, Any] | Any
_Value = str | int | float | range | timedelta | Sequence[Any] | Mapping[str, Any]
'''

OWN = {
    "model": "Any",
    "plan": "Plan | Result | _Path",
    "out": "_Path | None",
    "example": "Any",
    "progress": "bool | None",
    "on_progress": "Callable[[dict[str, Any]], Any] | None",
    "executor": "Any",
    "form": 'Literal["c", "onnx", "qonnx", "hls", "npz", "tflite"]',
    "picture": "str",
    "files": "Any",
    "options": "Any",
    "preprocess": "_Value | None",
    "architecture": "_Path | None",
    "input_shape": "_Value | None",
    "output": "_Value | None",
    "run": "Result | _Path",
    "compare": "Result | _Path | Iterable[Result | _Path]",
}

FUNCTIONS = (
    *((name, name) for name in ("quantize", "refit", "evaluate", "inspect", "sweep", "generalize", "report", "serve")),
    ("export", None),
    ("plot", None),
    ("network", None),
)


def kind(command: str | None, name: str) -> str:
    """The type of a parameter."""
    known = {} if command is None else {
        _commands.keyword(one["name"]): one for one in _commands.parameters(command)
    }
    one = known.get(name)
    if one is None or name in ("model", "out", "compare"):
        return OWN[name]
    if name in ("start", "plan", "from_"):
        return "Plan | Result | _Path | None"
    if one["is_flag"]:
        return "bool | None"
    if one["value_name"] == "DATA":
        return "_Data | None"
    if one["choices"]:
        of = f"Literal[{', '.join(repr(choice) for choice in one['choices'])}]".replace("'", '"')
        return f"{of} | Sequence[{of}] | None" if one["is_list"] else f"{of} | None"
    return "_Value | None"


def stub(name: str, command: str | None) -> str:
    """A function as it stands in the stub."""
    function = getattr(_functions, name)
    lines = []
    is_keyword = False
    for one in inspect.signature(function).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not is_keyword:
            is_keyword = True
            if not any(line.startswith("    *") for line in lines):
                lines.append("    *,")
        prefix = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        default = "" if one.default is one.empty else f" = {one.default!r}"
        lines.append(f"    {prefix}{one.name}: {kind(command, one.name)}{default},")
    result = inspect.signature(inspect.unwrap(function)).return_annotation
    result = RESULTS[name] if result is inspect.Signature.empty else result
    return f"def {name}(\n" + "\n".join(lines) + f"\n) -> {result}: ...\n"


RESULTS = {
    "quantize": "Result",
    "refit": "Result",
    "evaluate": "Result",
    "inspect": "Inspection",
    "sweep": "Sweep",
    "generalize": "Generalization",
    "report": "str",
    "serve": "None",
}


def text() -> str:
    """The stub."""
    return HEAD + "\n" + "\n".join(stub(name, command) for name, command in FUNCTIONS)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
