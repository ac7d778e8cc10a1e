"""Start and end roles of parameters, and numbered siblings: from/to, source/target, side1/side2, a/b."""

from __future__ import annotations

from enum import Enum

from tool_router.args.slots import Slot

_STARTS = frozenset("from source start origin departure base begin beginning initial since src first".split())
_ENDS = frozenset("to target end destination arrival final until dest finish goal last".split())
_START_PREPOSITIONS = frozenset({"from", "since", "starting", "after"})
_END_PREPOSITIONS = frozenset({"to", "into", "until", "through", "before"})
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "one": 1, "two": 2, "three": 3,
    "from": 1, "start": 1, "source": 1, "origin": 1, "begin": 1, "initial": 1, "departure": 1, "base": 1,
    "min": 1,
    "to": 2, "end": 2, "target": 2, "destination": 2, "final": 2, "arrival": 2, "max": 2,
}  # fmt: skip
_PAIRED = frozenset({"lat", "lon", "latitude", "longitude", "lng"})


class Role(Enum):
    """Which end of a span from somewhere to somewhere a parameter is."""

    NONE = 0
    START = 1
    END = 2

    def judge(self, preposition: str, between: str) -> int:
        """1 when the preposition speaks for the role, -1 when for the other one, 0 when for neither."""
        starts = preposition in _START_PREPOSITIONS or between == "first"
        ends = preposition in _END_PREPOSITIONS or between == "second"
        if not starts and not ends:
            return 0
        return 1 if (self is Role.START) == starts else -1


def role_of(slot: Slot) -> Role:
    """The role a parameter's name gives it."""
    words = set(slot.words)
    if words & _STARTS and not words & _ENDS:
        return Role.START
    if words & _ENDS and not words & _STARTS:
        return Role.END
    return Role.NONE


def place_in_family(slot: Slot) -> tuple[str, int] | None:
    """(family, position) of a numbered sibling: side2 is ("side", 2), b is ("", 2); else None."""
    position = 0
    rest: list[str] = []
    for word in slot.words:
        if word.isdigit():
            position = int(word)
        elif word in _ORDINALS and not position:
            position = _ORDINALS[word]
        elif word in _PAIRED:
            position, word = (1 if word.startswith("lat") else 2), "coordinate"
            rest.append(word)
        elif len(word) == 1 and word.isalpha() and not position:
            position = ord(word) - ord("a") + 1
        else:
            rest.append(word)
    return ("_".join(rest), position) if position else None
