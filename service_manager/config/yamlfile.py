"""Configuration files: YAML read strictly, with the line of everything that is wrong.

Stricter than YAML where YAML surprises: duplicate keys, tags, merge keys and keys that are not text are
errors; dates, octal and base-60 numbers stay text. ``yes``/``no``/``on``/``off`` are booleans, as YAML 1.1
says, and where text is wanted the message asks for quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from service_manager.config.substitution import MalformedSubstitution, substitute
from service_manager.config.yamldocument import Document, KeyPath, Mark, Problem, config_error

if TYPE_CHECKING:
    import yaml
    from pydantic import BaseModel

    BaseModelT = TypeVar("BaseModelT", bound=BaseModel)

MAX_NODES = 100_000
"""Values in one file after aliases are followed; more is an alias that expands without end."""

MAX_DEPTH = 100
"""Levels of nesting a file may have: libyaml's composer recurses on the C stack without a limit."""

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+")
_TRUE = frozenset({"true", "yes", "on"})
_TOO_DEEP = Problem(1, "the values are nested too deeply", "Use fewer levels.")


def load(text: str, file: str, environ: Mapping[str, str]) -> Document:
    """Read a file's text, with environment variables substituted in its strings.

    Args:
        text: the file's content.
        file: how the file is called in messages.
        environ: the environment that ``${NAME}`` is taken from.

    Raises:
        ConfigError: the text is not strict YAML or a variable is missing; every place is named.
    """
    document = read(text, file, environ)
    if document.problems:
        raise config_error(file, document.problems)
    return document


def parse(text: str, file: str, model: type[BaseModelT], environ: Mapping[str, str]) -> BaseModelT:
    """Read a file's text into a pydantic model.

    Raises:
        ConfigError: as `load`, or the values do not fit the model; every place is named.
    """
    from service_manager.config.yamlmodel import validate

    document = read(text, file, environ)
    result, problems = validate(document, model)
    if result is None or document.problems:
        raise config_error(file, (*document.problems, *problems))
    return result


def read(text: str, file: str, environ: Mapping[str, str]) -> Document:
    """Read a file's text as far as it can be read; what is wrong is in the document's `problems`.

    Raises:
        ConfigError: it is not YAML, or its top is not a mapping.
    """
    node = _compose(text, file)
    if node is None:
        return Document(file, {}, {(): Mark(1)})
    reader = _Reader(environ)
    try:
        data = reader.value(node, (), Mark(1))
    except RecursionError:
        raise config_error(file, [_TOO_DEEP]) from None
    if not isinstance(data, dict):
        found = "a list" if isinstance(data, list) else "a single value"
        problem = Problem(
            1, f"the file holds {found} where keys are wanted", "Start its first line with a key."
        )
        raise config_error(file, [problem])
    return Document(file, cast("dict[str, Any]", data), reader.marks, tuple(reader.problems))


def _compose(text: str, file: str) -> yaml.Node | None:
    """The file's node tree. libyaml reads it quickly; the Python reader explains what libyaml refuses."""
    import yaml

    quick = getattr(yaml, "CSafeLoader", None)
    if quick is not None:
        try:
            if _depth(yaml.parse(text, Loader=quick)) > MAX_DEPTH:
                raise config_error(file, [_TOO_DEEP])
            return yaml.compose(text, Loader=quick)
        except (yaml.YAMLError, ValueError):
            pass
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = Problem(
            line, "there is a character that no text file holds", "Save the file as UTF-8 text."
        )
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(error, text)
    except RecursionError:
        problem = _TOO_DEEP
    raise config_error(file, [problem])


def _depth(events: Iterable[yaml.Event]) -> int:
    """How deep the values are nested; counting stops where `MAX_DEPTH` is passed."""
    import yaml

    depth = deepest = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    said = error.problem or "it can't be read"
    mark = error.problem_mark or error.context_mark
    if said.startswith("could not find expected ':'"):
        mark = error.context_mark or mark
        return Problem(_line(mark), "a `:` is missing after this", "Write `key: value`.")
    line = _line(mark)
    lines = text.splitlines()
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    if "'\\t'" in said or source[: len(source) - len(source.lstrip())].count("\t"):
        return Problem(line, "a tab is used for indentation", "Indent with spaces; YAML allows no tabs.")
    if said.startswith("found character") and "cannot start any token" in said:
        character = source[mark.column : mark.column + 1] if mark else ""
        what = f"text without quotes can't start with `{character}`"
        return Problem(line, what, 'Put it in quotes: "...".')
    if said.startswith("mapping values are not allowed"):
        return Problem(
            line, "a `:` is not expected here", "Check the indentation, or put text with `: ` in quotes."
        )
    if "${" in source:
        return Problem(line, f"this can't be read ({said})", 'Inside [ ] and { } write "${NAME}" in quotes.')
    if said.startswith("but found another document"):
        return Problem(line, "a second document starts here", "Remove the line `---`.")
    return Problem(line, f"this can't be read ({said})", "Check indentation, quotes and brackets around it.")


