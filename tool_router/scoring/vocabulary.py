"""What is known of English in general: words that say little, and verbs that mean nearly the same."""

from __future__ import annotations

from collections.abc import Mapping

from tool_router.scoring.text import stem

FUNCTION_TERMS = frozenset(
    stem(word)
    for word in """
    a about all also am an and any are as at be been but by can could did do does for from had has have
    he her his how i if in into is it its just let like may me might my need no not of on or our out
    please she should so some than that the their them then there these they this those to too up us
    use using want was we were what when where which who whose why will with would you your
    """.split()
)
"""Words that carry grammar, not a subject."""

GENERIC_SERVER_TERMS = frozenset(
    stem(word) for word in "mcp server servers api the for and a tool tools".split()
)
"""Words of a server's name that name no server."""

_CLASSES = (
    "get fetch retrieve obtain read show view",
    "list enumerate show browse",
    "find search lookup query locate discover",
    "create add make new generate insert",
    "delete remove erase drop clear",
    "update modify edit change set",
    "send post publish submit deliver",
    "run execute start launch trigger",
    "stop cancel end terminate halt",
    "calculate compute evaluate determine",
    "convert transform translate",
    "analyze inspect examine check review",
    "upload import",
    "download export save",
    "merge combine join",
    "image picture photo screenshot",
    "directory folder",
    "remember store memorize",
)


def _siblings() -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for members in _CLASSES:
        stems = {stem(word) for word in members.split()}
        for word in stems:
            found.setdefault(word, set()).update(stems - {word})
    return {word: tuple(sorted(others)) for word, others in found.items()}


VERB_CLASSES: Mapping[str, tuple[str, ...]] = _siblings()
"""For each stem those that mean nearly the same in the names of tools."""

_ACTIONS = (
    """
    get fetch retrieve obtain read show view list enumerate browse find search lookup query locate discover
    check inspect describe see look know tell display load provide give interest access determine what who
    when where which whose how identify analyze review explore examine summarize calculate compute evaluate
    """,
    """
    create add make new generate insert post publish send write register book buy reserve purchase order
    store save upload append build schedule plan
    """,
    """
    update modify edit change set rename move replace assign mark complete convert resize transform merge
    toggle enable disable format
    """,
    "delete remove erase drop clear cancel stop terminate archive unregister uninstall close",
    "execute run start launch trigger play open navigate click press",
)

ACTIONS: Mapping[str, int] = {
    stem(word): kind for kind, said in enumerate(_ACTIONS, 1) for word in said.split()
}
"""For the stem of a verb, or of a word that asks, its kind: 1 reads, creates, changes, deletes, 5 runs."""
