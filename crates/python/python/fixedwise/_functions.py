"""The functions of the package: a command each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from . import _commands, _fixedwise, _spread
from ._commands import Call, word
from ._errors import FileError, OptionError
from ._results import Export, Generalization, Inspection, Network, Plan, Result, Sweep

# Options that say how a model's file is read.
_READING = ("architecture", "input_shape", "output", "preprocess")
# Options that name images.
_SETS = ("data", "calibration", "search", "test")

_InFolder = TypeVar("_InFolder", Sweep, Generalization)


def _reading(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in _READING if options.get(key) is not None}


def _sets(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in _SETS if options.get(key) is not None}


def _plan_of(plan: Any) -> Plan | str:
    if isinstance(plan, Result):
        return plan.plan
    return plan if isinstance(plan, Plan) else os.fspath(plan)


@contextlib.contextmanager
def _plan_file(plan: Any) -> Iterator[str]:
    """The path of a plan."""
    plan = _plan_of(plan)
    if isinstance(plan, str):
        yield plan
        return
    with _commands.folder() as folder:
        plan.save(folder / "plan.toml")
        yield str(folder / "plan.toml")


def _whole(model: Any, plan: Any, options: dict[str, Any]) -> Any:
    """A plan whose integers are its own: those of one that was edited are rounded anew."""
    known = _plan_of(plan)
    if not isinstance(known, Plan) or not known.is_edited or known._integers is None:
        return known
    if not known._sets:
        raise OptionError(
            "the plan was edited, and its integers are those of before; call `refit` with the images of the search "
            "and use its result"
        )
    return refit(model, known, **_reading(options)).plan


def _found(folder: Path, text: str, call: Call, model: Any, sets: dict[str, Any]) -> Result:
    """What a search has left in a folder."""
    integers = folder / "plan.npz"
    plan = Plan(
        (folder / "plan.toml").read_text(encoding="utf-8"),
        integers.read_bytes() if integers.exists() else None,
    )
    plan._sets = sets
    journal = folder / "journal.jsonl"
    kept = journal.read_bytes() if journal.exists() else None
    return Result(text, plan, model, _reading(call.options), kept)


def quantize(
    model: Any,
    *,
    out: Any = None,
    example: Any = None,
    progress: bool | None = None,
    on_progress: Any = None,
    executor: Any = None,
    **options: Any,
) -> Result:
    """
    model: a path, an `onnx.ModelProto`, a `torch.nn.Module` or a `keras.Model`.
    data, calibration, search, test, unlabeled: a path as the command takes it, an array, a pair of images and labels,
        a mapping from inputs to arrays, or an iterable of batches. Arrays must not change while the call runs.
    out: the folder for the files of the run. Default: none is written; `Result.save` does that later.
    example: an input for the export of a `torch.nn.Module`. Default: the first image in memory.
    progress: whether a bar of tqdm shows how far the search is.
    on_progress: is called with a dictionary for each step.
    executor: measures the images, too: anything with `submit`, such as a `ProcessPoolExecutor` or a client of Dask, or a
        `RayExecutor`. The plan is the same, whatever there is of it and whatever of that is lost.
    live: serves the page of the run while it goes on; its address is printed, and `on_progress` is called with it.

    Ctrl-C ends the search and returns the best plan so far.
    """
    given = [name for name in ("from_", "start") if isinstance(options.get(name), (Plan, Result))]
    if executor is not None and given:
        raise OptionError(
            f"`{given[0]}` is in memory, where the workers of an executor do not see it; save it in a folder and give that"
        )
    with contextlib.ExitStack() as stack:
        if isinstance(options.get("from_"), Result):
            earlier = stack.enter_context(_commands.folder())
            options["from_"].save(earlier)
            options["from_"] = earlier
        if isinstance(options.get("start"), (Plan, Result)):
            options["start"] = stack.enter_context(_plan_file(options["start"]))
        sets = _sets(options)
        call = Call("quantize", {**options, "progress": progress, "on_progress": on_progress}, example)
        network = _commands.network(call, model)
        if executor is not None:
            call.spread = lambda line: _spread.nodes(executor, _spread.Setup(line, 2, network, call.images))
        path = stack.enter_context(network.file())
        folder = stack.enter_context(_commands.folder(out))
        _, printed = call.run([path], ["--json", f"--out={folder}"])
        return _found(folder, printed[0], call, network, sets)


def refit(
    model: Any,
    plan: Any,
    *,
    out: Any = None,
    progress: bool | None = None,
    on_progress: Any = None,
    **options: Any,
) -> Result:
    """
    plan: a `Plan` whose widths were changed, or the path of one.
    out: the folder for the files of the new plan. Default: none is written.
    data, calibration, search, test: as for `quantize`. Default: those of the search that found the plan, where that was in
        this process.
    """
    known = _plan_of(plan)
    if isinstance(known, Plan) and "data" not in options:
        options = {**known._sets, **options}
    with contextlib.ExitStack() as stack:
        sets = _sets(options)
        call = Call("refit", {**options, "progress": progress, "on_progress": on_progress})
        network = _commands.network(call, model)
        call.is_repeatable &= isinstance(known, str)
        path = stack.enter_context(network.file())
        file = stack.enter_context(_plan_file(known))
        folder = stack.enter_context(_commands.folder(out))
        _, printed = call.run([path], [f"--plan={file}", "--json", f"--out={folder}"])
        return _found(folder, printed[0], call, network, sets)


def evaluate(
    model: Any,
    plan: Any,
    *,
    progress: bool | None = None,
    on_progress: Any = None,
    **options: Any,
) -> Result:
    """
    plan: a `Plan`, a `Result`, or the path of a plan. The integers of a plan that was edited are rounded anew first.
    """
    known = _plan_of(plan)
    if isinstance(known, Plan) and known.is_edited and known._integers is not None:
        options.setdefault("refit", True)
        if options["refit"] and options.get("calibration") is None:
            options["calibration"] = known._sets.get("calibration", known._sets.get("data"))
    with contextlib.ExitStack() as stack:
        call = Call("evaluate", {**options, "progress": progress, "on_progress": on_progress})
        network = _commands.network(call, model)
        path = stack.enter_context(network.file())
        file = stack.enter_context(_plan_file(known))
        _, printed = call.run([path], [f"--plan={file}", "--json"])
        used = known if isinstance(known, Plan) else None
        if used is None and not file.lower().endswith(".json"):
            used = Plan.load(file)
        return Result(printed[0], used, network, _reading(call.options))  # type: ignore[arg-type]


def inspect(
    model: Any,
    *,
    example: Any = None,
    progress: bool | None = None,
    on_progress: Any = None,
    **options: Any,
) -> Inspection:
    """
    data: images for the value ranges, as for `quantize`.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(options.get("plan"), (Plan, Result)):
            options["plan"] = stack.enter_context(_plan_file(options["plan"]))
        call = Call("inspect", {**options, "progress": progress, "on_progress": on_progress}, example)
        path = stack.enter_context(_commands.network(call, model).file())
        _, printed = call.run([path], ["--json"])
    return Inspection(printed[0])


