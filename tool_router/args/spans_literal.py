"""Spans that are recognised by their punctuation: quotes, URLs, addresses, paths, identifiers, brackets.

Every pattern is linear in the text: quotes and brackets are matched in one pass, not by backtracking.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from tool_router.args.span import Coverage, Kind, Span

_QUOTES = {
    '"': '"”“', "“": '”"“', "„": '“”"', "«": "»", "‘": "’'", "'": "'’", "`": "`´",
    "「": "」", "『": "』", "《": "》",
}  # fmt: skip
_SINGLE = frozenset("'‘")
_TRAILING = ".,;:!?"
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")

_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.URL, re.compile(r"\b(?:https?|ftp|wss?|file|s3|gs|git|ssh)://[^\s<>\"'`“”«»]+", re.IGNORECASE)),
    (Kind.EMAIL, re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")),
    (
        Kind.URL,
        re.compile(
            r"(?<![\w@./-])(?:www\.[\w-]+|[a-z0-9-]{2,63}(?:\.[a-z0-9-]{2,63}){0,3})"
            r"\.(?:com|org|net|io|dev|edu|gov|ai|app|info)\b(?:/[^\s<>\"'`]*)?",
        ),
    ),
    (
        Kind.PATH,
        re.compile(
            r"(?<![\w./:])(?:~|\.{1,2})?/[\w.+@~-]+(?:/[\w.+@~-]*)*|(?<!\w)~(?=\s|$)|(?<!\w)\./"
        ),
    ),
    (Kind.PATH, re.compile(r"\b[A-Za-z]:[\\/][^\s\"'`<>|]+")),
    (Kind.PATH, re.compile(r"(?<![\w./])(?:[\w.+@-]+/){2,}[\w.+@-]*")),
    (
        Kind.PATH,
        re.compile(
            r"(?<![\w./])(?:[\w+@-]+/)*[\w+@-]*[A-Za-z_][\w+@-]*(?:\.[\w-]+)*\.[A-Za-z][A-Za-z0-9]{1,4}\b"
        ),
    ),
    (Kind.IDENTIFIER, re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+|/\d+)?\b")),
    (
        Kind.IDENTIFIER,
        re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"),
    ),
    (Kind.IDENTIFIER, re.compile(r"(?<![\w.])v?\d+\.\d+\.\d+(?:[-+][\w.]+)?\b")),
    (Kind.IDENTIFIER, re.compile(r"(?<![\w.])\+\d[\d ()-]{7,16}\d|\b\d{3}-\d{3}-\d{4}\b")),
    (Kind.IDENTIFIER, re.compile(r"(?<![\w&])[#@][A-Za-z_][\w-]*|(?<![\w&])#[0-9a-fA-F]{6}\b")),
    (Kind.REPO, re.compile(r"(?<![\w./@-])[A-Za-z][\w-]{1,38}/[A-Za-z][\w.-]{1,99}(?<![.])(?![\w/])")),
)  # fmt: skip
_ALNUM_CODE = re.compile(r"(?<![\w.])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*(?!\w)")
_NUMBER_UNIT = re.compile(
    r"\d+(?:[a-zA-Z]{1,4}|-[a-z]+(?:-[a-z]+)*|[eE]-?\d+)|\d+(?:-\d+)*|[xX]\d|\d+[dD]\d+"
)
_LONGEST = 300
_UNBROKEN = re.compile(rf"\S{{{_LONGEST},}}")
_MOST = 64
"""Matches of one pattern that are kept; a task that names more of them is data."""
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_MAX_DEPTH = 40


def literal_spans(text: str) -> Iterator[Span]:
    """Quotes first, then brackets, then everything with a telling shape; later ones never overlap quotes."""
    quoted = list(_quoted(text))
    yield from quoted
    taken = Coverage(len(text), ((span.start, span.end) for span in quoted))
    yield from _bracketed(text)
    yield from _shaped(text, taken)


def _shaped(original: str, taken: Coverage) -> Iterator[Span]:
    """What the patterns find; a run of more than `_LONGEST` characters without space is no path or name."""
    text = _UNBROKEN.sub(
        lambda run: run.group() if "://" in run.group()[:12] else " " * len(run.group()), original
    )
    for kind, pattern in _PATTERNS:
        for match in islice(pattern.finditer(text), _MOST):
            start, end = match.start(), match.end()
            while end > start + 1 and text[end - 1] in _TRAILING + ")'":
                if text[end - 1] == ")" and text.count("(", start, end) >= text.count(")", start, end):
                    break
                end -= 1
            if taken.touches(start, end):
                continue
            taken.add(start, end)
            yield Span(kind, start, end, text[start:end], text[start:end])
            if kind is Kind.REPO:
                middle = text.index("/", start)
                yield Span(kind, start, middle, text[start:middle], text[start:middle], unit="owner")
                yield Span(kind, middle + 1, end, text[middle + 1 : end], text[middle + 1 : end], unit="name")
    for match in islice(_ALNUM_CODE.finditer(text), 4 * _MOST):
        if _is_code(match.group()) and not taken.touches(match.start(), match.end()):
            yield Span(Kind.IDENTIFIER, match.start(), match.end(), match.group(), match.group())


def _is_code(word: str) -> bool:
    """Letters mixed with digits, snake_case or camelCase: a name that somebody gave, not a word."""
    if _NUMBER_UNIT.fullmatch(word):
        return False
    has_digit = any(char.isdigit() for char in word)
    has_letter = any(char.isalpha() for char in word)
    if has_digit and has_letter:
        return True
    if "_" in word and has_letter:
        return True
    body = word.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return has_letter and "-" not in word and 1 < len(body) < len(word) + 1 and any(c.isupper() for c in body)


def _quoted(text: str) -> Iterator[Span]:
    at, size = 0, len(text)
    missing: set[str] = set()
    while at < size:
        mark = text[at]
        closing = _QUOTES.get(mark)
        if closing is None or (mark in "\"'`" and at and _glued(text[at - 1])):
            at += 1
            continue
        end = -1 if mark in missing else _closing(text, at + 1, closing, single=mark in _SINGLE)
        if end < 0:
            missing.add(mark)
            if mark not in '"“«„':
                at += 1
                continue
            stop = _SENTENCE_END.search(text, at + 1)
            end = len(text.rstrip()) if stop is None else stop.end()
        inner = text[at + 1 : end]
        if len(inner) > 0.9 * len(text.strip()) - 4 and inner.count(" ") > 3 and text.strip()[0] == mark:
            at += 1
            continue
        value = _trimmed(inner, closed=end < size and text[end : end + 1] in closing)
        if value:
            start = at + 1 + inner.index(value)
            yield Span(Kind.QUOTED, start, start + len(value), value, value)
        at = end + 1


def _glued(char: str) -> bool:
    """Whether a quote beside this character is an apostrophe; scripts without spaces quote inside a run."""
    return char.isalnum() and char < "\u2e80"


def _closing(text: str, at: int, closing: str, *, single: bool) -> int:
    for index in range(at, len(text)):
        if text[index] not in closing:
            continue
        after = text[index + 1 : index + 2]
        if single and after and _glued(after):
            continue
        return index
    return -1


def _trimmed(inner: str, *, closed: bool) -> str:
    """A quotation without outer space; a word or an unclosed title also without the sentence's full stop."""
    value = inner.strip()
    if " " not in value and len(value) > 1:
        value = value.rstrip(".,;:?") or value
    if not closed and all(word[0].isupper() for word in value.split() if len(word) > 3):
        value = value.rstrip(".,;:?")
    return value.rstrip(",;")


