"""A search in a browser while it goes on, and a run in a folder: what is shown, and who may see it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import onnx
from test_package import COMMAND, images
from test_report import Tables, named

import browser
import fixedwise as fw


def ask(address: str, path: str = "", method: str = "GET", **headers: str) -> tuple[int, str]:
    """The status and the text of an answer; `path` follows the address of the page where it is no whole path."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.putrequest(method, path if path.startswith("/") else parts.path + path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        cls.file = cls.path / "<script>alert(0).onnx"
        onnx.save(named(), cls.file)
        sets = {name: images(seed, 150) for seed, name in enumerate(("calibration", "search", "test"))}
        # Tuning goes on until it is stopped.
        cls.options: dict[str, Any] = {**sets, "unlabeled": images(3, 600), "tune": "60s", "max_loss": "2%", "live": True}

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def plans(self, html: str) -> list[tuple[float, str]]:
        """Memory and verdict of the plans of a page."""
        table = Tables(html).tables.get("Measured plans")
        if table is None:
            return []
        memory, bound = (table["titles"].index(title) for title in ("memory, bits", "bound"))
        return [(float(row[memory][1]), row[bound][0]) for row in table["rows"]]

    def journal(self) -> list[tuple[float, str]]:
        """The same of the journal."""
        lines = (self.path / "run" / "journal.jsonl").read_text().split("\n")[:-1]
        told = [line["plan"]["plan"] for line in map(json.loads, lines) if "plan" in line]
        return [(plan["memory_bits"], "met" if plan["bound_met"] else "not met") for plan in told]

    def test_a_browser_watches_a_search_and_ends_it(self) -> None:
        if not browser.is_there(self):
            return
        addresses: list[str] = []
        is_there = threading.Event()

        def hear(event: dict[str, Any]) -> None:
            if "address" in event:
                addresses.append(event["address"])
                is_there.set()

        found: list[Any] = []
        run = {**self.options, "out": self.path / "run", "on_progress": hear}
        search = threading.Thread(target=lambda: found.append(fw.quantize(self.file, **run)))
        search.start()
        self.assertTrue(is_there.wait(20))
        [address] = addresses
        page = browser.Page(address)
        serve = subprocess.Popen([COMMAND, "serve", self.path / "run"], stderr=subprocess.PIPE, text=True)
        try:
            page.until("document.querySelectorAll('.front circle').length > 2")
            now = page.until("/left/.test(document.getElementById('now').innerText) && document.getElementById('now').innerText")
            self.assertRegex(now, r"The best of \d+ plans so far saves [\d.]+ % of memory")
            self.assertRegex(now, r"\d+ s so far, (at most|about) \d+ (s|min) left")
            self.assertTrue(page.run("document.title").startswith(self.file.stem))
            # What is shown is what the journal says, here and where another program reads it.
            served = serve.stderr.readline().split()[-1]
            for place in (address, served):
                before = self.journal()
                status, html = ask(place)
                self.assertEqual(status, 200)
                shown = self.plans(html)
                self.assertEqual(shown, self.journal()[: len(shown)])
                self.assertGreaterEqual(len(shown), len(before))
                self.assertEqual(html.count("<script"), 1, "its own alone")
            self.assertIn("evaluations, the last one", ask(served)[1])
            self.assertEqual(ask(served, "stop", "POST")[0], 409)
            self.refuses_strangers(address)
            self.assertTrue(page.run("document.getElementById('stop') !== null"))
            page.run("document.getElementById('stop').click()")
            # The page becomes the report, as the program ends.
            page.until("document.getElementById('layers')")
            search.join(20)
            [result] = found
            self.assertEqual(result.ended, "interrupted")
            self.assertEqual(page.run("document.querySelectorAll('#layers tbody tr').length"), len(result.layers))
            self.assertEqual(page.run("document.querySelectorAll('.front circle').length"), len(result.front))
            self.assertFalse(page.run("document.getElementById('now')"))
            self.assertTrue(page.run("[...document.querySelectorAll('#layers th button')].length > 5"), "it sorts")
            self.assertEqual(page.run("document.querySelectorAll('script').length"), 1)
            self.assertEqual(page.problems, [])
            asked = {urlsplit(url).netloc for url in page.requests() if not url.startswith("data:")}
            self.assertEqual(asked, {urlsplit(address).netloc})
            with self.assertRaises(OSError):
                ask(address)
            # What has ended is shown as by `report`.
            fw.report(self.path / "run")
            report = (self.path / "run" / "report.html").read_text(encoding="utf-8")
            self.assertEqual(ask(served)[1], report)
        finally:
            page.close()
            serve.send_signal(signal.SIGINT)
            serve.communicate(timeout=20)
            search.join(90)
        self.assertEqual(serve.returncode, 0)

    def test_plans_of_a_search_tensor_by_tensor_are_served(self) -> None:
        folder = self.path / "walk"
        options = {**self.options, "live": False, "tune": None, "unlabeled": None, "strategy": "joint"}
        result = fw.quantize(self.file, **options, out=folder)
        journal = (folder / "journal.jsonl").read_text().splitlines()
        told = [line["plan"]["plan"] for line in map(json.loads, journal) if "plan" in line]
        self.assertEqual(told, [plan.to_dict() for plan in result.front])
        # As if it went on.
        (folder / "result.json").unlink()
        serve = subprocess.Popen([COMMAND, "serve", folder], stderr=subprocess.PIPE, text=True)
        try:
            html = ask(serve.stderr.readline().split()[-1])[1]
        finally:
            serve.send_signal(signal.SIGINT)
            serve.communicate(timeout=20)
        verdicts = ["met" if plan["bound_met"] else "not met" for plan in told]
        self.assertEqual(self.plans(html), [(plan["memory_bits"], word) for plan, word in zip(told, verdicts)])
        self.assertRegex(html, r"The best of \d+ plans so far saves [\d.]+ % of memory")
        self.assertNotIn("with its margin, %", Tables(html).tables["Measured plans"]["titles"])

    def refuses_strangers(self, address: str) -> None:
        """Nobody gets anything without the token, under another name of this machine, or beside the page."""
        token = urlsplit(address).path.strip("/")
        wrong = f"/{token[::-1] if token != token[::-1] else '0' * len(token)}"
        for path, method, headers, expected in [
            ("/", "GET", {}, 403),
            (f"{wrong}/", "GET", {}, 403),
            (f"{wrong}/stop", "POST", {}, 403),
            ("/stop", "POST", {}, 403),
            ("/../../etc/passwd", "GET", {}, 403),
            ("../run/result.json", "GET", {}, 404),
            ("%2e%2e/journal.jsonl", "GET", {}, 404),
            ("journal.jsonl", "GET", {}, 404),
            ("stop", "GET", {}, 405),
            ("", "GET", {"Host": "evil.example"}, 403),
            ("stop", "POST", {"Host": "evil.example"}, 403),
            ("stop", "POST", {"Origin": "http://evil.example"}, 403),
        ]:
            status, text = ask(address, path, method, **headers)
            self.assertEqual(status, expected, (path, method, headers, text))
            self.assertNotIn("digest", text)

    def test_what_cannot_be_served_is_refused(self) -> None:
        with self.assertRaisesRegex(fw.ResultError, "neither result.json nor journal.jsonl"):
            fw.serve(self.path)
        (self.path / "torn").mkdir(exist_ok=True)
        (self.path / "torn" / "journal.jsonl").write_text("no journal\n")
        with self.assertRaisesRegex(fw.ResultError, "line 1"):
            fw.serve(self.path / "torn")
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with self.assertRaisesRegex(fw.OptionError, f"port {port} is in use; give another"):
                fw.quantize(self.file, **self.options, port=port, out=self.path / "never")
        self.assertFalse((self.path / "never").exists())
        with self.assertRaises(fw.OptionError):
            fw.quantize(self.file, **{**self.options, "live": False}, port=8080)


if __name__ == "__main__":
    unittest.main()
