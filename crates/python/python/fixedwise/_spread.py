"""A search whose images are measured by an executor, too: anything with `submit`, or nodes of Ray."""

from __future__ import annotations

import collections
import itertools
import os
import pickle
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

from . import _fixedwise
from ._commands import Images
from ._errors import FixedwiseError
from ._executors import check_executor, check_version
from ._models import Model
from ._ray import RayExecutor

# Seconds without any answer after which one may never come; more where answers take long.
_PATIENCE = 60.0
_TIMES_LONGEST = 5.0
# Seconds between two looks for nodes that are new, or back.
_LOOK = 5.0
# Times that something is lost before it is left alone.
_LOSSES = 3
# What nodes are given is kept for the others that will take it.
_GIVEN = 6


class Setup:
    """What a search is of, to be made ready elsewhere: a command line, its network, and images in memory."""

    def __init__(self, words: Sequence[str], place: int, model: Model, images: Sequence[tuple[str, Any]]):
        self.words = list(words)
        self.place = place
        self.model = model if model.path is None else Model(os.path.abspath(model.path), "", b"")
        self.images = list(images)

    def worker(self, threads: int) -> _fixedwise.Worker:
        """Reads all of it."""
        with self.model.file() as path:
            words = [*self.words, f"--threads={threads}"]
            words[self.place] = path
            return _fixedwise.Worker(words, [(name, Images(**images)) for name, images in self.images])


# By search, what this process holds of it; the latest last.
_held: dict[str, _fixedwise.Worker] = {}
_lock = threading.Lock()


def _answer(version: str, key: str, ask: bytes, given: list[bytes], setup: bytes | None) -> bytes | None:
    """Answers a question in a process of an executor; `None` where it does not hold what it is about."""
    check_version(version)
    with _lock:
        worker = _held.get(key)
        if worker is None:
            if setup is None:
                return None
            # One at a time: a process serves one search after the other.
            _held.clear()
            worker = _held[key] = pickle.loads(setup).worker(1)
    return worker.answer(ask, given)


