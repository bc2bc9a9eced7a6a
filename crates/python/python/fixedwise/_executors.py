"""What every way to run elsewhere asks: of an executor, and of a worker."""

from __future__ import annotations

from typing import Any

from . import _fixedwise
from ._errors import FixedwiseError, OptionError


def check_executor(executor: Any) -> None:
    """Refuses what takes no tasks."""
    if not hasattr(executor, "submit"):
        raise OptionError(
            f"an executor of type {type(executor).__name__} has no `submit`; give for example a ProcessPoolExecutor"
        )


def check_version(driver: str) -> None:
    """Refuses, on a worker, to work for a driver of another version."""
    if driver != _fixedwise.__version__:
        raise FixedwiseError(
            f"a worker has fixedwise {_fixedwise.__version__}, the driver {driver}; install one version on all nodes"
        )
