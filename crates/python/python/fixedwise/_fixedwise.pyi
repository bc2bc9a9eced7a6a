"""The native module of the package."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._commands import Images

__version__: str

def main(words: Sequence[str]) -> int: ...
def commands() -> list[dict[str, Any]]: ...
def summary(json: str, columns: int) -> str: ...
def page(runs: Sequence[tuple[str, bool, str]]) -> str: ...
def pictures(json: str) -> list[tuple[str, str]]: ...
def plan_to_json(text: str) -> tuple[str, list[str]]: ...
def plan_from_json(json: str) -> str: ...
def run(
    words: Sequence[str],
    images: Sequence[tuple[str, Images]],
    is_repeatable: bool,
    notify: Callable[[dict[str, Any]], Any],
) -> tuple[bool, list[str]]: ...

class Network:
    def __new__(
        cls,
        model: str | os.PathLike[str],
        plan: str | os.PathLike[str],
        preprocess: str | None = None,
        architecture: str | os.PathLike[str] | None = None,
        input_shapes: Sequence[str] = [],
        outputs: Sequence[str] = [],
    ) -> Network: ...
    @property
    def inputs(self) -> list[tuple[str, list[int], bool]]: ...
    @property
    def outputs(self) -> list[tuple[str, list[int], tuple[int, int, bool]]]: ...
    def run(self, images: Images, threads: int | None = None) -> list[npt.NDArray[np.int32]]: ...