class Nodes:
    """Nodes as the native module asks them: `count`, `threads`, `is_there`, `ask` and `next`."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._begun: dict[int, float] = {}
        self._latest = time.monotonic()
        self._longest = 0.0

    def threads(self) -> int:
        return 1

    def next(self) -> tuple[str, Any]:
        """What happened: its name and what belongs to it."""
        try:
            number, future = self._done.get(timeout=0.05)
        except queue.Empty:
            patience = max(_PATIENCE, _TIMES_LONGEST * self._longest)
            is_late = bool(self._begun) and time.monotonic() - self._latest > patience
            return ("late" if is_late else "nothing"), None
        self._latest = time.monotonic()
        took = self._latest - self._begun.get(number, self._latest)
        try:
            answer = future.result() if future is not None else self._lost(number, None)
        except Exception as error:
            answer = self._failed(number, error)
        if not isinstance(answer, bytes):
            if answer is not None and answer[0] != "nothing":
                self._begun.pop(number, None)
            return answer or self._lacks(number)
        self._begun.pop(number, None)
        self._longest = max(self._longest, took)
        self._answered(number)
        return "answered", (number, answer)

    def _begin(self) -> int:
        number = next(self._numbers)
        if not self._begun:
            self._latest = time.monotonic()
        self._begun[number] = time.monotonic()
        return number

    def _wait(self, number: int, future: Any) -> None:
        """Hears of the end of a future."""
        if hasattr(future, "add_done_callback"):
            future.add_done_callback(lambda done: self._done.put((number, done)))
            return

        def waits() -> None:
            try:
                future.result()
            except Exception:  # `next` asks again, and hears of it.
                pass
            self._done.put((number, future))

        threading.Thread(target=waits, daemon=True).start()

    def _failed(self, number: int, error: Exception) -> tuple[str, Any]:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, FixedwiseError):
            return "refused", f"a node of the executor: {cause}"
        if isinstance(cause, (ImportError, AttributeError)):
            version = _fixedwise.__version__
            return "refused", f"a node cannot load fixedwise {version}: {cause}; install one version on all nodes"
        return self._lost(number, error)

    def _lost(self, number: int, error: Exception | None) -> tuple[str, Any]:
        return "lost", number

    def _lacks(self, number: int) -> tuple[str, Any]:
        return "lost", number

    def _answered(self, number: int) -> None:
        pass


class FutureNodes(Nodes):
    """As many places as an executor has workers; whichever takes a question holds what it is about after the first."""

    def __init__(self, executor: Any, setup: Setup):
        super().__init__()
        self._executor = executor
        self._setup = pickle.dumps(setup, protocol=5)
        self._key = uuid.uuid4().hex
        self._n = _workers(executor)
        self._losses = 0
        self._is_broken = False
        self._asked: dict[int, tuple[bytes, list[bytes]]] = {}
        self._futures: dict[int, Any] = {}

    def count(self) -> int:
        return self._n

    def is_there(self, node: int) -> bool:
        return not self._is_broken

    def ask(self, node: int, ask: bytes, given: list[tuple[str, bytes]]) -> int:
        number = self._begin()
        self._asked[number] = (ask, [one for _, one in given])
        self._submit(number, None)
        return number

    def _submit(self, number: int, setup: bytes | None) -> None:
        ask, given = self._asked[number]
        try:
            future = self._executor.submit(_answer, _fixedwise.__version__, self._key, ask, given, setup)
        except Exception:  # The executor is broken or shut down.
            self._is_broken = True
            self._done.put((number, None))
            return
        self._futures[number] = future
        self._wait(number, future)

    def _lacks(self, number: int) -> tuple[str, Any]:
        self._submit(number, self._setup)
        return "nothing", None

    def _lost(self, number: int, error: Exception | None) -> tuple[str, Any]:
        self._forget(number)
        self._losses += 1
        self._is_broken |= self._losses >= _LOSSES * self._n
        return "lost", number

    def _answered(self, number: int) -> None:
        self._forget(number)
        self._losses = 0

    def _forget(self, number: int) -> None:
        self._asked.pop(number, None)
        self._futures.pop(number, None)

    def close(self) -> None:
        """Nobody waits for answers any more."""
        for future in self._futures.values():
            if hasattr(future, "cancel"):
                future.cancel()


def _workers(executor: Any) -> int:
    """Workers of an executor."""
    known = getattr(executor, "_max_workers", None)
    if isinstance(known, int):
        return known
    if hasattr(executor, "scheduler_info"):
        workers = executor.scheduler_info()["workers"].values()
        return max(1, sum(worker["nthreads"] for worker in workers))
    return os.cpu_count() or 1


class _Actor:
    """What a node of Ray holds of a search."""

    def __init__(self, version: str, setup: Setup, threads: int):
        self.version = version
        self.setup = setup
        self.threads = threads
        self.worker: _fixedwise.Worker | None = None

    def answer(self, ask: bytes, *given: bytes) -> bytes:
        check_version(self.version)
        if self.worker is None:
            self.worker = self.setup.worker(self.threads)
        return self.worker.answer(ask, list(given))


class RayNodes(Nodes):
    """An actor on each node of a cluster, which holds the network and the images once."""

    def __init__(self, executor: RayExecutor, setup: Setup):
        super().__init__()
        self._ray = ray = executor._ray
        alive = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        self._threads = executor.num_cpus or max(1, min((cpus for cpus in alive if cpus), default=1))
        self._setup = ray.put(setup)
        self._actors: list[Any] = []
        # By the name that Ray has for a node, the place of its actor, and how often one was lost there.
        self._places: dict[str, int] = {}
        self._losses: collections.Counter[str] = collections.Counter()
        self._given: collections.OrderedDict[str, Any] = collections.OrderedDict()
        self._asked: dict[int, int] = {}
        self._looked = 0.0
        self._look()

    def threads(self) -> int:
        return self._threads

    def count(self) -> int:
        if time.monotonic() - self._looked > _LOOK:
            self._look()
        return len(self._actors)

    def is_there(self, node: int) -> bool:
        return self._actors[node] is not None

    def _look(self) -> None:
        """Has an actor on each node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._looked = time.monotonic()
        alive = {}
        for node in self._ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU", 0) >= self._threads:
                alive[node["NodeID"]] = node
        for name in [name for name in self._places if name not in alive]:
            self._gone(name)
        for name in alive:
            if name in self._places or self._losses[name] >= _LOSSES:
                continue
            kind = self._ray.remote(num_cpus=self._threads)(_Actor)
            where = NodeAffinitySchedulingStrategy(node_id=name, soft=False)
            actor = kind.options(scheduling_strategy=where).remote(_fixedwise.__version__, self._setup, self._threads)
            self._places[name] = len(self._actors)
            self._actors.append(actor)

    def _gone(self, name: str) -> None:
        place = self._places.pop(name)
        self._losses[name] += 1
        self._actors[place] = None
        # Ray tells of the death of an actor, but not of one whose node never took it.
        for number in [number for number, node in self._asked.items() if node == place]:
            self._done.put((number, None))

    def ask(self, node: int, ask: bytes, given: list[tuple[str, bytes]]) -> int:
        number = self._begin()
        self._asked[number] = node
        actor = self._actors[node]
        if actor is None:
            self._done.put((number, None))
            return number
        for name, value in given:
            if name not in self._given:
                self._given[name] = self._ray.put(value)
            self._given.move_to_end(name)
        values = [self._given[name] for name, _ in given]
        while len(self._given) > _GIVEN:
            self._given.popitem(last=False)
        self._wait(number, actor.answer.remote(ask, *values).future())
        return number

    def _failed(self, number: int, error: Exception) -> tuple[str, Any]:
        if number not in self._asked:
            return "nothing", None
        if "creation task" in str(error):
            said = str(error).strip().splitlines()[-1]
            version = _fixedwise.__version__
            return "refused", f"a node cannot load fixedwise {version}: {said}; install one version on all nodes"
        return super()._failed(number, error)

    def _lost(self, number: int, error: Exception | None) -> tuple[str, Any]:
        place = self._asked.pop(number, None)
        if place is None:
            return "nothing", None
        for name in [name for name, other in self._places.items() if other == place]:
            self._gone(name)
        return "lost", number

    def _answered(self, number: int) -> None:
        self._asked.pop(number, None)

    def close(self) -> None:
        """Ends the actors."""
        for actor in self._actors:
            if actor is not None:
                self._ray.kill(actor)


def nodes(executor: Any, setup: Setup) -> FutureNodes | RayNodes:
    """What measures for a search."""
    if isinstance(executor, RayExecutor):
        return RayNodes(executor, setup)
    check_executor(executor)
    return FutureNodes(executor, setup)


def of_command(words: Sequence[str], address: str) -> RayNodes:
    """The nodes of a cluster for a command line whose network and images are files."""
    return RayNodes(RayExecutor(address=address), _Words(words))


class _Words(Setup):
    """A command line whose network and images are files."""

    def __init__(self, words: Sequence[str]):
        self.words = list(words)

    def worker(self, threads: int) -> _fixedwise.Worker:
        return _fixedwise.Worker([*self.words, f"--threads={threads}"], [])

