"""The description of ``execute_task``, written from the catalog.

It is all that a client's model knows of the tools behind the router: what it does not mention, the model
will not ask for. Pure, and stable: equal catalogs give equal texts, whatever the order of their tools.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tool_router.catalog.model import Catalog, Tool
from tool_router.catalog.untrusted import plain

LIMIT = 1200
"""Characters; about 300 tokens of English."""

_OPENING = (
    "Does one task with {tools} on {servers}: finds the right tool, fills its arguments, calls it. "
    "Use it for whatever these can do:"
)
_OPENING_EMPTY = (
    "Finds the right tool for one task, fills its arguments and calls it. No tool is known yet; try anyway."
)
_USE = (
    "`task`: one step in plain words, with every value it needs (names, paths, numbers, dates). "
    "`context`: what else is known. "
    "`tool`, `arguments`: the exact tool and values, only as `next_call` in an earlier answer gives them. "
    "When a tool, a value or a permission is uncertain nothing is called: the answer has `status`, "
    "`candidates`, `missing` and `next_call`; complete that and call again."
)
_SERVER_CHARS = 40
_PHRASE_CHARS = 40
_MOST_PHRASES = 8
_MOST_TOPICS = 24

_NAME_NOISE = frozenset({"mcp", "server"})
_CONNECTIVES = frozenset({"and", "for", "from", "into", "that", "the", "this", "using", "via", "with"})

_WORDS = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def describe(catalog: Catalog, *, limit: int = LIMIT) -> str:
    """Write the description, at most `limit` characters (at least 700, which the fixed part needs).

    Only tools that can be called now are mentioned. With few servers each is listed with what its tools do,
    in the words of their names; with more, fewer words for each; with very many, the things that most
    servers work with come before the names that still fit, then how many more there are.
    """
    servers = _by_server(catalog.tools)
    if not servers:
        return f"{_OPENING_EMPTY}\n{_USE}"
    opening = _OPENING.format(
        tools=_count(sum(map(len, servers.values())), "tool"), servers=_count(len(servers), "server")
    )
    room = limit - len(opening) - len(_USE) - 2
    return f"{opening}\n{_listing(servers, room)}\n{_USE}"


def _by_server(tools: Iterable[Tool]) -> dict[str, list[str]]:
    """Server name to the phrases of its callable tools; servers with the most tools first."""
    phrases: dict[str, set[str]] = {}
    for tool in tools:
        if tool.available:
            phrases.setdefault(tool.server, set()).add(_phrase(tool.name, tool.server))
    largest_first = sorted(phrases, key=lambda server: (-len(phrases[server]), server))
    return {server: sorted(phrases[server]) for server in largest_first}


def _shown(name: str) -> str:
    """A server's name without the words that most servers have in theirs."""
    shown = plain(name, 4 * _SERVER_CHARS)
    telling = " ".join(word for word in shown.split() if word.lower() not in _NAME_NOISE)
    return plain(telling or shown, _SERVER_CHARS) or "other"


def _phrase(name: str, server: str) -> str:
    """A tool's name in words, without its server's name in front: ``github_create_issue`` -> create issue."""
    words = _split(name)
    prefix = _split(server)
    if prefix and len(words) > len(prefix) and words[: len(prefix)] == prefix:
        words = words[len(prefix) :]
    return plain(" ".join(words), _PHRASE_CHARS)


def _split(identifier: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(_CAMEL.sub(" ", identifier[:200]))]


def _listing(servers: Mapping[str, Sequence[str]], room: int) -> str:
    for phrases in range(_MOST_PHRASES, 0, -1):
        text = "\n".join(_line(_shown(server), names, phrases) for server, names in servers.items())
        if len(text) <= room:
            return text
    return _summary(servers, room)


def _line(server: str, phrases: Sequence[str], shown: int) -> str:
    more = len(phrases) - shown
    text = f"- {server}: {', '.join(phrases[:shown])}"
    return f"{text}, {more} more" if more > 0 else text


def _summary(servers: Mapping[str, Sequence[str]], room: int) -> str:
    """The topics of all servers, then as many server names as fit."""
    topics = f"They work with: {', '.join(_topics(servers))}."
    if len(topics) > room // 2:
        topics = plain(topics, room // 2)
    room -= len(topics) + 1
    names = [_shown(server) for server in servers]
    shown = len(names)
    while shown > 0:
        more = len(names) - shown
        text = f"Servers: {', '.join(names[:shown])}" + (f" and {more} more." if more else ".")
        if len(text) <= room:
            return f"{topics}\n{text}"
        shown -= 1
    return topics


def _topics(servers: Mapping[str, Sequence[str]]) -> list[str]:
    """The words that most servers' tools have in their names, without those that name an action.

    A word is taken for an action when it opens a name at least as often as it stands elsewhere: that holds
    for "get" and "create" in any catalog, and needs no list of verbs.
    """
    openings: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    for phrases in servers.values():
        seen: set[str] = set()
        for phrase in phrases:
            first, *rest = phrase.split() or [""]
            openings[first] += 1
            elsewhere.update(rest)
            seen.update(rest)
        spread.update(seen)
    things = [
        word
        for word in spread
        if len(word) > 2
        and not word.isdigit()
        and word not in _CONNECTIVES
        and elsewhere[word] > openings[word]
        and not (word.endswith("s") and word[:-1] in spread)
    ]
    return sorted(things, key=lambda word: (-spread[word], word))[:_MOST_TOPICS]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
