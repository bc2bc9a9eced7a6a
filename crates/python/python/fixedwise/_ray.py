"""Ray as an executor: searches on the nodes of a cluster, or the images of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import _fixedwise
from ._errors import OptionError
from ._executors import check_version


def _named(version: str, function: Callable[..., Any], names: list[str], *values: Any) -> Any:
    """Calls a function on a node; the values have come by reference."""
    check_version(version)
    return function(dict(zip(names, values)))


def run_file(file: str, address: str, folders: Sequence[str]) -> list[str | None]:
    """Runs the searches of a file on a cluster and writes each into its folder; what each failed of."""
    from ._jobs import read, sweep_jobs

    jobs = read(file)
    threads = max(int(job.setdefault("threads", "1")) for job in jobs)
    done = sweep_jobs(jobs, RayExecutor(threads, address=address))
    for job, folder in zip(done, folders):
        if job.result is not None:
            job.result.save(folder)
    return [None if job.result is not None else str(job.error) for job in done]


class _Future:
    """What a task will give."""

    def __init__(self, ray: Any, reference: Any):
        self._ray = ray
        self._reference = reference

    def result(self) -> Any:
        try:
            return self._ray.get(self._reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error

    def cancel(self) -> None:
        self._ray.cancel(self._reference)


class RayExecutor:
    """Searches as tasks of Ray, each with `num_cpus` of a node, 1 by default: `sweep_jobs(jobs, RayExecutor(), threads=1, ...)`;
    or the images of one search on all nodes, with `num_cpus` of each, all by default: `quantize(..., executor=RayExecutor())`.

    Arrays and networks in memory are put into the object store once, whatever number of jobs takes them. The job of a node
    that is lost runs again on another. `address` is that of a cluster; without one, Ray looks for one or starts one here.
    """

    def __init__(self, num_cpus: int | None = None, *, max_retries: int = -1, address: str | None = None):
        try:
            import ray
        except ImportError as error:
            raise OptionError("RayExecutor needs the package ray; pip install 'fixedwise[ray]'") from error
        self._ray = ray
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False)
            except (ConnectionError, ValueError) as error:
                where = f"at `{address}`" if address else "here"
                raise OptionError(f"there is no cluster of Ray {where}: {error}") from error
        self.num_cpus = num_cpus
        self._task = ray.remote(num_cpus=num_cpus or 1, max_retries=max_retries)(_named)
        # With the values, so that nothing else gets their identity.
        self._put: dict[int, tuple[Any, Any]] = {}

    def submit(self, function: Callable[..., Any], options: dict[str, Any]) -> _Future:
        """Starts a job."""
        values = [self._shared(value) for value in options.values()]
        return _Future(
            self._ray,
            self._task.remote(_fixedwise.__version__, function, list(options), *values),
        )

    def _shared(self, value: Any) -> Any:
        """A reference to what is not small."""
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        known = self._put.get(id(value))
        if known is None:
            known = self._put[id(value)] = (value, self._ray.put(value))
        return known[1]
