"""Which kind of work a task is: coding, testing, files, the web, or what the catalog suggests. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from tool_router.catalog.model import Catalog
from tool_router.scoring.text import stem, terms
from tool_router.scoring.vocabulary import GENERIC_SERVER_TERMS

MAX_TERMS = 400

_CUES = {
    "coding": "code implement function class method script program api library compile typescript python",
    "refactoring": "refactor rename extract simplify restructure deduplicate cleanup inline modernize",
    "testing": "test unittest pytest coverage assert mock fixture e2e regression suite",
    "documentation": "document documentation docstring readme changelog manual guide comment wiki",
    "debugging": "debug bug error exception traceback stacktrace crash fix breakpoint failure log",
    "code review": "review diff pull request merge approve commit branch pr lint",
    "file": "file folder directory path rename copy move zip archive disk csv pdf",
    "web": "web page url website browser scrape crawl search http html navigate click",
    "data": "data database sql query table row column record chart spreadsheet dataset statistic index",
    "communication": "email mail message chat slack channel send reply notify meeting calendar contact sms",
}

CUES: Mapping[str, frozenset[str]] = {
    name: frozenset(stem(word) for word in words.split()) for name, words in _CUES.items()
}
"""For each category the stems that speak for it."""

LEAST_TOOLS = 3
"""A server with fewer tools suggests no category of its own."""


class CategoryDetector(Protocol):
    """Says which category a task belongs to."""

    def category(self, task: str) -> str:
        """The category, or an empty text when none stands out."""
        ...


class CueCategories:
    """Detects a category by the words that speak for it; each server of the catalog is one more category.

    Args:
        catalog: suggests categories: the names of its servers.
    """

    def __init__(self, catalog: Catalog | None = None) -> None:
        self._cues: dict[str, frozenset[str]] = dict(CUES)
        for server, count in Counter(tool.server for tool in (catalog.tools if catalog else ())).items():
            named = frozenset(terms(server)) - GENERIC_SERVER_TERMS
            if count >= LEAST_TOOLS and named and server not in self._cues:
                self._cues[server] = named
        self._by_term = _by_term(self._cues)

    def category(self, task: str) -> str:
        """The category with the most cues in the task; the one listed first where two have as many."""
        votes: Counter[str] = Counter()
        for term in set(terms(task)[:MAX_TERMS]):
            for name in self._by_term.get(term, ()):
                votes[name] += 1
        # A server counts only when its whole name is there: "file" alone does not mean the "file system".
        for name in list(votes):
            if name not in CUES and votes[name] < len(self._cues[name]):
                del votes[name]
        return max(votes, key=lambda name: votes[name]) if votes else ""


def _by_term(cues: Mapping[str, frozenset[str]]) -> dict[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name, words in cues.items():
        for word in words:
            found.setdefault(word, []).append(name)
    return {word: tuple(names) for word, names in found.items()}
