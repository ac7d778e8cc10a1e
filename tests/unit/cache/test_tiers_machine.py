"""Any order of requests, losses, expiry and failing tiers, against a model of what each tier must hold."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.cache.samples import CATALOG, Computing, a_key, a_ranking
from tests.unit.catalog.samples import a_catalog
from tool_router.cache.decision import DecisionCache
from tool_router.cache.tier import MemoryTier
from tool_router.catalog.model import Catalog

MEMORY_S, REDIS_S = 300.0, 900.0
CATALOGS = (CATALOG, a_catalog(*CATALOG.tools[:11]))
TASKS = ("read a file", "write a file", "send a mail")


class ExpiringTier:
    """A slower tier by the machine's clock, that can fail."""

    def __init__(self, name: str, ttl_s: float, machine: Tiers) -> None:
        self.name = name
        self.failing = False
        self.failures = 0
        self.kept: dict[str, tuple[float, bytes]] = {}
        self._ttl_s = ttl_s
        self._machine = machine

    async def get(self, key: str) -> bytes | None:
        until, blob = self.kept.get(key, (0.0, None))
        return blob if not self.failing and self._machine.now < until else None

    async def put(self, entries: Mapping[str, bytes]) -> None:
        if not self.failing:
            for key, blob in entries.items():
                self.kept[key] = (self._machine.now + self._ttl_s, blob)

    async def aclose(self) -> None:
        """Nothing to close."""


class Tiers(RuleBasedStateMachine):
    """The model: for each tier the keys it holds and until when; what is kept never changes its value."""

    portal: BlockingPortal

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.stack = ExitStack()
        self.lower = {
            "redis": ExpiringTier("redis", REDIS_S, self),
            "store": ExpiringTier("store", 1e9, self),
        }
        self.memory: dict[str, float] = {}
        self.held: dict[str, dict[str, float]] = {"redis": {}, "store": {}}
        self.pending: dict[str, set[str]] = {"redis": set(), "store": set()}
        self.asked = 0
        self.answered = 0

    @initialize()
    def open(self) -> None:
        self.portal = self.stack.enter_context(start_blocking_portal())
        self.start()

    def start(self) -> None:
        memory = MemoryTier(MEMORY_S, clock=lambda: self.now)
        self.cache = DecisionCache(memory, list(self.lower.values()), lookup_s=60)

    def expected(self, digest: str) -> set[str]:
        """The tiers that may answer; empty when nothing is kept anywhere."""
        if self.memory.get(digest, 0.0) > self.now:
            return {"memory"}
        return {
            name
            for name, held in self.held.items()
            if held.get(digest, 0.0) > self.now and not self.lower[name].failing
        }

    @rule(task=st.sampled_from(TASKS), catalog=st.sampled_from(CATALOGS), fallback=st.booleans())
    def request(self, task: str, catalog: Catalog, fallback: bool) -> None:
        key = a_key(task, catalog)
        right = a_ranking(TASKS.index(task) % 2, catalog)
        compute = Computing(right, keep=not fallback)
        expected = self.expected(key.digest)
        found = self.portal.call(self.cache.rank, key, catalog, compute)
        self.asked += 1
        assert replace(found, elapsed_ms=0.0, cached="") == right
        assert compute.times == (0 if expected else 1)
        assert found.cached in (expected or {""})
        if found.cached:
            self.answered += 1
        if found.cached == "memory" or (fallback and not expected):
            return
        self.memory[key.digest] = self.now + MEMORY_S
        above = {"redis": (), "store": ("redis",), "": ("redis", "store")}[found.cached]
        for name in above:
            self.pending[name].add(key.digest)

    @rule()
    def write(self) -> None:
        self.portal.call(self.cache.flush)
        for name, tier in self.lower.items():
            if not tier.failing:
                ttl_s = REDIS_S if name == "redis" else 1e9
                self.held[name].update(dict.fromkeys(self.pending[name], self.now + ttl_s))
            self.pending[name] = set()

    @rule(seconds=st.sampled_from([1.0, MEMORY_S, REDIS_S]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(["redis", "store"]), failing=st.booleans())
    def fail(self, name: str, failing: bool) -> None:
        self.lower[name].failing = failing

    @rule()
    def restart(self) -> None:
        """Memory and what was not written are gone."""
        self.memory = {}
        self.pending = {"redis": set(), "store": set()}
        self.asked = self.answered = 0
        self.start()

    @rule()
    def lose_redis(self) -> None:
        self.lower["redis"].kept.clear()
        self.held["redis"].clear()

    @invariant()
    def every_tier_holds_what_the_model_says(self) -> None:
        for name, tier in self.lower.items():
            now = {key for key, (until, _) in tier.kept.items() if until > self.now}
            assert now == {key for key, until in self.held[name].items() if until > self.now}

    @invariant()
    def requests_and_hits_are_counted(self) -> None:
        if hasattr(self, "cache"):
            stats = self.cache.stats()
            assert (stats.requests, stats.answered) == (self.asked, self.answered)

    def teardown(self) -> None:
        self.stack.close()


Tiers.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestTiers = Tiers.TestCase
