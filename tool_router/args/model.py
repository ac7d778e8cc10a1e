"""What a draft of arguments is: values with provenance, and what is missing, invalid or doubtful."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

JsonValue = Any
"""A JSON value: None, bool, int, float, str, list or dict of these."""


class Source(StrEnum):
    """Where a value came from."""

    CALLER = "caller"
    TASK = "task"
    CONTEXT = "context"
    DEFAULT = "default"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Value:
    """One argument with its provenance.

    Attributes:
        evidence: the text the value was read from, verbatim; empty for caller and default values.
        model: the model that found the value, for source MODEL; empty for the others.
    """

    value: JsonValue
    source: Source
    evidence: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Invalid:
    """A value that does not satisfy the schema: where (``/a/0/b``), and what the schema wants."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Draft:
    """Arguments built for one tool.

    Attributes:
        values: top-level parameter name to value.
        missing: required parameters without a value, in the schema's order; a required member that an
            object read from the text lacks, as ``entities[0].entityType``.
        invalid: values that break the schema even after coercion.
        doubts: one sentence for each choice that was not clear (two numbers fit one parameter, ...);
            a draft with doubts is complete but should be shown before it is executed.
    """

    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    missing: tuple[str, ...] = ()
    invalid: tuple[Invalid, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """The plain arguments, ready for a call."""
        return {name: value.value for name, value in self.values.items()}

    @property
    def complete(self) -> bool:
        """Nothing required is missing and every value is valid."""
        return not self.missing and not self.invalid

    @property
    def clear(self) -> bool:
        """Complete, and without doubts: fit to be executed without asking."""
        return self.complete and not self.doubts
