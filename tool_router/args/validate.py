"""JSON-Schema validation that survives any schema: boolean, recursive, remote references, invalid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, UndefinedTypeCheck, UnknownType, ValidationError
from rapidfuzz import fuzz, process
from rapidfuzz.utils import default_process
from referencing import Registry
from referencing.exceptions import Unresolvable

from tool_router.args.model import Invalid

_MAX_ERRORS = 20
_NEAR = 60.0
"""Least WRatio (0 to 100) at which a known name is offered for an unknown one."""
_UNUSABLE = (
    SchemaError, UnknownType, UndefinedTypeCheck, Unresolvable, RecursionError, re.error,
    TypeError, AttributeError, ValueError, KeyError,
)  # fmt: skip
"""What jsonschema raises on a schema that is none: a broken keyword fails only when a value meets it."""


def violations(
    arguments: Mapping[str, Any], schema: Mapping[str, Any] | bool
) -> tuple[tuple[Invalid, ...], str]:
    """What the arguments break, and why the schema could not be used (empty when it could).

    Missing required properties are not reported here: the draft lists them as missing. References are only
    followed inside the schema, never fetched.
    """
    try:
        registry: Registry[Any] = Registry()
        validator = Draft202012Validator(cast(Any, schema), registry=registry)
        found: list[Invalid] = []
        for error in validator.iter_errors(dict(arguments)):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            found.extend(_reported(cast(ValidationError, error)))
            if len(found) >= _MAX_ERRORS:
                break
    except _UNUSABLE as failure:
        return (), f"the tool's schema could not be used ({type(failure).__name__}: {_short(str(failure))})"
    return tuple(dict.fromkeys(found)), ""


def _reported(error: ValidationError) -> list[Invalid]:
    if error.validator == "required":
        return []
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        return _unknown(error)
    return [Invalid(_path(error), _short(error.message))]


def _unknown(error: ValidationError) -> list[Invalid]:
    """Every member the schema does not know, with the nearest name it does."""
    schema = cast(Mapping[str, Any], error.schema)
    known = [str(name) for name in cast(Mapping[str, Any], schema.get("properties", {}))]
    extra = [str(name) for name in cast(Mapping[str, Any], error.instance) if str(name) not in known]
    found: list[Invalid] = []
    for name in extra:
        near = process.extractOne(
            name, known, scorer=fuzz.WRatio, processor=default_process, score_cutoff=_NEAR
        )
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
        found.append(Invalid(_path(error, name), _short(f"there is no parameter {name!r}; {hint}")))
    return found


def _path(error: ValidationError, *more: str) -> str:
    """JSON Pointer of what an error is about."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in (*error.absolute_path, *more))
    return "".join(f"/{part}" for part in parts)


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 240 else line[:237] + "..."
