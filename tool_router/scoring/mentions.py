"""What a task spells of a tool's own name and of its server's, on top of the words they share. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tool_router.catalog.model import Tool
from tool_router.scoring.text import forms, terms
from tool_router.scoring.vocabulary import FUNCTION_TERMS, GENERIC_SERVER_TERMS

Floats = NDArray[np.float32]
Shares = Mapping[str, tuple[NDArray[np.int32], Floats]]

NAME_BONUS = 0.056
"""Added where the task spells a tool's name of at least two words."""
NAME_COVERAGE = 0.128
"""Added in proportion to how much of a tool's name the task speaks of."""
NAME_FORMS = 0.08
"""Added in proportion to the words of the task that stand in the name letter for letter: urls is not url."""
SERVER_BONUS = 0.092
"""Added where the task spells the tool's server."""
SERVER_COVERAGE = 0.05
"""Added in proportion to how much of the server's name the task speaks of."""

MAX_RUN = 6
"""Longer names are recognised by their words alone."""


@dataclass(frozen=True, eq=False)
class Mentions:
    """Where the names of tools and servers are found in a task.

    Attributes:
        names: positions of the tools with a name of two words or more, by its terms.
        servers: positions of a server's tools, by the terms of its name.
        name_shares: for each term the tools with it in their name, and its share of that name's weight.
        server_shares: the same for names of servers.
        name_forms: for each word, as written, the tools with it in their name, and how telling it is.
    """

    names: Mapping[tuple[str, ...], NDArray[np.int32]]
    servers: Mapping[tuple[str, ...], NDArray[np.int32]]
    name_shares: Shares
    server_shares: Shares
    name_forms: Mapping[str, tuple[NDArray[np.int32], float]]

    @classmethod
    def build(cls, tools: Sequence[Tool], idf: Mapping[str, float]) -> Mentions:
        """Read the names of the tools and of their servers; `idf` knows every term in them."""
        names = [terms(tool.name) for tool in tools]
        servers = [_server_terms(tool.server) for tool in tools]
        return cls(
            _positions(names, least=2),
            _positions(servers, least=1),
            _shares(names, idf),
            _shares(servers, idf),
            _forms([tool.name for tool in tools]),
        )

    def add(self, task: str, asked: Mapping[str, float], whole: float, totals: Floats) -> None:
        """Add what is spelled to the scores.

        Args:
            task: the task without its values, in which forms are looked up.
            asked: the weight of each term that is asked for.
            whole: the weight of the task's terms, each by how telling it is.
            totals: one score for each tool, changed in place.
        """
        for term, weight in asked.items():
            for shares, bonus in ((self.name_shares, NAME_COVERAGE), (self.server_shares, SERVER_COVERAGE)):
                if (found := shares.get(term)) is not None:
                    totals[found[0]] += bonus * weight * found[1]
        for form in set(forms(task)):
            if (named := self.name_forms.get(form)) is not None:
                totals[named[0]] += NAME_FORMS * named[1] / max(whole, 1.0)

    def spelled(self, asked: Sequence[str]) -> Iterator[tuple[NDArray[np.int32], float]]:
        """The tools whose whole name or server the terms of a task spell, with the bonus; each name once."""
        lengths = range(1, MAX_RUN + 1)
        runs = {tuple(asked[start : start + n]) for n in lengths for start in range(len(asked) - n + 1)}
        for run in runs:
            if (found := self.names.get(run)) is not None:
                yield found, NAME_BONUS
            if (found := self.servers.get(run)) is not None:
                yield found, SERVER_BONUS


def _server_terms(server: str) -> list[str]:
    return [term for term in terms(server) if term not in GENERIC_SERVER_TERMS]


def _shares(names: Sequence[Sequence[str]], idf: Mapping[str, float]) -> Shares:
    found: dict[str, list[tuple[int, float]]] = {}
    for position, name in enumerate(names):
        telling = {term: idf[term] for term in name}
        whole = sum(telling.values())
        for term, weight in telling.items():
            found.setdefault(term, []).append((position, weight / whole))
    return {
        term: (np.array([row[0] for row in rows], np.int32), np.array([row[1] for row in rows], np.float32))
        for term, rows in found.items()
    }


def _forms(names: Sequence[str]) -> dict[str, tuple[NDArray[np.int32], float]]:
    counted = Counter((form, position) for position, name in enumerate(names) for form in forms(name))
    found: dict[str, list[int]] = {}
    for form, position in counted:
        if form not in FUNCTION_TERMS:
            found.setdefault(form, []).append(position)
    size = len(names)
    return {
        form: (np.array(rows, np.int32), float(np.log1p((size - len(rows) + 0.5) / (len(rows) + 0.5))))
        for form, rows in found.items()
    }


def _positions(keys: Sequence[Sequence[str]], least: int) -> dict[tuple[str, ...], NDArray[np.int32]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for position, key in enumerate(keys):
        if len(key) >= least:
            found.setdefault(tuple(key), []).append(position)
    return {key: np.array(positions, np.int32) for key, positions in found.items()}
