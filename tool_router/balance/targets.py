"""Targets while a router runs: their connections are held, their health is watched, they come and go."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from tool_router.balance.admission import Admission
from tool_router.balance.breaker import State, Transition
from tool_router.balance.health import HealthChecker, HealthReport, HealthSettings
from tool_router.balance.hosting import Hosting
from tool_router.balance.member import Member
from tool_router.balance.outcome import CallKeys
from tool_router.balance.pool import Pool
from tool_router.balance.target_state import TargetSpec
from tool_router.errors import GatewayBusy
from tool_router.gateway.protocol import Gateway, Health, Probed
from tool_router.tasks import plain_task_group

CHECK_S = 10.0
"""How long a target may take to say how it is when a person asks."""

_KEY = "target:"


class Targets:
    """The targets of a pool.

    What breakers and health checks find goes into the pool: a target that fails is called only when every
    other one is out of use as well. Where health is watched, only a good check brings it back, so that no
    person's call is spent on a probe.

    Args:
        pool: the targets.
        admission: their breakers.
        health: how they are watched; None watches none, and a breaker's own probes bring a target back.
    """

    def __init__(
        self, pool: Pool[Gateway], admission: Admission, health: HealthSettings | None = None
    ) -> None:
        self._pool = pool
        self._admission = admission
        self._hosting = Hosting()
        self._checker = HealthChecker(health, self._changed) if health is not None else None
        admission.listen(self._moved)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold the connections of every target, of those added later too, and watch their health."""
        async with self._hosting.open():
            for member in self._pool.members():
                await self._hosting.add(member.name, member.target)
                self._watch(member)
            if self._checker is None:
                yield
                return
            async with plain_task_group() as tasks:
                tasks.start_soon(self._checker.run)
                yield
                tasks.cancel_scope.cancel()

    async def add(self, spec: TargetSpec, gateway: Gateway) -> Member[Gateway]:
        """Register a target, or change the specification of the one of that name."""
        known = any(member.name == spec.name for member in self._pool.members())
        if not known:
            await self._hosting.add(spec.name, gateway)
        member = self._pool.add(spec, gateway)
        if not known:
            self._watch(member)
        return member

    def remove(self, name: str) -> None:
        """Take a target out; its connections are closed when its last call is through."""
        member = self._pool.remove(name)
        if member is None:
            return
        if self._checker is not None:
            self._checker.remove(name)
        self._hosting.remove(name, lambda: self._pool.emptied(member))

    def heard(self, name: str) -> None:
        """Note that a call of a target succeeded: it need not be asked how it is."""
        if self._checker is not None:
            self._checker.heard(name)

    async def check(self, member: Member[Gateway], limit_s: float = CHECK_S) -> Health:
        """Ask a target how it is, whatever its breaker says, unless it asked to be left alone."""
        rest_s = self._admission.rest_s(CallKeys.of(member.name).by_scope["target"])
        if rest_s > 0:
            return Health(
                False,
                f"{member.name} answered 429: too many requests.",
                f"Nothing is sent for another {rest_s:.0f} s, lest it locks this address out.",
            )
        with anyio.move_on_after(limit_s):
            return await member.target.check()
        return Health(
            False, f"{member.name} did not answer in time.", "See whether it is overloaded or frozen."
        )

    def _watch(self, member: Member[Gateway]) -> None:
        if self._checker is None:
            return

        async def check() -> Health | None:
            if self._admission.rest_s(CallKeys.of(member.name).by_scope["target"]) > 0:
                # It is alive, and asked for silence: that says nothing about its health.
                return None
            if not isinstance(member.target, Probed):
                return await member.target.check()
            try:
                return await member.target.probe()
            except GatewayBusy as busy:
                self._admission.rest(CallKeys.of(member.name).by_scope["target"], busy.retry_after_s)
                raise

        self._checker.add(member.name, check)

    def _changed(self, report: HealthReport) -> None:
        if report.healthy:
            self._pool.working(report.name)
        else:
            self._pool.failing(report.name, report.reason)

    def _moved(self, key: str, transition: Transition) -> None:
        """Follow a target's breaker."""
        name = key.rpartition("@")[2]
        if self._checker is not None and transition.after is State.OPEN and name != key:
            # A tool or a service failed at this target: is it the target? Known before the breaker's probe.
            self._checker.hurry(name)
        if key.startswith(_KEY):
            name = key.removeprefix(_KEY)
            if transition.after is State.OPEN and self._checker is not None:
                self._checker.assume(name, healthy=False)
                self._pool.failing(name, "its breaker opened")
            elif transition.after is State.CLOSED:
                if self._checker is not None:
                    self._checker.assume(name, healthy=True)
                self._pool.working(name)
        self._pool.review()