def _in_folder(kind: type[_InFolder], command: str, model: Any, out: Any, options: dict[str, Any]) -> _InFolder:
    """What a command says, with the plan that it has written."""
    with contextlib.ExitStack() as stack:
        if isinstance(options.get("plan"), (Plan, Result)):
            options["plan"] = stack.enter_context(_plan_file(options["plan"]))
        call = Call(command, options)
        path = stack.enter_context(_commands.network(call, model).file())
        folder = stack.enter_context(_commands.folder(out))
        _, printed = call.run([path], ["--json", f"--out={folder}"])
        plan = folder / "plan.toml"
        found = kind(printed[0])
        found.plan = Plan.load(plan) if plan.exists() else None
        return found


def sweep(
    model: Any,
    *,
    out: Any = None,
    progress: bool | None = None,
    on_progress: Any = None,
    **options: Any,
) -> Sweep:
    """
    out: the folder for the files. Default: none is written.
    """
    return _in_folder(Sweep, "sweep", model, out, {**options, "progress": progress, "on_progress": on_progress})


def generalize(
    model: Any,
    *,
    out: Any = None,
    progress: bool | None = None,
    on_progress: Any = None,
    **options: Any,
) -> Generalization:
    """
    out: the folder for the files. Default: none is written.
    """
    return _in_folder(Generalization, "generalize", model, out, {**options, "progress": progress, "on_progress": on_progress})


def export(form: str, model: Any, plan: Any, out: Any, **options: Any) -> Export:
    """Writes the integer network of a plan as C (`c`) or in the format of another tool: `onnx`, `qonnx`, `hls`, `npz`,
    `tflite`.

    plan: a `Plan`, a `Result`, or the path of a plan. One that was edited is rounded anew, as by `refit`.
    out: a file, or for `c` and `hls` a folder. The options of a form are those of `fixedwise export FORM --help`.
    """
    command = f"export {form}"
    if command not in _commands.DESCRIPTIONS:
        forms = [name.split()[1] for name in _commands.DESCRIPTIONS if name.startswith("export ")]
        raise OptionError(f"there is no form `{form}`; there are {', '.join(forms)}")
    known = _whole(model, plan, options)
    call = Call(command, options)
    with _commands.network(call, model).file() as path, _plan_file(known) as file:
        more = [f"--plan={file}", f"--out={word(out)}"]
        if form == "c":
            _, printed = call.run([path], [*more, "--json"])
            import json

            return Export(json.loads(printed[0]))
        call.run([path], more)
    out = Path(out)
    return Export({"files": [str(one) for one in sorted(out.iterdir())] if out.is_dir() else [str(out)]})


