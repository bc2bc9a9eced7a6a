"""What can go wrong, as one tree of exceptions."""

from __future__ import annotations

import re
from typing import Any


class FixedwiseError(Exception):
    """Why a call gave nothing. Its text is what the command says."""

    file: str | None
    """The file that it is about, or the name of what is in memory."""
    nodes: tuple[str, ...]
    """The nodes of the network that it is about."""
    way_out: str | None
    """What helps, where something is known to."""

    def __init__(
        self,
        text: str,
        file: str | None = None,
        nodes: tuple[str, ...] = (),
        way_out: str | None = None,
        refusals: tuple[Refusal, ...] = (),
        values_before: tuple[str, ...] = (),
    ):
        super().__init__(text)
        self.file = file
        self.nodes = nodes
        self.way_out = way_out
        self.refusals = refusals
        self.values_before = values_before

    @property
    def node(self) -> str | None:
        """The first of the nodes."""
        return self.nodes[0] if self.nodes else None

    def __reduce__(self) -> tuple[Any, ...]:
        about = (self.file, self.nodes, self.way_out, self.refusals, self.values_before)
        return type(self), (str(self), *about)


class Refusal:
    """A reason why a model cannot be taken in, with the nodes it applies to."""

    def __init__(self, operator: str | None, problem: str, nodes: tuple[str, ...]):
        self.operator = operator
        self.problem = problem
        self.nodes = nodes

    def __repr__(self) -> str:
        return f"Refusal({self.operator!r}, {self.problem!r}, {self.nodes!r})"


class OptionError(FixedwiseError, ValueError):
    """An option with a value that is not possible."""


class ModelError(FixedwiseError, ValueError):
    """A network that cannot be taken in."""


class DataError(FixedwiseError, ValueError):
    """Images or labels that cannot be used."""


class PlanError(FixedwiseError, ValueError):
    """A plan that cannot be read, or does not go with its network."""


class TargetError(FixedwiseError, ValueError):
    """A target that cannot be used, or is too small for a network."""


class ExportError(FixedwiseError, ValueError):
    """A network that cannot be written in the form that is asked for."""


class FileError(FixedwiseError, OSError):
    """A file that cannot be read or written."""


class ResultError(FixedwiseError, ValueError):
    """The result or the journal of an earlier run that cannot be used."""


class SearchError(FixedwiseError, RuntimeError):
    """A search without answer."""


class FixedwiseWarning(UserWarning):
    """Something that looks wrong, though the call goes on."""


_KINDS = {
    "option": OptionError,
    "model": ModelError,
    "data": DataError,
    "plan": PlanError,
    "target": TargetError,
    "export": ExportError,
    "file": FileError,
    "result": ResultError,
    "search": SearchError,
}

_NODE = re.compile(r"\b(?:node|layer) `([^`]+)`")


def made(
    kind: str,
    text: str,
    file: str | None = None,
    refusals: list[tuple[str | None, str, list[str]]] | None = None,
    values_before: list[str] | None = None,
) -> FixedwiseError:
    """The exception of a kind; the way out stands behind the last semicolon of a text."""
    found = tuple(Refusal(op, problem, tuple(nodes)) for op, problem, nodes in refusals or [])
    nodes = [node for refusal in found for node in refusal.nodes] or _NODE.findall(text)
    _, semicolon, way_out = text.rpartition("; ")
    return _KINDS[kind](
        text,
        file,
        tuple(dict.fromkeys(nodes)),
        way_out.strip() if semicolon else None,
        found,
        tuple(values_before or ()),
    )
