"""How one service sleeps: in which tier, measured how, over all of its lives."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog
from mcp import MCPError

from service_manager.drivers.protocol import Running
from service_manager.errors import ServiceCrashed
from service_manager.lifecycle.session import ServiceSession
from service_manager.linux.capabilities import SwapKind
from service_manager.model import Priority, ServiceSpec, Tier, UrlSource
from service_manager.policy.tiers import Choice, Ladder, choose, offered, unmeasured
from service_manager.resources import MemoryUse
from service_manager.status import SleepStatus, WakeRecord

CALIBRATION_WAKES = 3
"""So many wakes of a tier are measured at the first idle, after one that shows what a wake needs."""

USUAL_KEPT = 256
"""Of so many kinds of requests it is known what they take when the service is awake."""

USUAL_WEIGHT = 0.2
"""What the latest request weighs in that (an exponential moving average)."""


class Sleeping:
    """Chooses the tier of one service, puts it to sleep, wakes it, and keeps what that took.

    Args:
        spec: the service.
        target_s: how long a wake may take.
        swap: what the machine's swap is on.
        clock: monotonic seconds.
    """

    def __init__(
        self, spec: ServiceSpec, target_s: float, swap: SwapKind, clock: Callable[[], float]
    ) -> None:
        self._spec = spec
        self._target_ms = target_s * 1000
        self._swap = swap
        self._clock = clock
        self._ladder = Ladder()
        self._choice = Choice(Tier.WARM, "It has not slept yet.")
        self._missing = ""
        self._awake: MemoryUse | None = None
        self._asleep: MemoryUse | None = None
        self._start: WakeRecord | None = None
        self._last_wake: WakeRecord | None = None
        self._unanswered = False
        self._calibrating = False
        self._usual: OrderedDict[str, float] = OrderedDict()
        self._log = structlog.get_logger().bind(service=spec.name)

    def choose(self, running: Running, *, told: bool = False) -> Choice:
        """The tier it would enter now, and why.

        Args:
            running: the service.
            told: a person wants it to sleep, although it would stay awake.
        """
        tiers = self._offered(running)
        self._missing = running.sleeper.missing
        choice = choose(
            tiers,
            priority=self._spec.priority,
            swap=self._swap,
            target_ms=self._target_ms,
            fixed=self._spec.sleep,
            calibrations=self._ladder.calibrations(),
            barred=self._ladder.barred(self._clock()),
            missing=self._missing,
        )
        if choice.tier is Tier.WARM and self._spec.priority is Priority.CRITICAL and not told:
            return Choice(Tier.WARM, "It is critical, and services.yml names no tier for it.")
        if choice.tier is Tier.WARM and told and len(tiers) > 1:
            return Choice(tiers[1], f"It was told to sleep. {choice.reason}")
        return choice

    async def fall_asleep(
        self, running: Running, session: ServiceSession, *, told: bool = False, hurried: bool = False
    ) -> Tier:
        """Put it to sleep, and say in which tier; WARM: it is awake; RESPAWN: it is to be stopped.

        The first time, the tiers it could have are tried out. Cancelled at any time, `rouse` follows.

        Args:
            running: the service.
            session: asks it what shows that it is awake.
            told: it was told to sleep, although it would stay awake.
            hurried: somebody waits for its room: nothing is tried out.

        Raises:
            SleepFailed: it is awake still.
        """
        self._awake = _larger(self._awake, await running.sleeper.memory())
        if not hurried:
            await self._calibrate(running, session)
        choice = self._choice = self.choose(running, told=told)
        if choice.tier is Tier.RESPAWN:
            self._asleep = MemoryUse(0)
            self._ladder.slept(Tier.RESPAWN, self._awake, self._asleep)
        elif choice.tier is not Tier.WARM:
            await self._sleep(running, choice.tier)
        self._log.info(
            "service_asleep",
            tier=choice.tier,
            tier_reason=choice.reason,
            pss_before=self._awake.pss,
            pss_after=self._asleep.pss if self._asleep else None,
            swap=self._asleep.swap if self._asleep else None,
            compressed=self._asleep.compressed if self._asleep else None,
            missing_capability=self._missing,
        )
        return choice.tier

    async def rouse(self, running: Running) -> None:
        """Wake it.

        Raises:
            SleepFailed: it can't be woken.
        """
        began = self._clock()
        await running.sleeper.wake()
        self._woke(WakeRecord(self._choice.tier, (self._clock() - began) * 1000, target_ms=self._target_ms))

    def started(self, resume_s: float, replay_s: float, *, waking: bool) -> None:
        """Note what a start took: until its processes ran, and until its session was open.

        Args:
            resume_s: seconds of the first.
            replay_s: seconds of the second.
            waking: it was asleep by having been stopped.
        """
        record = WakeRecord(
            Tier.RESPAWN, resume_s * 1000, replay_s * 1000, target_ms=self._target_ms, first_call_ms=None
        )
        self._start = record
        self._awake = None
        self._unanswered = False
        if waking:
            self._woke(record)

    def answered(self, key: str, seconds: float) -> None:
        """Note what a request took (see `session.request_key`); the first completes the record of a wake."""
        if self._calibrating:
            return
        took_ms = seconds * 1000
        if self._unanswered and self._last_wake is not None:
            self._unanswered = False
            self._last_wake = record = self._judged(
                replace(self._last_wake, first_call_ms=took_ms), self._usual.get(key)
            )
            self._keep(record)
            self._log.info(
                "service_woken",
                tier=record.tier,
                wake_ms={
                    "resume": round(record.resume_ms, 1),
                    "replay": round(record.replay_ms, 1),
                    "first_call": round(took_ms, 1),
                },
                target_ms=record.target_ms,
                target_met=record.target_met,
            )
            return
        usual = self._usual.pop(key, took_ms)
        self._usual[key] = usual + USUAL_WEIGHT * (took_ms - usual)
        if len(self._usual) > USUAL_KEPT:
            self._usual.popitem(last=False)

    def status(self) -> SleepStatus:
        """What `status` shows of its sleep."""
        record = self._ladder.record(self._choice.tier)
        return SleepStatus(
            self._choice.tier,
            self._choice.reason,
            self._awake,
            self._asleep,
            self._last_wake,
            record.p50_ms,
            record.p95_ms,
            record.wakes,
            record.missed,
            self._missing,
        )

    def _offered(self, running: Running) -> tuple[Tier, ...]:
        endless = isinstance(self._spec.source, UrlSource)
        return offered(running.sleeper.tiers, stateless=self._spec.stateless, endless=endless)

    async def _calibrate(self, running: Running, session: ServiceSession) -> None:
        """Measure the tiers that were not yet: sleep in each and wake it with a harmless request."""
        self._calibrating = True
        try:
            for tier in unmeasured(
                self._offered(running),
                self._ladder.calibrations(),
                priority=self._spec.priority,
                swap=self._swap,
                fixed=self._spec.sleep,
                barred=self._ladder.barred(self._clock()),
            ):
                if tier is Tier.RESPAWN:
                    self._calibrate_by_start()
                else:
                    await self._calibrate_tier(running, session, tier)
        except ServiceCrashed as error:
            self._log.warning("service_not_calibrated", error=str(error))
        finally:
            self._calibrating = False

    def _calibrate_by_start(self) -> None:
        """What a wake by a start takes is known from its start; asleep it has no memory."""
        if self._start is not None and self._awake is not None:
            self._ladder.slept(Tier.RESPAWN, self._awake, MemoryUse(0))
            for _ in range(CALIBRATION_WAKES):
                self._keep(self._judged(replace(self._start, first_call_ms=0.0), 0.0))

    async def _calibrate_tier(self, running: Running, session: ServiceSession, tier: Tier) -> None:
        method = "tools/list" if "tools" in session.about.get("capabilities", {}) else "ping"
        for number in range(CALIBRATION_WAKES + 1):
            await self._sleep(running, tier)
            began = self._clock()
            await running.sleeper.wake()
            resumed = self._clock()
            # A refusal is an answer too; the protocol of 2026-07-28 has no ping.
            with suppress(MCPError):
                await session.request(method, None)
            answered = self._clock()
            # The first sleep takes everything from it; what it then fetches back is what later wakes need.
            if number:
                record = WakeRecord(
                    tier,
                    (resumed - began) * 1000,
                    first_call_ms=(answered - resumed) * 1000,
                    target_ms=self._target_ms,
                )
                self._keep(self._judged(record, 0.0))

    async def _sleep(self, running: Running, tier: Tier) -> None:
        assert self._awake is not None
        await running.sleeper.sleep(tier)
        self._asleep = await running.sleeper.memory()
        self._ladder.slept(tier, self._awake, self._asleep)

    def _woke(self, record: WakeRecord) -> None:
        self._last_wake = record
        self._unanswered = True

    def _judged(self, record: WakeRecord, usual_ms: float | None) -> WakeRecord:
        """With whether it met its target, which what the request takes anyway does not count against."""
        if record.total_ms <= self._target_ms:
            return replace(record, target_met=True)
        if usual_ms is None:
            return record
        return replace(record, target_met=record.total_ms - usual_ms <= self._target_ms)

    def _keep(self, record: WakeRecord) -> None:
        if demoted := self._ladder.woke(record, self._clock()):
            self._log.warning("service_tier_left", reason=demoted)
            self._choice = Choice(self._choice.tier, demoted)


def _larger(known: MemoryUse | None, now: MemoryUse) -> MemoryUse:
    """What it takes when all of it is in memory: after a wake, what was not touched is in swap still."""
    return now if known is None or now.held > known.held else known
