"""Reads what services use, every so often, and keeps what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import anyio
import structlog

from service_manager.errors import ServiceManagerError
from service_manager.model import State
from service_manager.monitor.anomaly import Metric, Rule
from service_manager.monitor.anomaly import rules as metric_rules
from service_manager.monitor.baseline import weight_of
from service_manager.monitor.history import History
from service_manager.monitor.machine import MachineUse, load, processors, read_machine
from service_manager.monitor.rates import Meter, Reading
from service_manager.monitor.sample import Sample
from service_manager.monitor.snapshot import ServiceUse, Snapshot
from service_manager.monitor.tracker import Anomaly, Tracker, watched
from service_manager.policy.rules import MonitorRules
from service_manager.resources import ResourceUse
from service_manager.status import ServiceStatus

INTERVAL_S = 30.0
"""How often services are read; one reading of twenty takes a few milliseconds."""


class Watched(Protocol):
    """What the monitor needs of the manager."""

    def status(self) -> tuple[ServiceStatus, ...]:
        """Every service as it is now."""
        ...

    async def usage(self) -> Mapping[str, ResourceUse]:
        """What each service that has processes uses; never wakes one."""
        ...


class Monitor:
    """Reads every service and the machine, learns what is usual, tells what is not, keeps a history.

    Args:
        manager: whose services.
        history: keeps the samples; the monitor closes it when `run` ends.
        interval_s: seconds between readings.
        metrics: when a metric is not usual.
        clock: monotonic seconds, for rates.
        wall: Unix time, for display and the history; it may jump.
        machine: reads the machine, given monotonic seconds.
        on_anomaly: told of each anomaly when it begins.
    """

    def __init__(
        self,
        manager: Watched,
        history: History,
        *,
        interval_s: float = INTERVAL_S,
        metrics: Mapping[Metric, Rule] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        machine: Callable[[float], MachineUse] = read_machine,
        on_anomaly: Callable[[Anomaly], None] = lambda anomaly: None,
    ) -> None:
        self._manager = manager
        self._history = history
        self._interval_s = interval_s
        self._clock = clock
        self._wall = wall
        self._machine = machine
        self._on_anomaly = on_anomaly
        self._tracker = Tracker(metrics or metric_rules(), weight_of(interval_s), self._began, self._ended)
        self._meter = Meter(processors())
        self._looks = Meter(processors())
        self._machine_before: MachineUse | None = None
        self._machine_looked: MachineUse | None = None
        self._awake: frozenset[str] = frozenset()
        self._snapshot = Snapshot(None, interval_s)
        self._looked_at: float | None = None
        self._look = self._snapshot
        self._reading = anyio.Lock()
        self._adjusted = anyio.Event()
        self._failing = False
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                await self.read()
                with anyio.move_on_after(self._interval_s):
                    await self._adjusted.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._history.aclose()

    def adjust(self, rules: MonitorRules) -> None:
        """Measure by other rules from now on; what was learned and kept stays."""
        self._interval_s = rules.interval_s
        self._tracker.adjust(metric_rules(sigmas=rules.anomaly_factor), weight_of(rules.interval_s))
        self._history.kept_s = rules.history_s
        adjusted, self._adjusted = self._adjusted, anyio.Event()
        adjusted.set()

    async def read(self) -> Snapshot:
        """Take one reading: learn from it, keep it, and return what is known now."""
        async with self._reading:
            taken = await self._take(self._meter, self._machine_before)
            if taken is None:
                return self._snapshot
            snapshot, self._machine_before = taken
            wall = self._wall()
            self._learn(snapshot.services, wall)
            self._snapshot = self._told(snapshot, wall)
            self._look, self._looked_at = self._snapshot, self._machine_before.at
            await self._history.add(self._snapshot.samples(), wall)
        return self._snapshot

    async def look(self, max_age_s: float = 1.0) -> Snapshot:
        """What is known, read anew when it is older than `max_age_s` or a service has another state since.

        Nothing is learned or kept of it.

        For who watches closely: the rates are those since the last look.
        """
        async with self._reading:
            if self._stale(max_age_s):
                taken = await self._take(self._looks, self._machine_looked)
                if taken is not None:
                    snapshot, self._machine_looked = taken
                    self._look = self._told(snapshot, self._wall())
                    self._looked_at = self._machine_looked.at
        return self._look

    def _stale(self, max_age_s: float) -> bool:
        if self._looked_at is None or self._clock() - self._looked_at >= max_age_s:
            return True
        known = [(service.name, service.state) for service in self._look.services]
        return known != [(status.name, status.state) for status in self._manager.status()]

    def snapshot(self) -> Snapshot:
        """What is known since the last regular reading; reads nothing."""
        return self._snapshot

    async def history(self, name: str, since: float) -> tuple[Sample, ...]:
        """What a service used since a Unix time, oldest first.

        Args:
            name: the service, or `sample.MACHINE`.
            since: Unix time, in seconds.
        """
        return await self._history.since(name, since)

    async def _take(
        self, meter: Meter, machine_before: MachineUse | None
    ) -> tuple[Snapshot, MachineUse] | None:
        """Read everything once; None when it can't be read now."""
        try:
            uses = await self._manager.usage()
            at = self._clock()
            machine = self._machine(at)
        except (OSError, ServiceManagerError) as error:
            if not self._failing:
                self._log.warning("usage_unreadable", reason=str(error))
            self._failing = True
            return None
        self._failing = False
        statuses = self._manager.status()
        readings = {
            status.name: Reading(at, (status.starts, status.pid), uses[status.name])
            for status in statuses
            if status.name in uses
        }
        rates = meter.take(readings)
        services = tuple(
            ServiceUse(status.name, status.state, uses[status.name], rates[status.name])
            if status.name in readings
            else ServiceUse(status.name, status.state)
            for status in statuses
        )
        return Snapshot(None, self._interval_s, load(machine_before, machine), services), machine

    def _learn(self, services: tuple[ServiceUse, ...], wall: float) -> None:
        awake = frozenset(
            service.name for service in services if service.state is State.RUNNING and service.use is not None
        )
        for service in services:
            if service.use is None or service.name not in awake:
                self._tracker.rest(service.name)
            # What was used while it partly slept says nothing about how it is when awake.
            elif service.name in self._awake:
                self._tracker.observe(service.name, watched(service.use, service.rates), wall)
        self._awake = awake
        self._tracker.keep([service.name for service in services])

    def _told(self, snapshot: Snapshot, wall: float) -> Snapshot:
        """With what the tracker knows."""
        services = tuple(
            ServiceUse(
                service.name,
                service.state,
                service.use,
                service.rates,
                self._tracker.baselines(service.name),
                self._tracker.anomalies(service.name),
            )
            for service in snapshot.services
        )
        history = not self._history.in_memory
        return Snapshot(wall, self._interval_s, snapshot.machine, services, history)

    def _began(self, anomaly: Anomaly) -> None:
        self._log.warning(
            "service_uses_more_than_usual",
            service=anomaly.service,
            metric=anomaly.metric.value,
            value=round(anomaly.value),
            usual=round(anomaly.usual),
            deviation=round(anomaly.deviation),
        )
        self._on_anomaly(anomaly)

    def _ended(self, anomaly: Anomaly) -> None:
        self._log.info(
            "service_uses_as_usual", service=anomaly.service, metric=anomaly.metric.value, usual=anomaly.usual
        )
