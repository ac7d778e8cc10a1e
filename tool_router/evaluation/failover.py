"""What became of calls while one of several heads was frozen. Pure; the calls are `failover_load`'s."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_RATIO = 1.5
"""How much slower calls of the other heads may be (p95): what this project promises."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A head that was asked, and when, by the event loop's clock."""

    target: str
    at: float


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has ended.

    Attributes:
        key: tells it from every other.
        may_repeat: whether its tool says that it may be called twice.
        measured: whether its time counts; that of calls which only fill the heads does not.
        began, ended: by the event loop's clock.
        attempts: the heads that were asked, in order.
        failure: what it met instead of an answer; empty where it was answered.
        wrong: whether it was answered with something else than was asked for.
    """

    key: str
    may_repeat: bool
    measured: bool
    began: float
    ended: float
    attempts: tuple[Attempt, ...]
    failure: str = ""
    wrong: bool = False

    @property
    def answered(self) -> bool:
        """Whether it got the answer to what it asked."""
        return not self.failure and not self.wrong


@dataclass(frozen=True, slots=True)
class Observed:
    """A load during which a head was frozen; times are those of the event loop's clock.

    Attributes:
        calls: all of it, before and after.
        target: the frozen head's name.
        under_way: calls that were under way when it was frozen.
        frozen_at: when that was.
        out_at: from when on it was out of use; None where it never was.
    """

    calls: Sequence[Call]
    target: str
    under_way: int
    frozen_at: float
    out_at: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of calls, in milliseconds."""

    n: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class FailoverReport:
    """What a frozen head did to the calls of all.

    Attributes:
        calls: how many were made.
        under_way: how many were under way when the head was frozen.
        out_after_s: seconds until no tool's call was admitted to it any more; None where that never came.
        lost: failed calls that had been given to the frozen head before that.
        failed_after: what other calls met that failed after that.
        wrong: calls that got another call's answer.
        twice: keys of calls that arrived more than once though their tool says nothing of being repeatable.
        unseen: keys of answered calls that never arrived.
        undisturbed, others: times of measured calls before the freeze, and of those from then on that were
            not given to the frozen head.
    """

    calls: int
    under_way: int
    out_after_s: float | None
    lost: int
    failed_after: Sequence[str]
    wrong: int
    twice: Sequence[str]
    unseen: Sequence[str]
    undisturbed: Spread
    others: Spread

    @property
    def ratio(self) -> float:
        """The others' p95 over the undisturbed one."""
        return self.others.p95_ms / self.undisturbed.p95_ms if self.undisturbed.n else math.inf

    @property
    def reached(self) -> bool:
        """Whether everything promised was kept."""
        broken = self.out_after_s is None or self.failed_after or self.wrong or self.twice or self.unseen
        return not broken and self.others.n > 0 and self.ratio <= MOST_RATIO

    def to_json(self) -> dict[str, Any]:
        """As values that JSON knows."""
        return asdict(self) | {"ratio": self.ratio, "most_ratio": MOST_RATIO, "reached": self.reached}


def judge(observed: Observed, arrived: Mapping[str, int]) -> FailoverReport:
    """Say what became of the calls.

    Args:
        observed: the calls.
        arrived: how often each key arrived at the tools.
    """
    calls, target = observed.calls, observed.target
    out_at = math.inf if observed.out_at is None else observed.out_at
    failed = [call for call in calls if call.failure]
    lost = [call for call in failed if _was_given(call, target, out_at)]
    excused = {call.key for call in lost}
    before = [call for call in calls if call.measured and call.answered and call.ended <= observed.frozen_at]
    others = [
        call
        for call in calls
        if call.measured
        and call.answered
        and call.ended > observed.frozen_at
        and not any(one.target == target for one in call.attempts)
    ]
    return FailoverReport(
        calls=len(calls),
        under_way=observed.under_way,
        out_after_s=None if observed.out_at is None else observed.out_at - observed.frozen_at,
        lost=len(lost),
        failed_after=tuple(f"{call.key}: {call.failure}" for call in failed if call.key not in excused),
        wrong=sum(call.wrong for call in calls),
        twice=tuple(call.key for call in calls if not call.may_repeat and arrived.get(call.key, 0) > 1),
        unseen=tuple(call.key for call in calls if call.answered and not arrived.get(call.key)),
        undisturbed=_spread([call.ended - call.began for call in before]),
        others=_spread([call.ended - call.began for call in others]),
    )


def _was_given(call: Call, target: str, out_at: float) -> bool:
    """Whether the last head that was asked is this one, before it was out of use."""
    return bool(call.attempts) and call.attempts[-1].target == target and call.attempts[-1].at < out_at


def _spread(times_s: Sequence[float]) -> Spread:
    if not times_s:
        return Spread(0, math.nan, math.nan)
    ordered = sorted(times_s)
    last = len(ordered) - 1
    return Spread(len(ordered), ordered[last // 2] * 1000, ordered[math.ceil(0.95 * last)] * 1000)
