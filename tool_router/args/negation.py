"""Whether the text denies what it mentions: "without tolls", "I don't need the list of tools"."""

from __future__ import annotations

from tool_router.args.spans import Reading

_NEGATIONS = frozenset(
    """no not without exclude excluding excludes excluded disable disabled skip skipping never omit
    omitting except don't doesn't isn't aren't can't won't avoid nor neither hide""".split()
)
_REACH = 7
"""Words back from a mention within which a negation of the same clause denies it."""


def is_denied(reading: Reading, index: int) -> bool:
    """Whether a negation stands before the word at `index`, in its clause."""
    for at in range(index - 1, max(index - 1 - _REACH, -1), -1):
        low = reading.words[at].text.lower().replace("’", "'")
        if low in ".;?!,":
            return False
        if low in _NEGATIONS:
            return True
    return False
