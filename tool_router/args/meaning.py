"""What a parameter means, judged by its name, format and description: a place, a moment, free text, ...

The vocabulary is the ordinary one of API parameters; the head of the name (its last word) decides before the
rest of it, and the description only decides when the name says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any


class Meaning(StrEnum):
    """The kinds of meaning the binder tells apart; OTHER is everything else."""

    PLACE = "place"
    PERSON = "person"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    DURATION = "duration"
    YEAR = "year"
    ZONE = "zone"
    URL = "url"
    PATH = "path"
    EMAIL = "email"
    IDENTIFIER = "identifier"
    REPO_OWNER = "repo_owner"
    REPO_NAME = "repo_name"
    TEXT = "text"
    QUERY = "query"
    LANGUAGE = "language"
    CURRENCY = "currency"
    UNIT = "unit"
    CODE = "code"
    COUNT = "count"
    OTHER = "other"


_HEADS: Mapping[str, Meaning] = {
    word: meaning
    for meaning, words in {
        Meaning.PLACE: "location place city country state region area address destination origin town county "
        "province district village venue neighborhood airport station locale",
        Meaning.PERSON: "person author artist director actor composer scientist politician player athlete "
        "musician president username recipient assignee painter philosopher celebrity",
        Meaning.DATE: "date day birthday dob deadline",
        Meaning.TIME: "time hour",
        Meaning.DATETIME: "datetime timestamp",
        Meaning.DURATION: "duration",
        Meaning.YEAR: "year",
        Meaning.ZONE: "timezone tz",
        Meaning.URL: "url uri link website webpage endpoint homepage href",
        Meaning.PATH: "path file filepath directory dir folder filename",
        Meaning.EMAIL: "email mail",
        Meaning.IDENTIFIER: "id uuid guid identifier number code key isbn sku ticker symbol vin",
        Meaning.TEXT: "message text content body comment note prompt question sentence input statement "
        "description caption paragraph thought observation",
        Meaning.QUERY: "query q search",
        Meaning.LANGUAGE: "language lang",
        Meaning.CURRENCY: "currency",
        Meaning.UNIT: "unit units",
        Meaning.CODE: "expression function formula equation sql command cmd script regex pattern",
        Meaning.COUNT: "count limit amount quantity size total max min num n",
    }.items()
    for word in words.split()
}
_FORMATS: Mapping[str, Meaning] = {
    "date": Meaning.DATE,
    "date-time": Meaning.DATETIME,
    "time": Meaning.TIME,
    "duration": Meaning.DURATION,
    "email": Meaning.EMAIL,
    "uri": Meaning.URL,
    "url": Meaning.URL,
    "uri-reference": Meaning.URL,
    "uuid": Meaning.IDENTIFIER,
}
_ZONE = re.compile(r"\btime ?zones?\b|\bIANA\b", re.IGNORECASE)
_CALENDAR = re.compile(
    r"\b[YD]{1,4}[-/.]M{1,4}|\bM{1,2}[-/.]D{1,2}[-/.]Y|\byyyy-mm|\bdd[/-]mm|\bmm[/-]dd", re.IGNORECASE
)
_EMAIL = re.compile(
    r"^(?:the |an? )?(?:\w+'?s? )?e-?mail(?: address)?\b(?! (?:body|subject|content|text))", re.IGNORECASE
)
_CLOCK = re.compile(r"\bHH:MM|\b24-hour\b", re.IGNORECASE)
_STARTS = {
    Meaning.DATE: re.compile(r"^(?:the |a |an )?(?:\w+ ){0,2}date\b", re.IGNORECASE),
    Meaning.PLACE: re.compile(
        r"^(?:the |a |an )?(?:name of (?:the |a )?)?(?:\w+ )?(?:city|location|place|country|state|address)\b",
        re.IGNORECASE,
    ),
    Meaning.PERSON: re.compile(
        r"^(?:the |a )?(?:full )?name of (?:the |a )?(?:\w+ )?(?:person|author|artist|player|actor)\b",
        re.IGNORECASE,
    ),
}
_STRINGY = frozenset(
    {
        Meaning.PLACE, Meaning.PERSON, Meaning.LANGUAGE, Meaning.CURRENCY, Meaning.ZONE, Meaning.TEXT,
        Meaning.QUERY, Meaning.URL, Meaning.PATH, Meaning.EMAIL,
    }
)  # fmt: skip
_NAMEABLE = frozenset({Meaning.PLACE, Meaning.PERSON, Meaning.PATH})
_SQL = re.compile(r"\bSQL\b")
_STATEMENTS = (["query"], ["statement"], ["command"])
_OWNERS = (["owner"], ["repo", "owner"], ["org"])
_REPOSITORIES = (["repo"], ["repository"], ["repo", "name"], ["repository", "name"])


def _plural(word: str) -> Meaning | None:
    """The meaning of a plural's singular; several years are a length of time, not a year."""
    meaning = _HEADS.get(word.removesuffix("s"))
    return None if meaning in (Meaning.YEAR, Meaning.DATE, Meaning.TIME) else meaning


