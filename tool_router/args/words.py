"""Words of a text with their offsets, identifiers split into words, and a light English stem.

The stem only has to make a schema's words and a task's words meet ("rating" and "ratings", "include" and
"including"); it is a few suffix rules, not a linguistic stemmer, because it runs on every word of every
schema on the request path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(r"[^\W\d_]+(?:['’](?!s\b)[^\W\d_]+)?|\d+|['’]s\b|[^\w\s]")
_IDENTIFIER_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")

FUNCTION_WORDS = frozenset(
    """a an the this that these those any some each every all both either of in on at by for to from with
    without into onto over under about between among near around through during before after until
    since within via per as than then and or but nor if when while where which who whom whose what
    why how is are was were be been being am do does did done have has had having can could will
    would shall should may might must i you he she it we they me him her us them my your his its our
    their mine yours there here please also just only very so not no yes let like want need know
    give tell show 's using use used given specified following called named titled starting ending""".split()
)
"""Words that carry no subject of their own, so they never make a value and never count as a match."""


COMMAND_WORDS = frozenset(
    """find get give tell show provide retrieve calculate compute determine list search look check help
    please thanks make create generate fetch return display bring inform request choose select pick
    book order play convert translate send write read open close add remove delete update set change
    compare analyze analyse identify estimate predict plot draw solve evaluate measure track
    schedule reserve buy sell download upload run execute start stop enroll register describe
    explain summarize include exclude use apply filter sort count locate view visit call perform
    assess examine report submit save store load insert test train classify detect extract design
    build plan recommend suggest share print post publish rename move copy remind remember turn
    enable disable ask see let discover obtain""".split()
)
"""Verbs that open a command; capitalised at the start of a sentence they are no part of a name."""


_GLUED = ("name", "path")
"""Words that are often written onto the one before: username, filepath."""


def is_function_word(word: str) -> bool:
    """Whether a word carries no subject of its own; a contraction ("I'd", "don't") counts by its head."""
    low = word.lower().replace("’", "'")
    if low in FUNCTION_WORDS:
        return True
    head, mark, _ = low.partition("'")
    return bool(mark) and (head in FUNCTION_WORDS or head in _CONTRACTED)


_CONTRACTED = frozenset(
    "don doesn didn can won isn aren wasn weren couldn wouldn shouldn haven hasn ain".split()
)
_LONGEST = 40
_DOUBLED = re.compile(r"([bdgklmnprt])\1$")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a number or one punctuation mark of a text.

    Attributes:
        text: as written.
        stem: its comparable form; punctuation is its own stem.
        start: offset of the first character.
        end: offset after the last character.
    """

    text: str
    stem: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        """Whether it starts with a letter or a digit."""
        return self.text[0].isalnum()


def tokens(text: str) -> tuple[Token, ...]:
    """Split a text into words, digit runs and punctuation marks, in order."""
    return tuple(
        Token(match.group(), stem(match.group()), match.start(), match.end())
        for match in _TOKEN.finditer(text)
    )


def split_identifier(name: str) -> tuple[str, ...]:
    """The lower-case words of an identifier: ``userId2`` and ``user_id_2`` both give user, id, 2."""
    words: list[str] = []
    for part in _IDENTIFIER_PART.findall(name):
        low = part.lower()
        tail = next((tail for tail in _GLUED if low.endswith(tail) and len(low) > len(tail) + 2), "")
        words.extend((low[: -len(tail)], tail) if tail else (low,))
    return tuple(words)


def stem(word: str) -> str:
    """A comparable form of one word: lower case, without the commonest English endings."""
    return _stemmed(word) if len(word) <= _LONGEST else word.lower()


@lru_cache(maxsize=4096)
def _stemmed(word: str) -> str:
    """`stem` of a word of ordinary length; remembered, because schemas and tasks share a small vocabulary."""
    low = word.lower()
    if len(low) <= 3 or not low.isalpha():
        return low
    if low.endswith("ies"):
        return low[:-3] + "y" if len(low) > 4 else low[:-1]
    if low.endswith(("sses", "xes", "ches", "shes")):
        low = low[:-2]
    elif low.endswith("s") and not low.endswith(("ss", "us", "is")):
        low = low[:-1]
    for suffix, least in (("ing", 6), ("ed", 5)):
        if low.endswith(suffix) and len(low) >= least:
            low = _DOUBLED.sub(r"\1", low[: -len(suffix)])
            break
    return low[:-1] if low.endswith("e") and len(low) > 3 else low


def content_stems(text: str) -> frozenset[str]:
    """Stems of the words of a text that carry meaning (no function words, no punctuation)."""
    return frozenset(
        token.stem for token in tokens(text) if token.is_word and not is_function_word(token.text)
    )
