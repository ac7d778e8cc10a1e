"""Spans that are code: fenced blocks, SQL statements, glob patterns and mathematical expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tool_router.args.span import Kind, Span

_FENCED = re.compile(r"```[\w+-]*\n?(.+?)```", re.S)
_SQL = re.compile(
    r"\b(?:SELECT\b[^;`]{1,2000}?\bFROM\b|INSERT\s+INTO\b|UPDATE\s+\S{1,80}\s+SET\b|DELETE\s+FROM\b"
    r"|CREATE\s+TABLE\b|ALTER\s+TABLE\b|DROP\s+TABLE\b)[^;`]{0,2000};?",
    re.I,
)
_GLOB = re.compile(r"(?<![\w*])(?:[\w.~/-]*\*+[\w.*/?-]*\.?[\w*]+|[\w./-]+/\*+|\*\.\w+)(?![\w*])")
_EXPRESSION = re.compile(
    r"(?<![\w.$@/])[-+(]?[\w.()^*]{1,40}(?:\s{0,2}[-+*/^=]{1,2}\s{0,2}[\w.()^*]{1,40}){0,30}(?![\w@/])"
)
_OPERATOR = re.compile(r"\w\s?[-+*/^]\s?\w|\^|\*\*")
_LETTERS = re.compile(r"[A-Za-z_]{2,}")
_FUNCTIONS = frozenset("sin cos tan log ln exp sqrt abs pi asin acos atan sinh cosh tanh".split())


def code_spans(text: str) -> Iterator[Span]:
    """Code, by its syntax alone; an expression has an operator and no word but a function's name."""
    for match in _FENCED.finditer(text):
        body = match[1].strip()
        if body:
            yield Span(Kind.CODE, match.start(1), match.end(1), match[1], body)
    for match in _SQL.finditer(text):
        piece = match.group().rstrip()
        yield Span(Kind.CODE, match.start(), match.start() + len(piece), piece, piece)
    for match in _GLOB.finditer(text):
        if any(char.isalnum() for char in match.group()):
            yield Span(Kind.CODE, *match.span(), match.group(), match.group())
    for match in _EXPRESSION.finditer(text):
        piece = match.group().rstrip(" .=")
        if _is_expression(piece):
            yield Span(Kind.CODE, match.start(), match.start() + len(piece), piece, piece)


def _is_expression(piece: str) -> bool:
    letters = _LETTERS.findall(piece)
    has_variable = any(char.isalpha() for char in piece)
    return (
        has_variable
        and _OPERATOR.search(piece) is not None
        and all(word in _FUNCTIONS for word in letters)
        and any(char in piece for char in "^*+/-")
        and (any(char.isdigit() for char in piece) or bool(letters) or " " in piece)
        and not re.fullmatch(r"\d+-[A-Za-z]|[A-Za-z]-\d+", piece)
    )
