"""A configuration file after reading: plain values, the line of each, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service_manager.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Where a value is: keys and list positions from the top of the file."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value was written and how. Lines count from 1.

    Attributes:
        line: the line its key (or its list item) starts on; 1 for the whole file.
        text: the scalar as written, before substitution; empty for mappings and lists.
    """

    line: int
    text: str = ""

    @property
    def substituted(self) -> bool:
        """Whether the value may hold what a variable holds, which messages must not show."""
        return "$" in self.text


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        line: counted from 1.
        what: what is wrong, without a final stop.
        suggestion: what to do, one sentence.
        path: the value it is about.
        variable: the environment variable that is missing, when that is the problem.
    """

    line: int
    what: str
    suggestion: str
    path: KeyPath = ()
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values with their marks.

    Attributes:
        data: mappings, lists, strings, numbers, booleans and None; an empty file is an empty mapping.
        problems: what was wrong without stopping the reading, in the file's order; empty from `load`.
    """

    file: str
    data: dict[str, Any]
    marks: Mapping[KeyPath, Mark] = field(default_factory=dict[KeyPath, Mark])
    problems: tuple[Problem, ...] = ()

    def nearest(self, path: KeyPath) -> tuple[KeyPath, Mark]:
        """The deepest value that exists along `path`, skipping steps the file does not have."""
        found: KeyPath = ()
        for step in path:
            if (*found, step) in self.marks:
                found = (*found, step)
        return found, self.marks.get(found, Mark(1))

    def line(self, path: KeyPath) -> int:
        """The line of a value, or of the nearest one above it that exists."""
        return self.nearest(path)[1].line


def text_of(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        ConfigError: it does not exist, or can't be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", "Create it, or name another file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}.", "Mend it, or name another file.") from error


def config_error(file: str, problems: Iterable[Problem]) -> ConfigError:
    """The error that reports every problem of a file, in the order of its lines."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.line)
    told = [f"{file}:{problem.line}: {problem.what}. {problem.suggestion}".strip() for problem in ordered]
    if len(ordered) == 1:
        only = ordered[0]
        return ConfigError(f"{file}:{only.line}: {only.what}.", only.suggestion, told)
    return ConfigError("\n".join(told), f"\nCorrect these {len(told)} places.", told)