def meaning_of(
    words: Sequence[str], description: str, schema: Mapping[str, Any], types: frozenset[str]
) -> Meaning:
    """The meaning of a parameter.

    Args:
        words: its name, split into lower-case words.
        description: its description, possibly empty.
        schema: its JSON Schema.
        types: the JSON types it accepts.
    """
    declared = schema.get("format")
    if isinstance(declared, str) and declared in _FORMATS:
        return _FORMATS[declared]
    core = [word for word in words if not word.isdigit()]
    numeric = bool(types & {"integer", "number"}) and "string" not in types
    return (
        _special(core, description, numeric=numeric)
        or _by_name(core, description, numeric=numeric, numbered=len(core) < len(words))
        or (None if numeric else _by_description(description))
        or Meaning.OTHER
    )


def _special(core: list[str], description: str, *, numeric: bool) -> Meaning | None:
    """Meanings that a whole name tells, or a word that only one thing has in its description."""
    if numeric:
        return None
    zoned = "timezone" in "".join(core) or core[-1:] in (["zone"], ["tz"])
    if zoned or (core[-1:] != ["time"] and _ZONE.search(description) and "IANA" in description):
        return Meaning.ZONE
    if "sql" in core or (core[-1:] in _STATEMENTS and _SQL.search(description)):
        return Meaning.CODE
    if "email" in core or _EMAIL.search(description):
        return Meaning.EMAIL
    if core in _OWNERS:
        return Meaning.REPO_OWNER
    return Meaning.REPO_NAME if core in _REPOSITORIES else None


def _by_name(core: list[str], description: str, *, numeric: bool, numbered: bool) -> Meaning | None:
    """The meaning of the name's last word, or of the one before "name"."""
    if not core:
        return None
    head = _HEADS.get(core[-1]) or _plural(core[-1])
    if head in (Meaning.DATE, Meaning.TIME) and not numeric and _CALENDAR.search(description):
        both = _CLOCK.search(description) is not None
        return Meaning.DATETIME if both else Meaning.DATE
    if head is None and len(core) > 1 and core[-1] == "name":
        head = _HEADS.get(core[-2])
        if head not in _NAMEABLE:
            return None
    if (numeric and head in _STRINGY) or (numbered and head is Meaning.TEXT):
        return None
    return head


def _by_description(description: str) -> Meaning | None:
    """The meaning of a layout the description shows, or of the noun it begins with."""
    if _CALENDAR.search(description):
        return Meaning.DATETIME if _CLOCK.search(description) else Meaning.DATE
    if _CLOCK.search(description):
        return Meaning.TIME
    return next((meaning for meaning, pattern in _STARTS.items() if pattern.search(description)), None)
