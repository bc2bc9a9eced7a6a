"""fixedwise turns a trained CNN into an integer-only fixed-point network.

>>> import fixedwise as fw
>>> result = fw.quantize(model, calibration=x_train[:2000], search=(x, y), test=(x_test, y_test), max_loss="1%")
>>> result.plan["conv1"].weights.bits
>>> result.export("c", "firmware/")
>>> result.network()(x_test)

Every command of the program `fixedwise` is a function here, with the same names, defaults and refusals.
"""

from . import _fixedwise
from ._errors import (
    DataError,
    ExportError,
    FileError,
    FixedwiseError,
    FixedwiseWarning,
    ModelError,
    OptionError,
    PlanError,
    Refusal,
    ResultError,
    SearchError,
    TargetError,
)
from ._functions import (
    evaluate,
    export,
    generalize,
    inspect,
    network,
    plot,
    quantize,
    refit,
    report,
    serve,
    sweep,
)
from ._jobs import Job, Jobs, grid, sweep_jobs
from ._models import Model
from ._ray import RayExecutor
from ._results import (
    Export,
    Generalization,
    Inspection,
    Layer,
    Network,
    Plan,
    Record,
    Result,
    Sweep,
    Tensor,
)

__version__ = _fixedwise.__version__

__all__ = [
    "DataError",
    "Export",
    "ExportError",
    "FileError",
    "FixedwiseError",
    "FixedwiseWarning",
    "Generalization",
    "Inspection",
    "Job",
    "Jobs",
    "Layer",
    "Model",
    "ModelError",
    "Network",
    "OptionError",
    "Plan",
    "PlanError",
    "RayExecutor",
    "Record",
    "Refusal",
    "Result",
    "ResultError",
    "SearchError",
    "Sweep",
    "TargetError",
    "Tensor",
    "evaluate",
    "export",
    "generalize",
    "grid",
    "inspect",
    "network",
    "plot",
    "quantize",
    "refit",
    "report",
    "serve",
    "sweep",
    "sweep_jobs",
]
