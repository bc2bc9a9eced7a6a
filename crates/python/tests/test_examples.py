"""The notebooks run as they stand."""

import functools
import json
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

import fixedwise as fw

EXAMPLES = Path(os.environ["FIXEDWISE_ROOT"], "examples")


class Examples(unittest.TestCase):
    def test_every_notebook_gives_what_it_holds(self) -> None:
        sys.path.insert(0, str(EXAMPLES))
        import make

        # The first plans will do here.
        short = functools.partial(fw.quantize, time_budget="1s")
        self.enterContext(mock.patch.object(fw, "quantize", short))
        notebooks = sorted(EXAMPLES.glob("*.ipynb"))
        self.assertTrue(notebooks)
        for path in notebooks:
            with self.subTest(path.name):
                held = json.loads(path.read_text(encoding="utf-8"))
                for before, now in zip(held["cells"], make.run(path)["cells"], strict=True):
                    # Numbers may differ from machine to machine, what is there does not.
                    kinds = [[one["output_type"] for one in cell.get("outputs", [])] for cell in (before, now)]
                    self.assertEqual(kinds[0], kinds[1], "run `python examples/make.py`")


if __name__ == "__main__":
    unittest.main()
