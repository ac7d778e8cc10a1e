"""Spans that are code: fenced blocks, SQL statements, glob patterns and mathematical expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tool_router.args.span import Kind, Span

_FENCED = re.compile(r"```[\w+-]*\n?(.+?)```", re.DOTALL)
_SQL = re.compile(
    r"\b(?:SELECT\b[^;`]{1,2000}?\bFROM\b|INSERT\s+INTO\b|UPDATE\s+\S{1,80}\s+SET\b|DELETE\s+FROM\b"
    r"|CREATE\s+TABLE\b|ALTER\s+TABLE\b|DROP\s+TABLE\b)[^;`]{0,2000};?",
    re.IGNORECASE,
)
_GLOB = re.compile(r"[\w.~/*?{},-]{2,200}")
_WORD = re.compile(r"\S+")
_OPERAND = re.compile(r"[-+(]{0,3}[A-Za-z0-9_.()^*/+-]{1,40}")
_OPERATORS = frozenset({"+", "-", "*", "/", "^", "**", "="})
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
    for match in _WORD.finditer(text):
        word = match.group().strip("\"'`“”(),;:")
        if "*" in word[:200] and _is_glob(word):
            start = match.start() + match.group().index(word)
            yield Span(Kind.CODE, start, start + len(word), word, word)
    for start, end in _mathematical(text):
        piece = text[start:end]
        if _is_expression(piece):
            yield Span(Kind.CODE, start, end, piece, piece)


def _is_glob(word: str) -> bool:
    return (
        _GLOB.fullmatch(word) is not None
        and any(char.isalpha() for char in word)
        and ("*." in word or "/" in word or ".*" in word or word.endswith("*") or word.startswith("*"))
    )


def _mathematical(text: str) -> Iterator[tuple[int, int]]:
    """Stretches of operands with operators between them: "3x^2 + 2x - 1"."""
    run: list[tuple[int, int]] = []
    operator = False
    for match in _WORD.finditer(text):
        word = match.group().rstrip(".,;:?!")
        span = (match.start(), match.start() + len(word))
        is_operator = word in _OPERATORS
        operand = not is_operator and _OPERAND.fullmatch(word) is not None and _plain_letters(word)
        if (is_operator and run) or (operand and (operator or not run)):
            run.append(span)
            operator = is_operator
        else:
            yield from _closed(run, operator=operator)
            run, operator = ([span], False) if operand else ([], False)
        if len(word) < len(match.group()):
            yield from _closed(run, operator=operator)
            run, operator = [], False
    yield from _closed(run, operator=operator)


def _closed(run: list[tuple[int, int]], *, operator: bool) -> Iterator[tuple[int, int]]:
    kept = run[:-1] if operator else run
    if kept:
        yield kept[0][0], kept[-1][1]


def _plain_letters(word: str) -> bool:
    return all(letters in _FUNCTIONS for letters in _LETTERS.findall(word))


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
