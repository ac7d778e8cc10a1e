"""What routers share of their targets, through a Redis. Imported only where a Redis is configured."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import structlog
from redis.exceptions import RedisError

from tool_router.balance.admission import Admission
from tool_router.balance.breaker import Clock, Transition
from tool_router.balance.pool import Pool
from tool_router.balance.redis_peers import LIFE_S, RedisPeers
from tool_router.balance.service_windows import ServiceWindows
from tool_router.balance.sharing import (
    Followed,
    Heard,
    Hold,
    Openings,
    Release,
    Report,
    Turns,
    added_up,
    from_bytes,
    to_bytes,
)
from tool_router.balance.window import PerformanceWindow
from tool_router.catalog.backoff import backoff_s

INTERVAL_S = 1.0
"""From one exchange to the next, a fifth more or less."""
EXCHANGE_S = 1.0
"""Longest an exchange takes."""
LONGEST_PAUSE_S = 15.0
"""Longest that a Redis which failed is left alone."""
LEAST_PAUSE_S = 0.1
"""From telling of a transition to telling of the next: breakers that open in a row are told of together."""
MOST_WRITTEN = 32
"""Windows written in one exchange."""
MOST_READ = 48
"""Windows read in one exchange, those of all routers together. Each one, read or written, costs the event
loop about 0.1 ms; the others have their turn in the next exchanges."""
_PIECE = 16
"""Windows that are counted in before others get the event loop."""


class Sharing:
    """Tells other routers of one gateway what this one knows of its targets, and counts in what they tell.

    Calls under way at others load a target here; what they saw of it counts in its window; a breaker that
    opened there holds calls off here for the rest of its time. Nothing here is on the way of a call. While
    Redis does not answer each router goes on with its own view, which is said once.

    Args:
        url: the address of the Redis; a password in it is never logged.
        pool: the targets.
        admission: their breakers.
        windows: how services did.
        source: identifies what is behind the targets; routers with another one are strangers.
        clock: monotonic seconds, the one of `admission`.
        interval_s: seconds between two exchanges.
        draw: a random number in [0, 1).

    Raises:
        ValueError: the address is none of a Redis.
    """

    def __init__(
        self,
        url: str,
        pool: Pool[Any],
        admission: Admission,
        windows: ServiceWindows,
        *,
        source: str,
        clock: Clock = anyio.current_time,
        interval_s: float = INTERVAL_S,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._peers = RedisPeers(url, source)
        self._pool = pool
        self._admission = admission
        self._windows = windows
        self._clock = clock
        self._interval_s = interval_s
        self._draw = draw
        self._openings = Openings()
        self._followed = Followed()
        self._to_write, self._to_read = Turns(), Turns()
        self._untold = anyio.Event()
        self._failures = 0
        self._heard_at = clock()
        self._unreadable = False
        self._log = structlog.get_logger()
        admission.listen(self._moved)

    @property
    def router(self) -> str:
        """This router's id."""
        return self._peers.router

    async def run(self) -> None:
        """Exchange with the other routers until cancelled; a breaker's transition is told at once."""
        try:
            while True:
                await self.exchange()
                await self._pause()
        finally:
            self._forget()
            with anyio.move_on_after(EXCHANGE_S, shield=True):
                await self.aclose()

    async def exchange(self) -> bool:
        """Tell the others, and count in what they tell; gives whether Redis took part, and raises nothing."""
        windows = self._named_windows()
        called = [(name, window) for name, window in windows.items() if window.lifetime().requests]
        try:
            with anyio.fail_after(EXCHANGE_S):
                peers = await self._peers.look()
                told = await self._peers.exchange(
                    peers,
                    self._report(),
                    {name: one.snapshot() for name, one in self._to_write.take(called, MOST_WRITTEN)},
                    self._to_read.take(tuple(windows), max(1, MOST_READ // max(1, len(peers.routers)))),
                )
        except (RedisError, OSError, TypeError, ValueError) as error:
            # The last two: something that speaks its protocol, and is no Redis.
            self._failed(error)
            return False
        self._worked()
        self._count_in(self._read(told.reports))
        await self._adopt(windows, told.windows)
        return True

    async def aclose(self) -> None:
        """Close every connection."""
        await self._peers.aclose()

    async def _pause(self) -> None:
        """Wait until the next exchange is due; meanwhile tell of transitions, and let an old view go."""
        due = anyio.current_time() + self._pause_s()
        while (left_s := due - anyio.current_time()) > 0:
            if self._failures:
                await anyio.sleep(min(left_s, self._interval_s))
                self._expire()
                continue
            with anyio.move_on_after(left_s):
                await self._untold.wait()
            if self._untold.is_set():
                await self._tell()
                await anyio.sleep(LEAST_PAUSE_S)

    def _pause_s(self) -> float:
        if not self._failures:
            return self._interval_s * (0.8 + 0.4 * self._draw())
        return backoff_s(
            self._failures, first_s=self._interval_s, limit_s=LONGEST_PAUSE_S, jitter=self._draw()
        )

    async def _tell(self) -> None:
        """Tell of this moment, without asking the others."""
        try:
            with anyio.fail_after(EXCHANGE_S):
                await self._peers.tell(self._report())
        except (RedisError, OSError) as error:
            self._failed(error)

    def _report(self) -> bytes:
        """What is told of this moment."""
        self._untold = anyio.Event()
        in_flight = {
            member.name: member.state.in_flight for member in self._pool.members() if member.state.in_flight
        }
        openings = self._openings.current(self._admission.states(), self._admission.waits())
        return to_bytes(Report(in_flight, openings))

    def _named_windows(self) -> Mapping[str, PerformanceWindow]:
        """The windows of all targets and services, by the names that routers have in common."""
        found = {f"target:{member.name}": member.state.window for member in self._pool.members()}
        return found | {f"service:{name}": window for name, window in self._windows.view().items()}

    def _read(self, reports: Mapping[str, tuple[bytes, float]]) -> Mapping[str, Heard]:
        """The reports that can be read."""
        heard: dict[str, Heard] = {}
        for router, (data, age_s) in reports.items():
            try:
                heard[router] = Heard(from_bytes(data), age_s)
            except ValueError as error:
                self._unread(router, error)
        return heard

    def _count_in(self, heard: Mapping[str, Heard]) -> None:
        """Take over what the others tell of this moment."""
        in_flight = added_up(one.report for one in heard.values())
        for member in self._pool.members():
            member.state.in_flight_elsewhere = in_flight.get(member.name, 0)
        changes = self._followed.hear(heard, self._clock())
        for change in changes:
            if isinstance(change, Hold):
                self._admission.hold(change.key, change.left_s)
                self._log.info("breaker_open_elsewhere", key=change.key, left_s=round(change.left_s, 1))
            else:
                self._let_go(change)
        if changes:
            # Calls that wait for a place at a target that is held off now need not.
            self._pool.review()

    def _let_go(self, release: Release) -> None:
        """End a hold, unless a person has ended it, or another opening still holds calls off."""
        if not self._admission.let_go(release.key):
            return
        if release.left_s:
            self._admission.hold(release.key, release.left_s)
        else:
            self._log.info("breaker_closed_elsewhere", key=release.key)

    async def _adopt(
        self, windows: Mapping[str, PerformanceWindow], told: Mapping[str, Sequence[bytes]]
    ) -> None:
        """Count in what the others saw."""
        done = 0
        for name, snapshots in told.items():
            windows[name].adopt(snapshots)
            done += max(1, len(snapshots))
            if done >= _PIECE:
                done = 0
                await anyio.lowlevel.checkpoint()

    def _moved(self, key: str, transition: Transition) -> None:
        self._openings.moved(key, transition)
        self._untold.set()

    def _expire(self) -> None:
        """Let the others' view go when nothing was heard for too long."""
        if self._clock() - self._heard_at >= LIFE_S:
            self._forget()

    def _forget(self) -> None:
        """Go on with this router's own view; holds and windows end by themselves."""
        for member in self._pool.members():
            member.state.in_flight_elsewhere = 0

    def _worked(self) -> None:
        self._heard_at = self._clock()
        if self._failures:
            self._failures = 0
            self._log.info("redis_sharing_back", where=self._peers.where)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._expire()
        if self._failures == 1:
            self._log.warning(
                "redis_sharing_failed",
                where=self._peers.where,
                reason=str(error) or type(error).__name__,
                next_step="Each router goes by its own view until it answers again; check balance.redis_url.",
            )

    def _unread(self, router: str, error: ValueError) -> None:
        if not self._unreadable:
            self._unreadable = True
            self._log.warning(
                "redis_sharing_unreadable",
                router=router,
                reason=str(error),
                next_step="What it tells is left out; give all routers the same version.",
            )
