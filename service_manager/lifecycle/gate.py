"""Lets services start and wake as the limits of all of them together allow, and makes room for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import anyio

from service_manager.errors import SleepFailed
from service_manager.lifecycle.runner import Runner
from service_manager.model import Priority, ServiceSpec
from service_manager.policy.admission import MakeRoom, Refused, Room, Wait, Waiting, admit, spare
from service_manager.policy.order import Candidate
from service_manager.policy.rules import Level, ResourceRules


class Gate:
    """Where starts and wakes wait for room.

    Args:
        runners: all services, by name.
        rules: the limits as they are now.
        clock: monotonic seconds.

    Attributes:
        memory: bytes that all services may hold together; None for no limit.
        held: bytes they held when that was read last.
        refused: priorities of which no service is started, in an emergency.
    """

    def __init__(
        self,
        runners: Callable[[], Iterable[Runner]],
        rules: Callable[[], ResourceRules],
        clock: Callable[[], float],
    ) -> None:
        self._runners = runners
        self._rules = rules
        self._clock = clock
        self._waiting: list[Waiting] = []
        self._changed = anyio.Event()
        self.memory: int | None = None
        self.held = 0
        self.refused: frozenset[Priority] = frozenset()

    def candidates(self) -> tuple[Candidate, ...]:
        """All services as the policy sees them."""
        return tuple(Candidate(runner.spec, runner.state, runner.usage()) for runner in self._runners())

    def notify(self) -> None:
        """Have those who wait look again: a service changed its state or its leases."""
        if self._waiting:
            changed, self._changed = self._changed, anyio.Event()
            changed.set()

    def spare(self, level: Level) -> int:
        """How many services may be woken ahead of a request that may never come."""
        return spare(self.candidates(), self._waiting, level, self._rules(), self._room(frozenset()))

    async def admit(self, spec: ServiceSpec) -> None:
        """Return when a service may start or wake; idle ones are put to sleep for it.

        Raises:
            LimitReached: there is no room, and none was made in time.
        """
        asking = Waiting(spec, self._clock())
        unable: frozenset[str] = frozenset()
        self._waiting.append(asking)
        try:
            while True:
                changed = self._changed
                others = [waiting for waiting in self._waiting if waiting is not asking]
                decide = partial(admit, asking, self.candidates(), others, self._clock(), self._rules())
                match decide(self._room(unable)):
                    case MakeRoom(name):
                        unable |= await self._put_to_sleep(name)
                    case Wait(until):
                        with anyio.move_on_after(max(0.0, until - self._clock())):
                            await changed.wait()
                    case Refused(error):
                        raise error
                    case _:
                        return
        finally:
            self._waiting.remove(asking)
            self.notify()

    async def _put_to_sleep(self, name: str) -> frozenset[str]:
        """Put a service to sleep; its name where that failed."""
        runner = next(runner for runner in self._runners() if runner.spec.name == name)
        try:
            await runner.sleep(hurried=True)
        except SleepFailed:
            return frozenset({name})
        return frozenset()

    def _room(self, unable: frozenset[str]) -> Room:
        return Room(self.memory, self.held, self.refused, unable)
