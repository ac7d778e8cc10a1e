"""Boolean parameters: a flag is set when the text speaks of what it is about, cleared when it denies it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tool_router.args.negation import is_denied
from tool_router.args.slots import Slot
from tool_router.args.spans import Reading
from tool_router.args.words import stem

_EMPTY = frozenset(
    stem(word)
    for word in """is are has have can should include includes including included allow allows allowed enable
    enabled disable disabled use used with show return get only flag not no whether be do
    does need needs want option consider display""".split()
)
_WORDS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean read from a text; `share` is how much of the parameter's name was spoken, 0 to 1."""

    value: bool
    share: float
    start: int
    end: int
    evidence: str


def is_flag(slot: Slot) -> bool:
    """Whether a parameter is true or false, in JSON or in words."""
    if slot.enum:
        return bool(_spellings(slot))
    return bool(slot.types) and slot.types <= {"boolean", "null"}


def written(value: bool, slot: Slot) -> Any:
    """The flag as the parameter spells it: ``True``, or an enum's "True" or "yes"."""
    return _spellings(slot)[value] if slot.enum else value


def _spellings(slot: Slot) -> dict[bool, Any]:
    """The enum's members for true and false; empty unless it has both and nothing else but a "don't care"."""
    found = {_WORDS[str(member).lower()]: member for member in slot.enum if str(member).lower() in _WORDS}
    return found if len(found) == 2 and len(slot.enum) <= 3 else {}


def read_flags(slots: Sequence[Slot], reading: Reading, tool_stems: frozenset[str]) -> dict[str, Flag]:
    """The flags a text sets or clears, by parameter name.

    A word that speaks of several flags without naming one of them whole ("cleaning" for ``cleans_home`` and
    ``cleans_office``) sets none.
    """
    found = {slot.name: one for slot in slots if is_flag(slot) and (one := flag(slot, reading, tool_stems))}
    spoken = Counter(one.start for one in found.values() if one.share < 1)
    return {name: one for name, one in found.items() if one.share == 1 or spoken[one.start] == 1}


def flag(slot: Slot, reading: Reading, tool_stems: frozenset[str]) -> Flag | None:
    """The value a text gives a boolean parameter; None when it does not speak of it.

    At least half of the words of its name must be spoken, and unless all are, one that the tool does not
    use of itself anyway.
    """
    subject = {word for word in slot.stems if word not in _EMPTY and not word.isdigit() and len(word) > 1}
    if not subject:
        return None
    hits = [index for index, word in enumerate(reading.words) if word.is_word and _meets(word.stem, subject)]
    if not hits:
        return None
    spoken = {match for index in hits for match in subject if _meets(reading.words[index].stem, {match})}
    first = reading.words[hits[0]]
    denied = is_denied(reading, hits[0])
    if len(spoken) * 2 < len(subject) or (len(spoken) < len(subject) and spoken <= tool_stems):
        return None
    return Flag(not denied, len(spoken) / len(subject), first.start, first.end, first.text)


def _meets(word: str, subject: set[str]) -> bool:
    return word in subject or any(
        len(word) >= 5 and len(other) >= 5 and (word.startswith(other[:5]) and other.startswith(word[:5]))
        for other in subject
    )