def _bracketed(text: str) -> Iterator[Span]:
    """The outermost bracketed stretches that read as JSON, a Python literal or a plain list of words."""
    stack: list[int] = []
    found: list[tuple[int, int]] = []
    for index, char in enumerate(text):
        if char in "([{":
            stack.append(index)
        elif char in ")]}" and stack:
            start = stack.pop()
            if _BRACKETS[text[start]] == char:
                found.append((start, index + 1))
    last_start = len(text)
    outer: list[tuple[int, int]] = []
    for start, end in sorted(found, key=lambda pair: pair[1], reverse=True):
        if start < last_start:
            value = _parse(text[start:end])
            if value is not None:
                outer.append((start, end))
                last_start = start
    for start, end in sorted(outer):
        piece = text[start:end]
        yield Span(Kind.JSON, start, end, piece, _parse(piece))


def _parse(piece: str) -> Any:
    """The list or object a bracketed piece denotes; None when it denotes neither."""
    if len(piece) > 20_000 or _depth(piece) > _MAX_DEPTH:
        return None
    try:
        value: Any = json.loads(piece)
    except ValueError:
        try:
            value = ast.literal_eval(piece)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return _plain_list(piece)
    if isinstance(value, tuple | list):
        plain: list[Any] = json.loads(json.dumps(value, default=str))
        return plain or None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _depth(piece: str) -> int:
    deepest = depth = 0
    for char in piece:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest


def _plain_list(piece: str) -> list[str] | None:
    """``[a, b c, d]``: bare words between square brackets."""
    if piece[0] != "[" or any(char in piece[1:-1] for char in "[]{}()"):
        return None
    items = [item.strip().strip("\"'") for item in piece[1:-1].split(",")]
    return items if all(items) else None
