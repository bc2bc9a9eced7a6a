"""Many searches, on this machine or on others."""

from __future__ import annotations

import html
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import _fixedwise
from ._commands import keyword, option
from ._errors import OptionError
from ._executors import check_executor
from ._functions import quantize, report
from ._results import Result, _frame


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """Every combination of options: `grid(max_loss=["1%", "2%"], seed=range(3))` has six."""
    for name, values in axes.items():
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise OptionError(f"`{name}` is {values!r}; a grid takes a list of values for each option")
    return [dict(zip(axes, values)) for values in itertools.product(*map(list, axes.values()))]


def read(file: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The searches of a file, as the command `sweep-jobs` takes it."""

    def value(name: str, values: list[str]) -> Any:
        is_list = name != "model" and option("quantize", keyword(name))["is_list"]
        return (values if is_list else values[0]) if values else True

    return [
        {keyword(name): value(name, values) for name, values in job}
        for job in _fixedwise.jobs(os.fspath(file))
    ]


class Job:
    """One search of several: its options, and what came of it."""

    def __init__(self, options: dict[str, Any], result: Result | None, error: Exception | None):
        self.options = options
        self.result = result
        self.error = error

    def __repr__(self) -> str:
        return f"Job({self.options!r}, {'failed' if self.result is None else 'done'})"


class Jobs(Sequence[Job]):
    """Searches in the order in which they were asked for."""

    def __init__(self, jobs: Sequence[Job]):
        self._jobs = list(jobs)

    def __getitem__(self, place: Any) -> Any:
        return self._jobs[place]

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    @property
    def results(self) -> list[Result]:
        """Those of the searches that did not fail."""
        return [job.result for job in self if job.result is not None]

    def to_dict(self) -> list[dict[str, Any]]:
        """A row for each search: its options, and its figures or its error."""
        return [{**_told(job.options), **_figures(job)} for job in self]

    def to_pandas(self) -> Any:
        """A row for each search."""
        return _frame(self.to_dict())

    def report(self, out: str | os.PathLike[str] = "report.html") -> str:
        """Writes one HTML page with all results side by side; the first is shown in full."""
        if not self.results:
            raise OptionError("no search gave a result; see the `error` of each job")
        first, *others = self.results
        return report(first, compare=others, out=out)

    def __repr__(self) -> str:
        rows = self.to_dict()
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [names, *([_text(row.get(name)) for name in names] for row in rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
        return "\n".join(
            "  ".join(f"{text:{width}}" for text, width in zip(line, widths)).rstrip() for line in lines
        )

    def _repr_html_(self) -> str:
        rows = self.to_dict()
        names = list(dict.fromkeys(name for row in rows for name in row))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_text(row.get(name)))}</td>" for name in names) + "</tr>"
            for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _told(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that fit a table."""
    return {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in options.items()
        if isinstance(value, (str, int, float, os.PathLike))
    }


def _figures(job: Job) -> dict[str, Any]:
    if job.result is None:
        return {"error": str(job.error)}
    result = job.result
    test = result.accuracy.test or result.accuracy.search
    return {
        "bound_met": result.bound_met,
        "memory_saved": result.memory_bits.reduction,
        "bit_products_saved": result.multiplication_cost.operand_reduction,
        "flash_bytes": result.flash_bytes,
        "ram_bytes": result.peak_ram_bytes,
        "fixed": test and test.fixed,
        "relative_loss": test and test.relative_loss,
        "seconds": result.seconds,
    }


def _search(options: dict[str, Any]) -> Result:
    """One search, wherever it runs."""
    return quantize(**options)


def sweep_jobs(
    jobs: Iterable[Mapping[str, Any]] | str | os.PathLike[str], executor: Any = None, **shared: Any
) -> Jobs:
    """Runs many searches: a table comes out, and a report.

    jobs: the options of each search, as `quantize` takes them; `grid` makes them of lists. Or a file, as the command
        `sweep-jobs` takes it.
    executor: anything with `submit`, such as a `ProcessPoolExecutor` or a client of Dask. Default: one search after the
        other. Searches that run side by side on one machine take `threads=` of them each.
    shared: options of every search.

    A search that fails is told in its row; the others go on. Every result is that of the same search alone.
    """
    if isinstance(jobs, (str, os.PathLike)):
        jobs = read(jobs)
    asked = [{**shared, **job} for job in jobs]
    if not asked:
        raise OptionError("there is no job; give a list of options, for example `grid(seed=range(3))`")
    missing = [place for place, options in enumerate(asked) if "model" not in options]
    if missing:
        raise OptionError(f"job {missing[0]} has no `model`; give it for each job, or once for all")
    if executor is not None:
        check_executor(executor)
    futures = None if executor is None else [executor.submit(_search, options) for options in asked]
    done = []
    try:
        for place, options in enumerate(asked):
            own = {name: value for name, value in options.items() if name not in shared or name == "model"}
            try:
                result = _search(options) if futures is None else futures[place].result()
                done.append(Job(own, result, None))
            except Exception as error:
                done.append(Job(own, None, error))
    finally:
        for future in futures or []:
            if hasattr(future, "cancel"):
                future.cancel()
    return Jobs(done)
