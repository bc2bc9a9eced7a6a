"""The report: one HTML page that says what `result.json` says, also in a browser."""

import base64
import collections
import json
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
from test_package import images, network

import browser
import fixedwise as fw

NAMES = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "'; alert(3); '", "</title></style>&amp;"]


class Tables(HTMLParser):
    """The tables of a page by their captions: titles, and rows of texts and values."""

    VOID = {"meta"}

    def __init__(self, page: str):
        super().__init__()
        self.tables: dict[str, dict] = {}
        self.tags: list[str] = []
        self.open: list[str] = []
        self.cell: dict | None = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        values = dict(attrs)
        if tag == "table":
            self.table: dict = {"titles": [], "rows": []}
            self.row: list = []
        elif tag == "tr":
            self.row = []
        elif tag in ("td", "th"):
            self.cell = {"text": "", "value": values.get("data-value")}
        assert not any(name.startswith("on") or name == "style" for name in values), values

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "caption":
            self.tables[data] = self.table
        elif self.cell is not None:
            self.cell["text"] += data

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"
        if tag == "th":
            self.table["titles"].append(self.cell["text"].strip())
        elif tag == "td":
            self.row.append((self.cell["text"].strip(), self.cell["value"]))
        elif tag == "tr" and self.row:
            self.table["rows"].append(self.row)
        if tag in ("td", "th"):
            self.cell = None


