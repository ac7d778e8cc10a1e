"""Words of a text as index terms: split, folded, stemmed.

Identifiers are split at case, digits and punctuation, and a name that was split only at case or digits also
gives its joined form (``GitHub`` is ``git``, ``hub`` and ``github``). Latin accents are folded. English and
Russian words are reduced by the Snowball stemmers; Chinese, Japanese and Korean runs, which have no spaces,
become overlapping pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from snowballstemmer.english_stemmer import EnglishStemmer
from snowballstemmer.russian_stemmer import RussianStemmer

MAX_TASK_CHARS = 20_000
"""How much of a task or a context is ranked by; what follows is a pasted document more often than a wish."""
MAX_WORD = 40
"""Longer runs of letters are base64, hashes and the like; they are cut here."""

_WORD = re.compile(r"[^\W_]+")
_ASCII_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CYRILLIC = re.compile(r"[\u0400-\u052f]")
_VALUE = re.compile(
    r"\"[^\"\n]{1,300}\"|(?<!\w)'[^'\n]{1,300}'(?!\w)|`[^`\n]{1,300}`|\b[a-z]+://\S+|(?:~|\.{0,2})/[\w./-]+"
    # The lookbehind lets a run of such characters be tried once, not once from each of them.
    r"|(?<![\w.+-])[\w.+-]+@[\w.-]+"
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af]+")


def terms(text: str) -> list[str]:
    """Index terms of a text, in its order; a joined form follows the parts it joins."""
    found: list[str] = []
    for word in words(text):
        found.extend(terms_of_word(word))
    return found


def without_values(text: str) -> str:
    """A text without what stands in quotes, addresses and paths: values more often than what it is about."""
    return _VALUE.sub(" ", text)


def forms(text: str) -> list[str]:
    """The words of a text as they are written, in lower case, identifiers split; not stemmed."""
    return [part for word in words(text) for part in split_word(word[:MAX_WORD])]


def words(text: str) -> list[str]:
    """Runs of letters and digits, accents folded, case kept."""
    return _WORD.findall(text if text.isascii() else fold(text))


@lru_cache(maxsize=1 << 15)
def terms_of_word(word: str) -> tuple[str, ...]:
    """Index terms of one run of letters and digits."""
    parts = split_word(word[:MAX_WORD])
    if len(parts) == 1:
        return (stem(parts[0]),)
    split = tuple(stem(part) for part in parts)
    return split if _UNSPACED.search(word) else (*split, stem(word[:MAX_WORD].lower()))


def split_word(word: str) -> list[str]:
    """Split a run of letters and digits at case and digits, in lower case; CJK runs into pairs."""
    if word.isascii():
        return [part.lower() for part in _ASCII_PART.findall(word)] or [word.lower()]
    parts: list[str] = []
    start = 0
    for match in _UNSPACED.finditer(word):
        parts.extend(_split_cased(word[start : match.start()]))
        parts.extend(_pairs(match.group()))
        start = match.end()
    return parts + _split_cased(word[start:])


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _split_cased(word: str) -> list[str]:
    """Split at lower-to-upper and letter-to-digit boundaries in any script."""
    parts: list[str] = []
    start = 0
    for i in range(1, len(word)):
        before, here = word[i - 1], word[i]
        if here.isdecimal() != before.isdecimal() or (before.islower() and here.isupper()):
            parts.append(word[start:i].lower())
            start = i
    return [*parts, word[start:].lower()] if word else parts


def fold(text: str) -> str:
    """Compatibility forms unified, accents of Latin and Greek letters dropped, Cyrillic й and ё kept."""
    unified = unicodedata.normalize("NFKC", text)
    return unified.translate({ord(char): _without_accents(char) for char in set(unified) if _is_folded(char)})


def _is_folded(char: str) -> bool:
    return "\u00c0" <= char < "\u2000" and not _CYRILLIC.match(char)


def _without_accents(char: str) -> str:
    decomposed = unicodedata.normalize("NFD", char)
    return "".join(part for part in decomposed if not unicodedata.combining(part)) or char


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The Snowball stem of a lower-case word (a fresh stemmer each time: one instance is not thread-safe)."""
    if word.isdecimal() or len(word) <= 2:
        return word
    if word.isascii():
        return EnglishStemmer().stemWord(word)
    return RussianStemmer().stemWord(word) if _CYRILLIC.search(word) else word
