"""The notebooks run as they stand, and hold what their cells give."""

import ast
import functools
import inspect
import json
import os
import sys
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import fixedwise as fw

EXAMPLES = Path(os.environ["FIXEDWISE_ROOT"], "examples")
sys.path.insert(0, str(EXAMPLES))

import make

# What the environment of `cargo xtask test` does not have: it takes gigabytes. `cargo xtask wheel --notebooks` has it.
ELSEWHERE = {"torch"}
# Set by that: searches go on to their end.
IS_WHOLE = "FIXEDWISE_WHOLE_NOTEBOOKS" in os.environ


def notebooks() -> list[tuple[Path, dict[str, Any]]]:
    """What stands there."""
    found = sorted(EXAMPLES.glob("*.ipynb"))
    return [(path, json.loads(path.read_text(encoding="utf-8"))) for path in found]


class Examples(unittest.TestCase):
    def test_every_notebook_gives_what_it_holds(self) -> None:
        if not IS_WHOLE:
            # The first plans will do here.
            short = functools.partial(fw.quantize, time_budget="1s")
            self.enterContext(mock.patch.object(fw, "quantize", short))
        ran = 0
        for path, held in notebooks():
            lacking = set(make.missing(held))
            if lacking and (IS_WHOLE or lacking <= ELSEWHERE):
                continue
            ran += 1
            with self.subTest(path.name):
                for before, now in zip(held["cells"], make.run(path)["cells"], strict=True):
                    # Numbers may differ from machine to machine, what is there does not.
                    kinds = [[one["output_type"] for one in cell.get("outputs", [])] for cell in (before, now)]
                    self.assertEqual(kinds[0], kinds[1], "run `python examples/make.py`")
        self.assertGreater(ran, 3)

    def test_outputs_are_those_of_the_cells_that_stand_there(self) -> None:
        for path, held in notebooks():
            with self.subTest(path.name):
                self.assertEqual(held["metadata"].get("made_of"), make.digest(held), "run `python examples/make.py`")
                cells = [cell for cell in held["cells"] if cell["cell_type"] == "code"]
                numbers = [cell["execution_count"] for cell in cells]
                self.assertEqual(numbers, list(range(1, len(cells) + 1)))
                self.assertFalse([cell for cell in cells for one in cell["outputs"] if one["output_type"] == "error"])

    def test_what_notebooks_call_is_there(self) -> None:
        """Also of those that do not run here."""
        for path, held in notebooks():
            for node in ast.walk(ast.parse("\n".join(make.code(held)))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "fw"):
                    continue
                with self.subTest(f"{path.name}: {ast.unparse(node.func)}"):
                    taken = inspect.signature(getattr(fw, node.func.attr)).parameters
                    named = {keyword.arg for keyword in node.keywords if keyword.arg}
                    is_open = any(one.kind is one.VAR_KEYWORD for one in taken.values())
                    self.assertTrue(is_open or named <= set(taken), named - set(taken))


if __name__ == "__main__":
    unittest.main()