def _line(mark: yaml.Mark | None) -> int:
    return mark.line + 1 if mark else 1


class _Reader:
    """Turns a node tree into values, keeping marks and collecting problems."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.marks: dict[KeyPath, Mark] = {}
        self.problems: list[Problem] = []
        self._environ = environ
        self._open: set[int] = set()
        self._left = MAX_NODES

    def value(self, node: yaml.Node, path: KeyPath, mark: Mark) -> Any:
        """The value of a node; None where it is wrong."""
        import yaml

        self.marks[path] = mark
        self._left -= 1
        if self._left < 0 or id(node) in self._open:
            if self._left >= -1:
                self._problem(mark.line, path, "an alias expands without end", "Write the values out.")
            return None
        self._open.add(id(node))
        try:
            match node:
                case yaml.MappingNode(tag=tag) if tag == f"{_TAG}map":
                    return self._mapping(node, path)
                case yaml.SequenceNode(tag=tag) if tag == f"{_TAG}seq":
                    return [
                        self.value(item, (*path, position), Mark(_line(item.start_mark)))
                        for position, item in enumerate(node.value)
                    ]
                case yaml.ScalarNode():
                    self.marks[path] = Mark(mark.line, node.value)
                    return self._scalar(node, path, mark)
                case _:
                    return self._tag(node, path, mark)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node.start_mark)
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in found:
                first = self.marks[(*path, key)].line
                what = f"the key `{key}` is given twice, first on line {first}"
                self._problem(line, (*path, key), what, "Keep one of them.")
                continue
            found[key] = self.value(value_node, (*path, key), Mark(line))
        return found

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        import yaml

        line = _line(node.start_mark)
        if not isinstance(node, yaml.ScalarNode):
            self._problem(line, path, "a key is a list or a mapping", "Write a word as the key.")
            return None
        if node.tag == f"{_TAG}merge":
            self._problem(line, path, "merge keys (`<<`) are not supported", "Write the values out.")
            return None
        if node.tag != f"{_TAG}str":
            meaning = _meaning(node)
            what = f"the key `{node.value}` is read as {meaning}"
            self._problem(line, path, what, f'Write "{node.value}" in quotes.')
        return node.value

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath, mark: Mark) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() in _TRUE
            case "int" if _INTEGER.fullmatch(text):
                return int(text.replace("_", ""), 16 if text.startswith("0x") else 10)
            case "float" if ":" not in text:
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
            case "str" | "int" | "float" | "timestamp" | "value" | "merge":
                return self._text(text, path, _value_line(node, mark))
            case _:
                return self._tag(node, path, mark)

    def _text(self, text: str, path: KeyPath, line: int) -> str:
        try:
            result = substitute(text, self._environ)
        except MalformedSubstitution as error:
            self._problem(line, path, error.what, error.suggestion)
            return text
        for name in result.missing:
            what = f"the environment variable {name} is not set"
            suggestion = f"Set it, or give a default: `${{{name}:-default}}`."
            self.problems.append(Problem(line, what, suggestion, path, name))
        return result.text

    def _tag(self, node: yaml.Node, path: KeyPath, mark: Mark) -> None:
        self._problem(mark.line, path, f"the tag `{node.tag}` is not supported", "Remove it.")

    def _problem(self, line: int, path: KeyPath, what: str, suggestion: str) -> None:
        self.problems.append(Problem(line, what, suggestion, path))


def _value_line(node: yaml.ScalarNode, mark: Mark) -> int:
    """The line of a scalar itself: below its key when it is a block or stands on a line of its own."""
    return max(mark.line, _line(node.start_mark))


def _meaning(node: yaml.ScalarNode) -> str:
    match node.tag.removeprefix(_TAG):
        case "bool":
            return "true" if node.value.lower() in _TRUE else "false"
        case "null":
            return "nothing"
        case "timestamp":
            return "a date"
        case _:
            return "a number"
