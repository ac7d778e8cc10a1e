"""Keys, rankings and a tier for the tests of the decision cache."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.cache.decision import DecisionKey
from tool_router.catalog.model import Catalog
from tool_router.scoring.ranking import Candidate, Ranking, Rung

CATALOG = a_catalog(*(a_tool(f"tool{number}") for number in range(12)))


def a_key(task: str = "read a file", catalog: Catalog = CATALOG) -> DecisionKey:
    return DecisionKey(task=task, catalog=catalog.fingerprint)


def a_ranking(first: int = 0, catalog: Catalog = CATALOG) -> Ranking:
    tools = catalog.tools[first : first + 10]
    candidates = tuple(
        Candidate(tool, 1 / (place + 1.1), 0.1 * place, None if place % 2 else 0.3, -0.2, judged=None)
        for place, tool in enumerate(tools)
    )
    return Ranking(candidates, Rung.EMBED, "the judge was not needed", 0.83, 0.04)


class Computing:
    """Computes one ranking, counts how often, and can be held."""

    def __init__(self, ranking: Ranking | None = None, *, keep: bool = True, held: bool = False) -> None:
        self.ranking = ranking or a_ranking()
        self.keep = keep
        self.times = 0
        self.entered = anyio.Event()
        self.release = anyio.Event()
        if not held:
            self.release.set()

    async def __call__(self) -> tuple[Ranking, bool]:
        self.times += 1
        self.entered.set()
        await self.release.wait()
        return self.ranking, self.keep


async def refused() -> tuple[Ranking, bool]:
    raise AssertionError("nothing should have been computed")


class DictTier:
    """A slower tier that keeps everything, unless it fails; a lookup can be held."""

    def __init__(self, name: str = "store", *, held: bool = False) -> None:
        self.name = name
        self.kept: dict[str, bytes] = {}
        self.failing = False
        self.failures = 0
        self.closed = False
        self.cancelled = False
        self.release = anyio.Event()
        if not held:
            self.release.set()

    async def get(self, key: str) -> bytes | None:
        try:
            await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        if self.failing:
            self.failures += 1
            return None
        return self.kept.get(key)

    async def put(self, entries: Mapping[str, bytes]) -> None:
        if self.failing:
            self.failures += 1
            return
        self.kept.update(entries)

    async def aclose(self) -> None:
        self.closed = True