def named() -> onnx.ModelProto:
    """The network that names the brightest quadrant, with names that are no good for a page."""
    model = network()
    model.graph.name = NAMES[0]
    for node, name in zip(model.graph.node, NAMES):
        node.name = name
    return model


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        file = cls.path / "brightest.onnx"
        onnx.save(named(), file)
        sets = {name: images(seed, 150) for seed, name in enumerate(("calibration", "search", "test"))}
        cls.result = fw.quantize(file, **sets, max_loss="2%", target="cortex-m4")
        cls.coarse = fw.quantize(file, **sets, strategy="fixed", bits=2, range="least-error", max_loss="99%")
        cls.coarse.report(cls.path / "coarse.html")
        cls.result.save(cls.path / "run")
        cls.page = cls.path / "run" / "report.html"
        fw.report(cls.path / "run")
        cls.tables = Tables(cls.page.read_text(encoding="utf-8")).tables

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def columns(self, caption: str) -> dict[str, list]:
        table = self.tables[caption]
        return {title: [row[at] for row in table["rows"]] for at, title in enumerate(table["titles"])}

    def test_the_page_says_what_the_result_says(self) -> None:
        told = json.loads((self.path / "run" / "result.json").read_text())
        layers = self.columns("Layers")
        self.assertEqual([text for text, _ in layers["layer"]], [one["name"] for one in told["layers"]])
        for title, key in [("weights", "weights"), ("bias", "bias"), ("activation", "activation")]:
            self.assertEqual([float(value) for _, value in layers[title]], [one[key]["bits"] for one in told["layers"]])
        self.assertEqual([float(value) for _, value in layers["MACs"]], [one["macs"] for one in told["layers"]])
        self.assertEqual(
            [float(value) for _, value in layers["accumulator, bits"]],
            [one["accumulator_bits"] for one in told["layers"]],
        )
        executed = {one["name"]: one["instructions"] for one in told["instructions_by_node"]}
        self.assertEqual(
            [float(value) for _, value in layers["instructions an image"]],
            [executed[one["name"]] for one in told["layers"]],
        )
        plans = self.columns("Measured plans")
        self.assertEqual([float(value) for _, value in plans["memory, bits"]], [one["memory_bits"] for one in told["front"]])
        self.assertEqual([text for text, _ in plans["bound"]], ["met" if one["bound_met"] else "not met" for one in told["front"]])
        for caption, key in [("Flash", "flash_by_node"), ("RAM", "ram_by_step")]:
            rows = self.tables[caption]["rows"]
            self.assertEqual([(row[0][0], float(row[1][1])) for row in rows], [(one["name"], one["bytes"]) for one in told[key]])
        self.assertEqual(sum(one["bytes"] for one in told["flash_by_node"]), told["flash_bytes"])
        classes = self.columns("Classes")
        recalls = sorted(one["test"]["fixed"] for one in told["classes"])
        for (_, value), recall in zip(classes["of the integer network, %"], recalls, strict=True):
            self.assertAlmostEqual(float(value), 100 * recall)
        for title, key in [("distribution of weights", "weights"), ("of activations", "activation")]:
            shown = [float(value) for _, value in layers[title]]
            ranges = [one[key] for one in told["distributions"]]
            np.testing.assert_allclose(shown, [max(abs(one["low"]), abs(one["high"])) for one in ranges])
        weights = sum(sum(one["weights"]["counts"]) for one in told["distributions"])
        self.assertEqual(weights, 4 + 16)
        activations = [sum(one["activation"]["counts"]) for one in told["distributions"]]
        self.assertEqual(activations, [150 * 4, 150 * 4])
        text = self.page.read_text(encoding="utf-8")
        self.assertIn(f"{told['accuracy']['test']['n']} images", text)

    def test_images_that_were_lost_are_those_that_the_plan_names_otherwise(self) -> None:
        x, y = images(2, 150)
        named = self.coarse.network()(x).reshape(len(x), -1).argmax(1)
        lost = self.coarse.lost_images
        # Six of a class at most.
        of_class = collections.Counter(one.label for one in lost)
        self.assertLessEqual(max(of_class.values()), 6)
        self.assertEqual(len({one.image for one in lost}), len(lost))
        self.assertGreaterEqual(len(lost), min(6, self.coarse.accuracy.test.lost))
        for one in lost:
            self.assertEqual((one.label, one.named), (y[one.image], named[one.image]))
            self.assertNotEqual(one.label, one.named)
            self.assertTrue(base64.b64decode(one.png).startswith(b"\x89PNG"))

    def test_the_command_of_a_point_makes_its_plan(self) -> None:
        row = self.tables["Measured plans"]["rows"][0]
        self.assertIn("--from", row[-1][0])
        told = self.result.front[0]
        tensors = zip(self.result.sensitivity, told.bits)
        kinds = {"weights": "weights", "biases": "bias", "activations": "activation"}
        keep = {f"{one.name}.{kinds[one.kind]}": bits for one, bits in tensors}
        sets = {name: images(seed, 150) for seed, name in enumerate(("calibration", "search", "test"))}
        again = fw.quantize(
            self.path / "brightest.onnx", **sets, max_loss="2%", target="cortex-m4", from_=self.result, keep=keep
        )
        self.assertEqual(again.memory_bits.total, told.memory_bits)

    def test_runs_stand_side_by_side(self) -> None:
        other = self.result
        both = fw.report(self.path / "run", compare=[other], out=self.path / "both.html")
        table = Tables(Path(both).read_text(encoding="utf-8")).tables["Runs side by side"]
        self.assertEqual(len(table["titles"]), 3)
        row = next(row for row in table["rows"] if row[0][0] == "memory, bits")
        self.assertEqual({float(value) for _, value in row[1:]}, {other.memory_bits.total})
        alone = other.report(self.path / "alone.html")
        self.assertIn("from_=result", Path(alone).read_text(encoding="utf-8"))

    def test_what_is_no_run_is_refused(self) -> None:
        with self.assertRaises(fw.FixedwiseError):
            fw.report(self.path)
        with self.assertRaises(fw.FileError):
            fw.report(self.path / "run", out=self.path / "absent" / "report.html")

    def test_a_browser_shows_it(self) -> None:
        if not browser.is_there(self):
            return
        page = browser.Page(browser.url(self.page))
        try:
            self.assertEqual(page.requests(), [browser.url(self.page)])
            self.assertEqual(page.run("document.querySelectorAll('#layers tbody tr').length"), len(self.result.layers))
            # It sorts, by the numbers and not by their digits.
            macs = "[...document.querySelectorAll('#layers tbody tr')].map((row) => Number(row.cells[3].dataset.value))"
            click = "[...document.querySelectorAll('#layers th button')].find((one) => one.textContent === 'MACs').click()"
            page.run(click)
            ascending = page.run(macs)
            self.assertEqual(ascending, sorted(one.macs for one in self.result.layers))
            page.run(click)
            self.assertEqual(page.run(macs), ascending[::-1])
            self.assertEqual(page.run("document.querySelector('#layers th[aria-sort]').ariaSort"), "descending")
            # A point tells of its plan, by keyboard too.
            page.run("document.querySelector('.front a').focus()")
            told = page.run("document.getElementById('told').textContent")
            self.assertIn("--keep", told)
            self.assertIn(NAMES[0] + ".weights", told)
            page.run("document.querySelector('.front a').dispatchEvent(new MouseEvent('click'))")
            self.assertTrue(page.run("document.querySelector('#front details').open"))
            boxes = page.run("document.querySelectorAll('.network .box').length")
            self.assertEqual(boxes, len(self.result.nodes))
            self.assertEqual(page.run("document.querySelectorAll('script').length"), 1)
            # Nothing is wider than a phone but what scrolls by itself.
            page.ask("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=True)
            self.assertLessEqual(page.run("document.documentElement.scrollWidth"), 390)
            # Nor wider than a sheet of paper, on its side.
            page.ask("Emulation.setEmulatedMedia", media="print")
            page.ask("Emulation.setDeviceMetricsOverride", width=1047, height=718, deviceScaleFactor=1, mobile=False)
            self.assertLessEqual(page.run("document.documentElement.scrollWidth"), 1047)
            page.ask("Page.navigate", url=browser.url(self.path / "coarse.html"))
            drawn = "[...document.images].filter((one) => one.complete && one.naturalWidth > 1).length"
            page.until(f"location.href.endsWith('coarse.html') && {drawn} === {len(self.coarse.lost_images)}")
            self.assertEqual(page.problems, [])
        finally:
            page.close()


if __name__ == "__main__":
    unittest.main()
