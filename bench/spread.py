"""How a search gets faster with workers: measured on this machine, and scheduled for more from the times of its tasks.

    python bench/spread.py MODEL --search DATA --calibration DATA [--workers 1,2] [--images 5000] [OPTION=VALUE ...]

A run with one worker of one thread gives the times: of pieces that are measured at the same time, and of what the driver does
in between, which no worker takes from it. `--images` scales the pieces to so many search images, as more of the same length. A
schedule gives each piece to the worker that is free first, and each batch a message more.
"""

import argparse
import heapq
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import fixedwise as fw
from fixedwise import _spread

# Seconds that a batch takes beside the work. Guess: far more than processes of one machine take.
MESSAGE = 0.005


class Record:
    """Batches of pieces, with the seconds of each, and what the driver does before each batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, list[float]]] = []
        self.free = time.monotonic()
        self.out: dict[int, float] = {}
        self.latest = 0.0

    def asked(self, number: int) -> None:
        now = time.monotonic()
        if not self.out:
            self.batches.append((now - self.free, []))
        self.out[number] = now

    def answered(self, number: int) -> None:
        now = time.monotonic()
        # Questions wait for one another: a piece takes what has passed since the last.
        self.batches[-1][1].append(now - max(self.out.pop(number), self.latest))
        self.latest = self.free = now


def search(workers: int, model: str, options: dict, record: Record | None = None) -> tuple[float, fw.Result]:
    ask, answered = _spread.FutureNodes.ask, _spread.FutureNodes._answered

    def asks(self, node, question, given):  # type: ignore[no-untyped-def]
        number = ask(self, node, question, given)
        if record is not None:
            record.asked(number)
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
    """Seconds with so many workers."""
    total = tail
    for before, pieces in record.batches:
        # As many times as there are more images.
        count = max(1, round(len(pieces) * scale))
        many = [pieces[place % len(pieces)] for place in range(count)] if pieces else []
        free = [0.0] * min(workers, max(1, len(many)))
        for piece in many:
            heapq.heappush(free, heapq.heappop(free) + piece)
        total += before + max(free) + MESSAGE
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
    pieces = sum(sum(pieces) for _, pieces in record.batches)
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
