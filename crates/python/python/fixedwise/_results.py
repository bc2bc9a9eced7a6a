"""What comes of a call, as objects."""

from __future__ import annotations

import copy
import html
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _fixedwise
from ._errors import PlanError
from ._models import Model

if TYPE_CHECKING:
    import numpy as np
    import pandas

_FILES = ("plan.toml", "plan.npz", "result.json", "journal.jsonl")


class Record(Mapping[str, Any]):
    """A part of a result: its keys are attributes too."""

    def __init__(self, values: dict[str, Any]):
        self._values = values

    def __getitem__(self, key: str) -> Any:
        return _wrapped(self._values[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no `{name}`; there are {', '.join(self._values)}") from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._values})

    def __repr__(self) -> str:
        return f"Record({self._values!r})"

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        return copy.deepcopy(self._values)


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return Record(value)
    if isinstance(value, list):
        return [_wrapped(part) for part in value]
    return value


class _Told(Record):
    """What a command says in JSON."""

    def __init__(self, text: str):
        super().__init__(json.loads(text))
        self._text = text

    def to_json(self) -> str:
        """The JSON of the command."""
        return self._text

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON of the command."""
        Path(path).write_text(self._text, encoding="utf-8")

    def __reduce__(self) -> Any:
        return type(self), (self._text,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._values)})"


def _frame(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """A table in which what lies deeper has a name with dots."""
    import pandas

    return pandas.json_normalize(rows)


class Inspection(_Told):
    """A network before it is quantized: what `inspect` says."""

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each node."""
        return _frame(self._values["nodes"])


class Sweep(_Told):
    """A grid of formats, measured: what `sweep` says."""

    plan: Plan | None = None

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each format of each layer."""
        rows = []
        for layer in self._values["layers"]:
            shared = {key: value for key, value in layer.items() if not isinstance(value, list)}
            points = next((value for value in layer.values() if isinstance(value, list)), [])
            rows += [{**shared, **point} for point in points]
        return _frame(rows)


class Generalization(_Told):
    """A plan on each part of a data set: what `generalize` says."""

    plan: Plan | None = None

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each part."""
        return _frame(self._values["parts"])


class Export(Record):
    """What was written in another form."""


class Tensor:
    """The format of a tensor: an integer `q` of `bits` bits stands for `q * 2**-frac`."""

    def __init__(self, plan: Plan, values: dict[str, Any]):
        object.__setattr__(self, "_plan", plan)
        object.__setattr__(self, "_values", values)

    @property
    def bits(self) -> int:
        """The bit width. Another one keeps the range of values: `frac` goes with it."""
        return self._values["bits"]

    @bits.setter
    def bits(self, bits: int) -> None:
        bits = int(bits)
        frac = self._values["frac"] + bits - self._values["bits"]
        self._plan._edit(self._values, bits=bits, frac=frac)

    @property
    def frac(self) -> int:
        """The fractional offset: the binary point."""
        return self._values["frac"]

    @frac.setter
    def frac(self, frac: int) -> None:
        self._plan._edit(self._values, frac=int(frac))

    @property
    def signed(self) -> bool:
        """Whether it may be negative."""
        return self._values.get("signed", True)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("bits", "frac"):
            raise AttributeError(f"a tensor has `bits` and `frac`, not `{name}`")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits} F{self.frac}"


class Layer:
    """The formats of a layer, or of another node: `weights`, `bias`, `activation`; `None` where it has none."""

    def __init__(self, plan: Plan, values: dict[str, Any]):
        self._plan = plan
        self._values = values

    def _tensor(self, kind: str) -> Tensor | None:
        return Tensor(self._plan, self._values[kind]) if kind in self._values else None

    @property
    def weights(self) -> Tensor | None:
        """Of its weights."""
        return self._tensor("weights")

    @property
    def bias(self) -> Tensor | None:
        """Of its biases."""
        return self._tensor("bias")

    @property
    def activation(self) -> Tensor | None:
        """Of its output."""
        return self._tensor("activation")

    def __repr__(self) -> str:
        kinds = ("weights", "bias", "activation")
        return ", ".join(f"{kind} {self._tensor(kind)}" for kind in kinds if kind in self._values)


class Plan(Mapping[str, Layer]):
    """The format of every tensor of a network: `plan.toml`, with the integers beside it.

    Widths can be changed: `plan["conv1"].weights.bits = 4`. The integers of a changed plan are rounded anew where it
    is used, as `refit` does.
    """

    def __init__(self, text: str, integers: bytes | None = None):
        self._text = text
        self._integers = integers
        contents, self._names = _fixedwise.plan_to_json(text)
        self._values: dict[str, Any] = json.loads(contents)
        self._is_edited = False
        # The images of the search that found it, where that was in this process.
        self._sets: dict[str, Any] = {}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Reads a `plan.toml`, with the integers beside it."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            plan = cls(text)
            name = plan._values.get("integers")
            integers = path.with_name(name) if name else None
            plan._integers = integers.read_bytes() if integers else None
        except OSError as error:
            raise PlanError(f"plan `{path}`: {error}", str(path)) from error
        except ValueError as error:
            raise PlanError(f"plan `{path}`: {error}", str(path)) from error
        return plan

    @property
    def is_edited(self) -> bool:
        """Whether a width or a binary point was changed since it was found or read."""
        return self._is_edited

    def _edit(self, tensor: dict[str, Any], **changes: int) -> None:
        if any(tensor[key] != value for key, value in changes.items()):
            tensor.update(changes)
            self._is_edited = True

    def _tables(self) -> dict[str, dict[str, Any]]:
        others = {name: {"activation": one} for name, one in self._values.get("others", {}).items()}
        tables = {**self._values["layers"], **others}
        return {name: tables[name] for name in self._names}

    def __getitem__(self, name: str) -> Layer:
        tables = self._tables()
        if name not in tables:
            raise KeyError(f"the plan has no layer `{name}`; it has {', '.join(tables)}")
        return Layer(self, tables[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables())

    def __len__(self) -> int:
        return len(self._tables())

    @property
    def semantics(self) -> str:
        """`integer` or `simulated`."""
        return self._values["semantics"]

    def copy(self) -> Plan:
        """Another plan that is the same."""
        return copy.deepcopy(self)

    def to_dict(self) -> dict[str, Any]:
        """The contents of `plan.toml`."""
        return copy.deepcopy(self._values)

    def to_toml(self) -> str:
        """The text of `plan.toml`; one that was edited names no integers."""
        if not self._is_edited:
            return self._text
        bare = {
            key: value
            for key, value in self._values.items()
            if key not in ("integers", "integers_sha256")
        }
        return _fixedwise.plan_from_json(json.dumps(bare))

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each layer."""
        return _frame([{"name": name, **one} for name, one in self._tables().items()])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `plan.toml`, and its integers beside it."""
        path = Path(path)
        if self._integers is not None:
            # Those of an edited plan are what its new ones are rounded from.
            name = None if self._is_edited else self._values.get("integers")
            path.with_name(name or path.with_suffix(".npz").name).write_bytes(self._integers)
        path.write_text(self.to_toml(), encoding="utf-8")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sets": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> Plan:
        plan = Plan(self._text, self._integers)
        plan._values = copy.deepcopy(self._values, memo)
        plan._is_edited = self._is_edited
        plan._sets = self._sets
        return plan

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return (self._values, self._integers) == (other._values, other._integers)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        width = max((len(name) for name in self), default=0)
        return "\n".join(f"{name:{width}}  {layer!r}" for name, layer in self.items())

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th>"
            + "".join(f"<td>{html.escape(repr(one)) if one else ''}</td>" for one in
                      (layer.weights, layer.bias, layer.activation))
            + "</tr>"
            for name, layer in self.items()
        )
        head = "<tr><th>layer</th><th>weights</th><th>bias</th><th>activation</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{cells}</tbody></table>"


class Result(_Told):
    """What a run gives and costs: `result.json`, and the plan that it found.

    The keys of `result.json` are attributes: `result.accuracy.test.relative_loss`, `result.layers[0].weights.bits`.
    """

    def __init__(
        self,
        text: str,
        plan: Plan,
        model: Model,
        options: dict[str, Any] | None = None,
        journal: bytes | None = None,
    ):
        super().__init__(text)
        self.plan = plan
        self.model = model
        # What says how the model is read, for whatever is done with it later.
        self._options = options or {}
        self._journal = journal

    # `model` and `plan` are objects here; what `result.json` has is in `to_dict`.

    @property
    def name(self) -> str:
        """What the run is called in a report: the name of its network."""
        return self._values["model"]["name"]

    @property
    def fits(self) -> bool:
        """Whether no budget of memory is exceeded."""
        return all(budget["is_met"] for budget in self._values.get("budgets", []))

    def summary(self, columns: int = 80) -> str:
        """The tables that the command prints."""
        return _fixedwise.summary(self._text, columns)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        pictures = "".join(svg for _, svg in _fixedwise.pictures(self._text))
        return f"<pre>{html.escape(self.summary(100))}</pre>{pictures}"

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each layer."""
        return _frame(self._values["layers"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the files of a run into a folder: `plan.toml`, `plan.npz`, `result.json`, `journal.jsonl`."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        self.plan.save(path / "plan.toml")
        (path / "result.json").write_text(self._text, encoding="utf-8")
        if self._journal is not None:
            (path / "journal.jsonl").write_bytes(self._journal)

    def export(self, form: str, out: str | os.PathLike[str], **options: Any) -> Export:
        """Writes the integer network as `c`, `onnx`, `qonnx`, `hls`, `npz` or `tflite`; see `fixedwise.export`."""
        from . import _functions

        return _functions.export(form, self.model, self.plan, out, **{**self._options, **options})

    def report(self, out: str | os.PathLike[str] = "report.html", **options: Any) -> str:
        """Writes the run as one HTML page, and gives its path; see `fixedwise.report`."""
        from . import _functions

        return _functions.report(self, out=out, **options)

    def network(self) -> Network:
        """The integer network, to run on arrays."""
        from . import _functions

        return _functions.network(self.model, self.plan, **self._options)

    def refit(self, **options: Any) -> Result:
        """Rounds the weights anew for the widths of `result.plan`; see `fixedwise.refit`."""
        from . import _functions

        return _functions.refit(self.model, self.plan, **{**self._options, **options})

    def __reduce__(self) -> Any:
        return Result, (self._text, self.plan, self.model, self._options, self._journal)


class Network:
    """An integer network: raw images in, exact integers out.

    `network(x)` gives an `int32` array `[image, ...]` with the axes of the model's file, or one for each output by
    name where there are several. An integer `q` of an output stands for `q * 2**-frac`; `dequantize` computes that.
    """

    def __init__(self, native: _fixedwise.Network):
        self._native = native

    @property
    def inputs(self) -> list[Record]:
        """Name, `shape` `[h, w, c]` of one image, and `dtype`, input by input."""
        return [
            Record({"name": name, "shape": shape, "dtype": "uint8" if is_u8 else "float32"})
            for name, shape, is_u8 in self._native.inputs
        ]

    @property
    def outputs(self) -> list[Record]:
        """Name, `shape` of one image's, `bits`, `frac` and `signed`, output by output."""
        return [
            Record({"name": name, "shape": shape, "bits": bits, "frac": frac, "signed": signed})
            for name, shape, (bits, frac, signed) in self._native.outputs
        ]

    def __call__(self, x: Any, *, threads: int | None = None) -> np.ndarray | dict[str, np.ndarray]:
        """The integers of its outputs on images."""
        from . import _data
        from ._commands import Images

        inputs, _ = _data.native("x", x)
        found = self._native.run(Images(inputs, None), threads)
        if len(found) == 1:
            return found[0]
        return dict(zip((one["name"] for one in self.outputs), found))

    def dequantize(self, integers: np.ndarray, output: str | None = None) -> np.ndarray:
        """The values that integers of an output stand for, as `float32`."""
        import numpy as np

        outputs = {one["name"]: one["frac"] for one in self.outputs}
        frac = outputs[output] if output is not None else next(iter(outputs.values()))
        return np.ldexp(np.asarray(integers, np.float32), -frac)

    def __repr__(self) -> str:
        def shapes(ports: list[Record]) -> str:
            return ", ".join(f"{one['name']} {'x'.join(map(str, one['shape']))}" for one in ports)

        return f"Network({shapes(self.inputs)} -> {shapes(self.outputs)})"
