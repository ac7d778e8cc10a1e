"""A document held against a pydantic model: every misfit with its line and what to write instead."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from service_manager.config.yamldocument import Document, KeyPath, Mark, Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ModelT = TypeVar("ModelT", bound=BaseModel)

_MISFIT = "config_misfit"


def misfit(what: str, suggestion: str) -> PydanticCustomError:
    """An error for a model's validators to raise, with a suggestion.

    Args:
        what: what is wrong, without a final stop.
        suggestion: what to do, one sentence.
    """
    return PydanticCustomError(_MISFIT, "{what}", {"what": what, "suggestion": suggestion})


def unfit_variable(mark: Mark) -> tuple[str, str]:
    """What is wrong and what to do where a substituted value does not fit; the value may be a secret."""
    return f"what `{mark.text}` stands for does not fit here", "Correct the variable, or its default."


def validate(document: Document, model: type[ModelT]) -> tuple[ModelT | None, list[Problem]]:
    """Read a document into a model; None and the problems when it does not fit."""
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        return None, [_problem(document, model, details) for details in error.errors(include_url=False)]


def closest(word: str, known: Sequence[str]) -> str:
    """The known word that `word` was probably meant to be; empty when none is near."""
    return next(iter(difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)), "")


def _problem(document: Document, model: type[BaseModel], details: ErrorDetails) -> Problem:
    location: KeyPath = tuple(details["loc"])
    context: Mapping[str, Any] = details.get("ctx", {})
    path, mark = document.nearest(location)
    what, suggestion = _explain(details, context, location, mark, model)
    where = _dotted(path)
    told = f"{where}: {what}" if where and f"`{path[-1]}`" not in what else what
    return Problem(mark.line, told, suggestion, path)


def _explain(
    details: ErrorDetails, context: Mapping[str, Any], location: KeyPath, mark: Mark, model: type[BaseModel]
) -> tuple[str, str]:
    """What is wrong and what to do, for one of pydantic's errors."""
    match details["type"]:
        case "config_misfit" | "value_error" if mark.substituted:
            return unfit_variable(mark)
        case "config_misfit":
            return context["what"], context["suggestion"]
        case "extra_forbidden":
            known = _known_keys(model, location[:-1])
            near = closest(str(location[-1]), known)
            return (
                f"unknown key `{location[-1]}`",
                f"Did you mean `{near}`?" if near else f"Known keys: {', '.join(known)}.",
            )
        case "missing":
            return f"the key `{location[-1]}` is missing", f"Add `{location[-1]}:`."
        case "string_type":
            return _text_wanted(details["input"], mark)
        case "literal_error" | "enum":
            allowed = re.findall(r"'([^']*)'", context["expected"])
            near = closest(details["input"], allowed) if isinstance(details["input"], str) else ""
            said = f"`{mark.text}` is not" if mark.text else "this is not"
            return (
                f"{said} one of {', '.join(allowed)}",
                f"Did you mean `{near}`?" if near else "Choose one of them.",
            )
        case "dict_type" | "model_type" | "model_attributes_type":
            return "keys with values are wanted here", "Write `key: value` lines below it, indented."
        case "list_type" | "tuple_type":
            return "a list is wanted here", "Write `[a, b]`, or lines that start with `- `."
        case "bool_type" | "bool_parsing":
            return "true or false is wanted here", "Write `true` or `false`."
        case _:
            said = details["msg"].removeprefix("Value error, ").rstrip(".")
            return said[:1].lower() + said[1:], "Correct the value."


def _text_wanted(value: Any, mark: Mark) -> tuple[str, str]:
    quoted = f'Write "{mark.text}" in quotes if the characters are meant.'
    match value:
        case bool():
            return f"text is wanted, and `{mark.text}` without quotes is {str(value).lower()} in YAML", quoted
        case int() | float():
            return f"text is wanted, and `{mark.text}` without quotes is a number in YAML", quoted
        case None if mark.text:
            return f"text is wanted, and `{mark.text}` without quotes is nothing in YAML", quoted
        case None:
            return "text is wanted, and there is nothing", 'Write a value; "" for an empty one.'
        case _:
            return "text is wanted here, not a list or keys", "Write one value."


def _dotted(path: KeyPath) -> str:
    """A path for people: ``services.time.args[0]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that are allowed at `path`; empty when the model does not say."""
    annotation: Any = model
    for step in path:
        annotation = _below(annotation, step)
    found = _unwrapped(annotation)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return [info.alias or name for name, info in found.model_fields.items()]
    return []


def _below(annotation: Any, step: str | int) -> Any:
    found = _unwrapped(annotation)
    if isinstance(found, type) and issubclass(found, BaseModel):
        fields = found.model_fields
        return next((info.annotation for name, info in fields.items() if step in (name, info.alias)), None)
    arguments = get_args(found)
    return arguments[-1 if isinstance(step, str) else 0] if arguments else None


def _unwrapped(annotation: Any) -> Any:
    """The type inside Annotated and Optional."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not type(None)]
        return _unwrapped(inner[0]) if len(inner) == 1 else None
    return annotation
