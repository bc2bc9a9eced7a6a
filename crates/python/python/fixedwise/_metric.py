"""A function as the command that says how good outputs are.

The program runs a command for every plan that it measures. Here that is a small script which hands the names of its
files to the process that has the function, and prints what comes back.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import numpy as np

from ._errors import OptionError

_SCRIPT = """\
import os, sys
from multiprocessing.connection import Client
with Client({address!r}, authkey={key!r}) as told:
    told.send((os.environ["FIXEDWISE_DATA"], sys.argv[1:]))
    kind, text = told.recv()
if kind == "error":
    sys.exit(text)
print(text)
"""


class Metric:
    """A function that is called with outputs and labels, and gives a number, greater for better ones."""

    def __init__(self, function: Callable[[Any, np.ndarray], float], labels: Mapping[str, np.ndarray | None]):
        self._function = function
        self._labels = labels
        self.problem: BaseException | None = None

    def __enter__(self) -> Metric:
        # Its folder is the user's alone, and so is the key in it.
        self._folder = tempfile.TemporaryDirectory(prefix="fixedwise-")
        self._listener = Listener(authkey=(key := np.random.default_rng().bytes(32)))
        script = Path(self._folder.name, "metric.py")
        script.write_text(_SCRIPT.format(address=self._listener.address, key=key), encoding="utf-8")
        self.command = shlex.join([sys.executable, "-I", str(script)])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._is_open = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self._listener.close()
        self._folder.cleanup()

    def _serve(self) -> None:
        while self._is_open:
            try:
                with self._listener.accept() as asked:
                    asked.send(self._answer(*asked.recv()))
            except (OSError, EOFError):
                continue

    def _answer(self, data: str, files: list[str]) -> tuple[str, str]:
        try:
            labels = self._labels.get(data)
            if labels is None:
                raise OptionError(
                    f"metric= is a function, which needs images and labels in memory; `{data}` has none"
                )
            *outputs, places = (np.load(file) for file in files)
            value = float(self._function(outputs[0] if len(outputs) == 1 else outputs, labels[places]))
            return "value", repr(value)
        except BaseException as error:
            self.problem = error
            return "error", f"{type(error).__name__}: {error}"
