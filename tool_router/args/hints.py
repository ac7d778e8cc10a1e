"""What a parameter's description says about its values: examples, alternatives, a default, a unit, a format.

Descriptions are prose; these patterns read the few ways in which people write such things down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_EXAMPLES = re.compile(
    r"(?:\be\.?g\.?|\bfor (?:example|instance)|\bsuch as|\bexamples? ?:|\bi\.e\.|\bincluding|\blike)[,:]?\s*"
    r"(?P<list>[^.;)\]]*(?:\.(?!\s|$|\))[^.;)\]]*)*)",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"(?<!\w)['\"‘“`]([^'\"’”`]{1,60})['\"’”`](?!\w)")
_LABELLED = re.compile(
    r"(?:['\"‘“`](?P<quoted>[^'\"’”`]{1,40})['\"’”`]|\b(?P<number>\d{1,6}))\s*"
    r"(?:for|represents?|means|=|:|corresponds? to|is|-|to)\s+(?:an?\s|the\s)?(?P<label>[\w][\w '-]{1,60}?)"
    r"(?=\s*(?:[,.;)(]|\bor\b|\band\b|$))",
    re.IGNORECASE,
)
_DEFAULT = re.compile(
    r"\bdefault(?:s|ed|ing)?(?:\s+(?:value|unit|is|to|of|it))*\s*(?:is|to|=|:|as)?\s*"
    r"(?:set to\s*)?(?:['\"‘“`](?P<quoted>[^'\"’”`]{0,60})['\"’”`]|(?P<bare>-?[\w%/+.-]*[\w%]))",
    re.IGNORECASE,
)
_UNIT_IN = re.compile(
    r"\b(?:in|of|per|as)\s+(?:the\s+)?(?P<unit>(?:square |cubic |nautical |degrees? )?"
    r"[A-Za-zµ°]+(?:/[A-Za-z]+(?:\^?[²³\d])?)?(?: per [a-z]+(?: squared?)?)?)",
    re.IGNORECASE,
)
_UNIT_IN_PARENS = re.compile(r"\((?:in\s+)?(?P<unit>[A-Za-z°µ/%^0-9]{1,14})\)")
_DATE_FORMAT = re.compile(
    r"\b(?:Y{2,4}|M{2,4}|D{2})(?:[-/. ,]{1,2}(?:Y{2,4}|M{2,4}|D{2})){2}(?:[ T]'?T?'?HH:MM(?::SS)?Z?)?",
    re.IGNORECASE,
)
_PAIR_FORMAT = re.compile(
    r"['\"(:]\s?[A-Z][\w.]*(?: [A-Z][\w.]*)*, ?[A-Z][\w.]*"
    r"|\be\.g\.,? [A-Z]\w+(?: [A-Z]\w+)*, [A-Z]{2}\b|[Cc]ity and state"
)
_NOT_EXAMPLES = frozenset({"etc", "and so on", "or", "and", "true", "false"})


@dataclass(frozen=True, slots=True)
class Hints:
    """What the description says.

    Attributes:
        examples: values it gives as examples, as written.
        named: values it puts in quotes, examples included.
        labelled: (value, label) pairs, as in ``'c' for Celsius`` or ``2 represents an ironing service``.
        default: the default it states in prose; empty without one.
        units: the words after "in", "per" and in parentheses that may be a unit.
        pair: whether it shows values of the form "City, State".
        date_format: a ``DD/MM/YYYY`` it asks for, upper case; empty without one.
    """

    examples: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    labelled: tuple[tuple[Any, str], ...] = ()
    default: str = ""
    units: tuple[str, ...] = ()
    date_format: str = ""
    pair: bool = False


def read_hints(description: str) -> Hints:
    """Read a description; at most its first 1,200 characters, the rest is rarely about one value."""
    text = description[:1_200]
    if not text:
        return Hints()
    examples: list[str] = []
    for match in _EXAMPLES.finditer(text):
        examples.extend(_listed(match["list"]))
    default = _DEFAULT.search(text)
    stated = (
        "" if default is None else (default["quoted"] if default["quoted"] is not None else default["bare"])
    )
    labelled = tuple(
        (match["quoted"] if match["quoted"] is not None else int(match["number"]), match["label"].strip())
        for match in _LABELLED.finditer(text)
    )
    units = [match["unit"].lower() for match in _UNIT_IN.finditer(text)]
    units.extend(match["unit"] for match in _UNIT_IN_PARENS.finditer(text))
    layout = _DATE_FORMAT.search(text)
    return Hints(
        tuple(dict.fromkeys(examples)),
        tuple(dict.fromkeys(match[1].strip() for match in _QUOTE.finditer(text) if match[1].strip())),
        labelled,
        stated or "",
        tuple(dict.fromkeys(units)),
        layout.group().upper() if layout else "",
        _PAIR_FORMAT.search(text) is not None,
    )


def _listed(text: str) -> list[str]:
    """The members of "a, b, or c"; long ones are sentences, not examples."""
    if "'" in text or '"' in text or "`" in text:
        quoted = [match[1].strip() for match in _QUOTE.finditer(text)]
        if quoted:
            return quoted
    parts = re.split(r",\s*(?:and\s|or\s)?|\s+or\s+|\s+and\s+", text)
    cleaned = (part.strip(" \t\"'.()[]") for part in parts)
    return [part for part in cleaned if part and len(part) <= 40 and part.lower() not in _NOT_EXAMPLES]
