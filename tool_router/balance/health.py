"""Active health checks: targets that nobody calls are asked how they are, at an interval, all at once."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio
import anyio.abc
import structlog

from tool_router.errors import GatewayBusy, ToolRouterError
from tool_router.gateway.protocol import Health

CHECK_LIMIT_S = 5.0
"""The longest a check may take."""

Check = Callable[[], Awaitable[Health | None]]
"""Asks a target how it is. None says nothing either way. `GatewayBusy` leaves the target alone for its whole
`retry_after_s`; any other error of the tree is a check that failed."""


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How often targets are checked, and what it takes to change one's state.

    The numbers in a row are those load balancers ship with (HAProxy: ``fall 3 rise 2``): one lost check is no
    outage, and one good check after an outage no recovery.

    Attributes:
        interval_s: seconds from the beginning of one check to that of the next; at least `limit_s`.
        jitter: the part of it by which a check may come earlier or later, so that routers spread out.
        limit_s: how long a check may take, at most `CHECK_LIMIT_S`.
        fall: failed checks in a row that make a target fail.
        rise: good checks in a row that make it work again.

    Raises:
        ValueError: a value is out of its range.
    """

    interval_s: float = 15.0
    jitter: float = 0.1
    limit_s: float = CHECK_LIMIT_S
    fall: int = 3
    rise: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.limit_s <= CHECK_LIMIT_S:
            raise ValueError(f"a health check may take at most {CHECK_LIMIT_S:g} s, not {self.limit_s:g} s")
        if not (math.isfinite(self.interval_s) and self.interval_s >= self.limit_s):
            raise ValueError(f"health checks every {self.interval_s:g} s would overtake their limit")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"a jitter of {self.jitter:g} is not in [0, 1)")
        if self.fall < 1 or self.rise < 1:
            raise ValueError("at least one check is needed to change a target's state")


@dataclass(frozen=True, slots=True)
class HealthReport:
    """A target's state has changed.

    Attributes:
        name: the target.
        healthy: whether it works now.
        reason: why not, one sentence; empty where it works.
    """

    name: str
    healthy: bool
    reason: str = ""


class HealthRecord:
    """What checks in a row say of one target. Pure. It is taken to work until checks say otherwise.

    Args:
        fall: failed checks in a row that make it fail.
        rise: good checks in a row that make it work again.
    """

    __slots__ = ("_fall", "_rise", "_run", "healthy")

    def __init__(self, fall: int, rise: int) -> None:
        self._fall = fall
        self._rise = rise
        self._run = 0
        self.healthy = True

    def note(self, *, good: bool) -> bool:
        """Note the outcome of a check; gives whether the state has changed with it."""
        if good is self.healthy:
            self._run = 0
            return False
        self._run += 1
        if self._run < (self._rise if good else self._fall):
            return False
        self.assume(healthy=good)
        return True

    def assume(self, *, healthy: bool) -> None:
        """Set the state, as found by something else; checks go on from there."""
        self.healthy, self._run = healthy, 0


@dataclass(eq=False, slots=True)
class _Watched:
    """A target under watch.

    Attributes:
        scope: ends its watch.
        heard_at: when a call of it last succeeded.
        hurried: set to have it checked at once; replaced by the watch.
        urgent: checks that are to be made without a pause.
    """

    check: Check
    record: HealthRecord
    scope: anyio.CancelScope
    heard_at: float = -math.inf
    hurried: anyio.Event = field(default_factory=anyio.Event)
    urgent: int = 0


class HealthChecker:
    """Checks targets while `run` runs, each in a task of its own: never two checks of one target at once.

    A target whose calls succeed is not asked: one that was heard since its last check was due counts as well.
    Targets may be added and removed at any time.

    Args:
        settings: how often, and what changes a state.
        on_change: told of each change of a target's state; returns at once and does not raise.
        draw: a random number in [0, 1).
    """

    def __init__(
        self,
        settings: HealthSettings,
        on_change: Callable[[HealthReport], None],
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._draw = draw
        self._watched: dict[str, _Watched] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self._log = structlog.get_logger()

    def add(self, name: str, check: Check) -> None:
        """Watch a target; one of that name is watched anew, with no history."""
        self.remove(name)
        record = HealthRecord(self._settings.fall, self._settings.rise)
        watched = self._watched[name] = _Watched(check, record, anyio.CancelScope())
        if self._tasks is not None:
            self._tasks.start_soon(self._watch, name, watched)

    def remove(self, name: str) -> None:
        """Watch a target no more; a check under way is cancelled."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            watched.scope.cancel()

    def heard(self, name: str) -> None:
        """Note that a call of a target succeeded just now."""
        watched = self._watched.get(name)
        if watched is not None:
            watched.heard_at = anyio.current_time()

    def hurry(self, name: str) -> None:
        """Check a target now, and again without a pause until a check is good or it counts as failing."""
        watched = self._watched.get(name)
        if watched is not None:
            watched.heard_at, watched.urgent = -math.inf, self._settings.fall
            watched.hurried.set()

    def assume(self, name: str, *, healthy: bool) -> None:
        """Take a target for working or failing, because something else, such as a breaker, found it so.

        Nothing is reported, because the caller knows. What was heard before counts no more.
        """
        watched = self._watched.get(name)
        if watched is not None:
            watched.record.assume(healthy=healthy)
            watched.heard_at = -math.inf

    def healthy(self) -> Mapping[str, bool]:
        """Whether each target works, as far as is known."""
        return {name: watched.record.healthy for name, watched in self._watched.items()}

    async def run(self) -> None:
        """Check until cancelled; the first checks come at once."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for name, watched in self._watched.items():
                    tasks.start_soon(self._watch, name, watched)
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    async def _watch(self, name: str, watched: _Watched) -> None:
        settings = self._settings
        last_due = -math.inf
        with watched.scope:
            while True:
                due = anyio.current_time()
                spread = 1 - settings.jitter + 2 * settings.jitter * self._draw()
                next_due = due + settings.interval_s * spread
                if watched.heard_at > last_due:
                    self._note(name, watched, Health(True, "Its calls succeed."))
                else:
                    rest_s = await self._check(name, watched)
                    next_due = max(next_due, anyio.current_time() + rest_s)
                last_due = due
                if watched.urgent:
                    continue
                with anyio.move_on_after(max(0.0, next_due - anyio.current_time())):
                    watched.hurried = anyio.Event()
                    await watched.hurried.wait()

    async def _check(self, name: str, watched: _Watched) -> float:
        """Ask a target; gives the seconds for which it asked to be left alone."""
        limit_s = self._settings.limit_s
        health: Health | None = Health(False, f"It did not answer within {limit_s:g} s.")
        try:
            with anyio.move_on_after(limit_s):
                health = await watched.check()
        except GatewayBusy as busy:
            self._log.info("health_check_pushed_back", target=name, retry_after_s=busy.retry_after_s)
            watched.urgent = 0
            return busy.retry_after_s
        except ToolRouterError as error:
            health = Health(False, error.tried)
        watched.urgent = 0 if health is None or health.ok else max(0, watched.urgent - 1)
        if health is not None:
            self._note(name, watched, health)
        return 0.0

    def _note(self, name: str, watched: _Watched, health: Health) -> None:
        if not watched.record.note(good=health.ok):
            return
        level = self._log.info if health.ok else self._log.warning
        level("target_health_changed", target=name, healthy=health.ok, reason=health.detail)
        self._on_change(HealthReport(name, health.ok, "" if health.ok else health.detail))