def plot(picture: str, *files: Any, out: Any, **options: Any) -> str:
    """Draws results as SVG or PNG: `heatmap`, `bits`, `costs`, `drop`, `sensitivity`, `front`, `distributions` or `all`.

    files: those of a run, or its `Result`; for `distributions` the model. The options of a picture are those of
        `fixedwise plot PICTURE --help`.
    out: the file, or for `all` the folder.
    """
    command = f"plot {picture}"
    if command not in _commands.DESCRIPTIONS:
        names = [name.split()[1] for name in _commands.DESCRIPTIONS if name.startswith("plot ")]
        raise OptionError(f"there is no picture `{picture}`; there are {', '.join(names)}")
    with contextlib.ExitStack() as stack:
        paths = []
        for file in files:
            if isinstance(file, Result) and picture != "distributions":
                folder = stack.enter_context(_commands.folder())
                file.save(folder)
                paths.append(str(folder if picture == "all" else folder / "result.json"))
            else:
                paths.append(os.fspath(file))
        if isinstance(options.get("plan"), (Plan, Result)):
            options["plan"] = stack.enter_context(_plan_file(options["plan"]))
        Call(command, options).run(paths, [f"--out={word(out)}"])
    return word(out)


def report(run: Any, *, out: Any = None, compare: Any = (), **options: Any) -> str:
    """
    run: a `Result`, or the folder of a run.
    compare: other runs, to set beside it.
    out: the file of the page. Default: report.html in the folder of the run; of a `Result`, in the current folder.
    """
    others = [compare] if isinstance(compare, (str, os.PathLike, Result)) else list(compare)
    runs = [run, *others]
    if not any(isinstance(one, Result) for one in runs):
        call = Call("report", options)
        more = [f"--compare={word(other)}" for other in others]
        more += [] if out is None else [f"--out={word(out)}"]
        call.run([word(run)], more)
        return word(out) if out is not None else os.path.join(word(run), "report.html")
    shown = []
    for one in runs:
        if isinstance(one, Result):
            shown.append((one.name, False, one.to_json()))
        else:
            try:
                text = Path(one, "result.json").read_text(encoding="utf-8")
            except OSError as error:
                raise FileError(f"cannot read `{word(one)}`: {error}", word(one)) from error
            shown.append((word(one), True, text))
    if out is None:
        out = "report.html" if isinstance(run, Result) else os.path.join(word(run), "report.html")
    page = _fixedwise.page(shown)
    try:
        Path(out).write_text(page, encoding="utf-8")
    except OSError as error:
        raise FileError(f"cannot write `{word(out)}`: {error}", word(out)) from error
    return word(out)


def serve(run: Any, *, port: int | None = None, **options: Any) -> None:
    """
    run: a `Result`, or the folder of a run, which may still go on.

    The address is printed. Ctrl-C ends the call.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(run, Result):
            folder = stack.enter_context(_commands.folder())
            run.save(folder)
            run = folder
        Call("serve", {**options, "port": port}).run([word(run)])


def network(
    model: Any,
    plan: Any,
    *,
    preprocess: Any = None,
    architecture: Any = None,
    input_shape: Any = None,
    output: Any = None,
) -> Network:
    """The integer network of a plan, to run on arrays: `network(model, plan)(x)`.

    plan: a `Plan`, a `Result`, or the path of a plan. One that was edited is rounded anew, as by `refit`.
    preprocess, architecture, input_shape, output: as for `quantize`.
    """
    reading = {"preprocess": preprocess, "architecture": architecture}
    options = {"input_shape": input_shape, "output": output}
    known = _whole(model, plan, {**reading, **options})
    said = [text.split("=", 1) for text in _commands.words("evaluate", options)]
    shapes = [text for name, text in said if name == "--input-shape"]
    outputs = [part for name, text in said if name == "--output" for part in text.split(",")]
    fed = _commands.words("evaluate", {"preprocess": preprocess})
    found = _commands.model_of(model, lambda: None)
    with found.file() as path, _plan_file(known) as file:
        native = _commands.in_memory_named(
            lambda: _fixedwise.Network(
                path, file, fed[0].split("=", 1)[1] if fed else None, architecture, shapes, outputs
            )
        )
    return Network(native)


for _function, _command in (
    (quantize, "quantize"),
    (refit, "refit"),
    (evaluate, "evaluate"),
    (inspect, "inspect"),
    (sweep, "sweep"),
    (generalize, "generalize"),
    (report, "report"),
    (serve, "serve"),
):
    _commands.signature(_function, _command)
del _function, _command
