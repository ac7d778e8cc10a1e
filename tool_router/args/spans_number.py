"""Spans that are numbers: digits, exponents, money, percentages, ordinals, number words, with their units."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from tool_router.args.span import Kind, Span
from tool_router.args.words import Token, is_function_word

_NUMBER = re.compile(
    r"(?<![\w.^])(?<!\d,(?=\d{3}(?!\d)))(?<!\d[-–])(?P<cur>[$€£¥₹])?\s?(?P<sign>[-+−](?=[\d.$]))?(?P<cur2>\$)?"
    r"(?P<num>\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<exp>[eE][-+]?\d{1,3})?"
    r"(?P<tail>\s?(?:%|°\s?[CFK]?\b|º[CFK]?|percent\b)|[A-Za-zµμΩ]+(?:/[A-Za-z]+)?(?:\^?[-²³\d]+)?)?"
)
_UNIT_AFTER = re.compile(r"(?:-|\s)\s?((?:[A-Za-zµμΩ°]+)(?:/[A-Za-z]+)?(?:\^?[²³\d])?)")
_WHOLE_SCALE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "hundred": 100}
_SHORT_SCALE = {"k": 10**3, "mn": 10**6, "bn": 10**9}
_MONEY_SCALE = {"K": 10**3, "m": 10**6, "M": 10**6, "b": 10**9, "B": 10**9}
_MOST_DIGITS = 40
_ORDINAL = frozenset({"st", "nd", "rd", "th"})

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen""".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORD_VALUES = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS, 2)
}
_ORDINAL_WORDS = {
    word: value
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1
    )
}


def number_spans(text: str, words: tuple[Token, ...]) -> Iterator[Span]:
    """Every number of a text; those in a longer code ("A1B2", "2024-01-05") are left to other readers."""
    for match in _NUMBER.finditer(text):
        span = _read(text, match)
        if span is not None:
            yield span
    yield from _in_words(text, words)


def _read(text: str, match: re.Match[str]) -> Span | None:
    tail = (match["tail"] or "").strip()
    end = match.end("tail") if tail else match.end("exp") if match["exp"] else match.end("num")
    value = _value(match)
    if value is None or text[end : end + 1].isalnum() or text[end : end + 1] == "_":
        return None
    money = match["cur"] or match["cur2"] or ""
    unit, scale = money or tail, 1
    if tail in _ORDINAL:
        unit = "th"
    elif tail in _SHORT_SCALE or (money and tail in _MONEY_SCALE):
        scale, unit = _SHORT_SCALE.get(tail) or _MONEY_SCALE[tail], money
    elif not tail:
        unit, scale, end = _following(text, end, money)
    start = match.start() + len(match.group()) - len(match.group().lstrip())
    scaled = value * scale
    if isinstance(scaled, float) and scale > 1 and scaled.is_integer():
        scaled = int(scaled)
    unit = "%" if unit == "percent" else unit
    return Span(Kind.NUMBER, start, end, text[start:end], scaled, unit=unit.strip())


def _value(match: re.Match[str]) -> int | float | None:
    """The number itself; None when no machine number can hold it."""
    digits = match["num"].replace(",", "")
    if len(digits) > _MOST_DIGITS:
        return None
    whole = "." not in digits and not match["exp"]
    value: int | float = int(digits) if whole else float(digits + (match["exp"] or ""))
    if not math.isfinite(value):
        return None
    return -value if match["sign"] in ("-", "−") else value


def _following(text: str, end: int, money: str) -> tuple[str, int, int]:
    """(unit, scale, end) by the words after a bare number: "5 million dollars", "10 percent"."""
    scale, after = 1, _UNIT_AFTER.match(text, end)
    word = after[1].lower() if after else ""
    if after and word in _WHOLE_SCALE:
        scale, end = _WHOLE_SCALE[word], after.end(1)
        after = _UNIT_AFTER.match(text, end)
        word = after[1].lower() if after else ""
    if after and word == "percent":
        return "%", scale, after.end(1)
    if money or not word or is_function_word(word):
        return money, scale, end
    return word, scale, end


def _in_words(text: str, words: tuple[Token, ...]) -> Iterator[Span]:
    at = 0
    while at < len(words):
        low = words[at].text.lower()
        if low in _ORDINAL_WORDS and low != "second":
            yield Span(
                Kind.NUMBER, words[at].start, words[at].end, words[at].text, _ORDINAL_WORDS[low], unit="th"
            )
            at += 1
            continue
        value, used = _spoken(words, at)
        if used == 0:
            at += 1
            continue
        last = words[at + used - 1]
        after = words[at + used] if at + used < len(words) else None
        unit = ""
        if after is not None and after.is_word and not is_function_word(after.text):
            unit = after.text.lower()
        yield Span(Kind.NUMBER, words[at].start, last.end, text[words[at].start : last.end], value, unit=unit)
        at += used


def _spoken(words: tuple[Token, ...], at: int) -> tuple[int, int]:
    """The value of the number words that begin at `at`, and how many words they are (0: none)."""
    total = current = used = 0
    index = at
    while index < len(words):
        low = words[index].text.lower()
        if low in _WORD_VALUES:
            current += _WORD_VALUES[low]
        elif low == "dozen":
            current = max(current, 1) * 12
        elif low in _WHOLE_SCALE and used:
            if low == "hundred":
                current = max(current, 1) * 100
            else:
                total, current = total + max(current, 1) * _WHOLE_SCALE[low], 0
        elif not (used and low in ("-", "and") and _continues(words, index + 1) and current >= 20):
            break
        index += 1
        used = index - at
    return total + current, used


def _continues(words: tuple[Token, ...], index: int) -> bool:
    return index < len(words) and words[index].text.lower() in _WORD_VALUES
