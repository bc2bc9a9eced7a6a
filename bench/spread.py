"""How a search gets faster with workers: measured on this machine, and scheduled for more from the times of its tasks.

    python bench/spread.py MODEL --search DATA --calibration DATA [--workers 1,2] [--images 5000] [OPTION=VALUE ...]

A run with one worker of one thread gives the times: of pieces that are measured at the same time, and of what the driver does
in between, which no worker takes from it. `--images` scales the pieces to so many search images, as more of the same length. A
schedule divides the chunks of each batch among the workers, and adds a message.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import fixedwise as fw
from fixedwise import _spread

# Seconds of a message there and back beside the work: measured with processes of one machine, 4,000 messages in 8 seconds.
MESSAGE = 0.002
# Chunks of 16 images after which a plan may be given up.
ROUND = 16


class Record:
    """Batches of pieces that are measured at the same time: of each its seconds and its chunks; and what the driver does before
    each batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, list[tuple[float, int]]]] = []
        self.free = time.monotonic()
        self.out: dict[int, tuple[float, int]] = {}
        self.latest = 0.0

    def asked(self, number: int, question: bytes) -> None:
        now = time.monotonic()
        if not self.out:
            self.batches.append((now - self.free, []))
        self.out[number] = (now, chunks(question))

    def answered(self, number: int) -> None:
        now = time.monotonic()
        begun, n = self.out.pop(number)
        # Questions wait for one another: a piece takes what has passed since the last.
        self.batches[-1][1].append((now - max(begun, self.latest), n))
        self.latest = self.free = now


def chunks(question: bytes) -> int:
    """How many chunks are asked for: behind a text and the number of the set stand the first and the end."""

    def number(at: int) -> tuple[int, int]:
        value, shift = 0, 0
        while True:
            byte, at = question[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, at

    length, at = number(0)
    _, at = number(at + length)
    first, at = number(at)
    end, _ = number(at)
    return end - first


def search(workers: int, model: str, options: dict, record: Record | None = None) -> tuple[float, fw.Result]:
    ask, answered = _spread.FutureNodes.ask, _spread.FutureNodes._answered

    def asks(self, node, question, given):  # type: ignore[no-untyped-def]
        number = ask(self, node, question, given)
        if record is not None:
            record.asked(number, question)
        return number

    def answers(self, number):  # type: ignore[no-untyped-def]
        if record is not None:
            record.answered(number)
        answered(self, number)

    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as executor:
        with mock.patch.multiple(_spread.FutureNodes, ask=asks, _answered=answers):
            start = time.monotonic()
            result = fw.quantize(model, executor=executor, threads=1, **options)
            return time.monotonic() - start, result


def scheduled(record: Record, workers: int, scale: float, tail: float) -> float:
    """Seconds with so many workers, each of which gets its part of the chunks of a batch."""
    total = tail
    for before, pieces in record.batches:
        work, n = sum(seconds for seconds, _ in pieces), sum(n for _, n in pieces)
        # A round of a search that may give a plan up has as many chunks with more images, but there are more rounds.
        rounds, n = (scale, n) if n <= ROUND else (1.0, n * scale)
        chunk = work / max(1, sum(n for _, n in pieces))
        most = -(-max(1, round(n)) // workers)
        together = max(1, min(most, round(n) or 1))
        busy = together * chunk + MESSAGE
        total += rounds * busy + before
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    for name in ("data", "calibration", "search", "test"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--images", type=int)
    asked = parser.parse_args()
    options = {name: getattr(asked, name) for name in ("data", "calibration", "search", "test") if getattr(asked, name)}
    options.update(option.split("=", 1) for option in asked.options)
    record = Record()
    first = None
    for workers in map(int, asked.workers.split(",")):
        seconds, result = search(workers, asked.model, options, record if first is None else None)
        if first is None:
            first = (seconds, result)
        assert result.plan == first[1].plan or "time_budget" in options, "the plan is the same"
        print(f"{workers} workers: {seconds:.1f} s, {first[0] / seconds:.2f} times as fast as with the first")
    seconds, result = first  # type: ignore[misc]
    images = result.images.search
    scale = (asked.images or images) / images
    pieces = sum(seconds for _, pieces in record.batches for seconds, _ in pieces)
    before = sum(before for before, _ in record.batches)
    tail = max(0.0, seconds - pieces - before)
    print(f"{images} search images: workers {pieces:.1f} s in {len(record.batches)} batches of "
          f"{sum(len(pieces) for _, pieces in record.batches)} pieces, the driver {before + tail:.1f} s")
    one = scheduled(record, 1, scale, tail)
    print(f"scheduled for {round(images * scale)} images, of which workers do {100 * (1 - (before + tail) / one):.1f} %:")
    for workers in (1, 2, 3, 8, 64):
        many = scheduled(record, workers, scale, tail)
        print(f"{workers:3} workers: {many:8.1f} s, {one / many:5.2f} times as fast, efficiency {100 * one / many / workers:.0f} %")


if __name__ == "__main__":
    main()
