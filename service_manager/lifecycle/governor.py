"""Watches the machine and its services, and acts by policy: who sleeps, who stops, who wakes ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import anyio
import structlog

from service_manager.enforce.watching import WATCHED, Watched
from service_manager.errors import SleepFailed
from service_manager.lifecycle.gate import Gate
from service_manager.lifecycle.readings import Meter
from service_manager.lifecycle.runner import Runner
from service_manager.model import State
from service_manager.policy.habits import Habits
from service_manager.policy.order import relief, to_fit
from service_manager.policy.pressure import Pressure
from service_manager.policy.rules import Level, ResourceRules
from service_manager.resources import ResourceUse

AHEAD_INTERVAL_S = 60.0
"""How often is looked for services that are usually used soon."""


class Governor:
    """Applies the policy to the services of one manager.

    Args:
        runners: all services.
        gate: where starts wait for room.
        rules: the limits as they are now.
        habits: when services are used.
        clock: monotonic seconds.
        now: the local time.

    Attributes:
        level: how hard-pressed the machine is.
    """

    def __init__(
        self,
        runners: Callable[[], Iterable[Runner]],
        gate: Gate,
        rules: Callable[[], ResourceRules],
        habits: Habits,
        clock: Callable[[], float],
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._runners = runners
        self._gate = gate
        self._rules = rules
        self._habits = habits
        self._clock = clock
        self._now = now
        self._meter = Meter(clock)
        self._pressure = Pressure(since=clock())
        self._watched: dict[str, Watched] = {}
        self._asked_at: datetime | None = None
        self._log = structlog.get_logger()

    @property
    def level(self) -> Level:
        """How hard-pressed the machine is."""
        return self._pressure.level

    @property
    def pressure(self) -> Pressure:
        """The same, with its reason and since when."""
        return self._pressure

    async def run(self) -> None:
        """Read and act until cancelled; nothing is read while no service has a process."""
        ahead_at = self._clock()
        while True:
            if any(runner.alive for runner in self._runners()):
                await self.look()
            if self._clock() >= ahead_at:
                ahead_at = self._clock() + AHEAD_INTERVAL_S
                self._wake_ahead()
            await anyio.sleep(self._rules().pressure.interval_s)

    async def look(self) -> None:
        """Read the machine and the services once, and act on it."""
        readings = await self._meter.read()
        before, self._pressure = (
            self._pressure,
            self._pressure.after(readings, self._clock(), self._rules().pressure),
        )
        if self._pressure.level is not before.level:
            self._log.info("pressure_changed", level=self.level.word, reason=self._pressure.reason)
            for runner in self._runners():
                runner.reconsider()
        uses = await self._uses()
        self._gate.held = sum(use.memory.held for use in uses.values())
        await self._relieve(uses)
        await self._hold_to_limits(uses)
        self._gate.notify()

    async def _uses(self) -> Mapping[str, ResourceUse]:
        uses = {runner.spec.name: await runner.resources() for runner in self._runners()}
        return {name: use for name, use in uses.items() if use is not None}

    async def _relieve(self, uses: Mapping[str, ResourceUse]) -> None:
        now = self._clock()
        candidates = self._gate.candidates()
        wanted = relief(self.level, self._pressure.readings, candidates, now, self._rules())
        self._gate.refused = wanted.refuse
        asleep = wanted.sleep
        if self._gate.memory is not None:
            held = {name: use.memory.held for name, use in uses.items()}
            asleep = (*asleep, *to_fit(self._gate.memory, held, candidates, now, self._rules()))
        runners = {runner.spec.name: runner for runner in self._runners()}
        for name in wanted.stop:
            self._log.warning("service_stopped_for_memory", service=name, reason=self._pressure.reason)
            await runners[name].stop()
        for name in dict.fromkeys(asleep):
            try:
                await runners[name].sleep(hurried=True)
            except SleepFailed as error:
                self._log.debug("service_not_put_to_sleep", service=name, error=str(error))

    async def _hold_to_limits(self, uses: Mapping[str, ResourceUse]) -> None:
        """Stop what goes beyond limits that nothing else holds it to."""
        for runner in self._runners():
            name = runner.spec.name
            enforced = runner.enforced
            use = uses.get(name)
            if use is None or not any(WATCHED in by for by in enforced.values()):
                self._watched.pop(name, None)
                continue
            seen = self._watched.get(name, Watched())
            self._watched[name], why = seen.after(use, self._clock(), runner.limits, enforced)
            if why:
                await runner.break_off(why)

    def _wake_ahead(self) -> None:
        now = self._now()
        runners = {runner.spec.name: runner for runner in self._runners()}

        def asleep(name: str) -> bool:
            return name in runners and runners[name].state is State.SLEEPING

        try:
            due = self._habits.due(now, self._rules().predictive_wake, asleep, self._asked_at)
        finally:
            self._asked_at = now
        for name in due[: self._gate.spare(self.level)]:
            self._log.info("service_woken_ahead", service=name)
            runners[name].expect()
