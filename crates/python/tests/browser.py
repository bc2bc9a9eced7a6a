"""A page in headless Chromium, by its protocol over a pipe."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")

# The browser reads 3 and writes 4, whatever these are in the process that starts it.
START = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def program() -> str | None:
    """The browser of this machine."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def is_there(test: unittest.TestCase) -> bool:
    """Whether this machine has a browser; a test that lacks one is told as skipped."""
    if program() is not None:
        return True
    why = "no Chromium; `cargo xtask test` installs it or says how"
    test.assertIn(os.environ.get("CI", ""), ("", "0", "false"), why)
    line = f"SKIPPED {test.id()}: {why}\n"
    sys.stderr.write(line)
    if "FIXEDWISE_SKIPPED" in os.environ:
        with open(os.environ["FIXEDWISE_SKIPPED"], "a", encoding="utf-8") as file:
            file.write(line)
    return False


class Page:
    """A page that is open; `problems` has what the browser complained about."""

    def __init__(self, url: str):
        to_read, self.to = os.pipe()
        self.answers, from_write = os.pipe()
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        words = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        words += [f"--user-data-dir={self.folder.name}", "--no-first-run"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(to_read), str(from_write), str(program()), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(to_read, from_write),
        )
        os.close(to_read)
        os.close(from_write)
        self.rest = b""
        self.number = 0
        self.session: str | None = None
        self.problems: list[str] = []
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.read()

    def read(self) -> dict[str, Any]:
        """The next message of the browser."""
        while b"\0" not in self.rest:
            part = os.read(self.answers, 1 << 16)
            if not part:
                raise RuntimeError("the browser has ended")
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        method = message.get("method")
        if method is not None:
            self.events.append(message)
        if method == "Log.entryAdded":
            self.problems.append(message["params"]["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(message["params"]["exceptionDetails"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog {message['params']['message']}")
        return message

    def ask(self, method: str, **params: Any) -> Any:
        """What the browser answers."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def run(self, script: str) -> Any:
        """The value of an expression on the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", script))
        return found["result"].get("value")

    def until(self, script: str, seconds: float = 20) -> Any:
        """The value of an expression on the page, once it is one."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise AssertionError(f"{script}: {value!r}\n{self.run('document.body.innerText')}")
            time.sleep(0.02)
        return value

    def requests(self) -> list[str]:
        """What the page has loaded."""
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def close(self) -> None:
        os.close(self.to)
        self.process.terminate()
        self.process.wait()
        os.close(self.answers)
        self.folder.cleanup()


def url(path: Path) -> str:
    return path.resolve().as_uri()
