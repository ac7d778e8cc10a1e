"""Whether, when and how often a failed call is made again. Pure.

A call is repeated only when that can't do harm: it provably never reached the tool, or the tool says that
repeating is harmless (`readOnlyHint`, `idempotentHint`). And only when it may help: an open breaker, a
push-back (429), a refused request (4xx) or an unavailable tool answer the same again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from tool_router.balance.breaker import Clock
from tool_router.catalog.model import Tool
from tool_router.errors import (
    BreakerOpen,
    GatewayBusy,
    GatewayError,
    GatewayFailed,
    GatewayTimeout,
    GatewayUnreachable,
    UpstreamFailed,
)

_PASSING = (GatewayUnreachable, GatewayFailed, GatewayTimeout, UpstreamFailed)
"""Failures that may be gone a moment later."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How often and how fast failed calls are repeated.

    Attributes:
        attempts: calls made at most for one request, the first included.
        base_s: upper bound of the first pause; it doubles with each retry.
        cap_s: upper bound of any pause.
        budget_ratio: retries allowed for each call made: 0.1 is one in ten.
        reserve: retries allowed beyond that, so that a quiet router can retry at all.
        refill_s: seconds in which a spent reserve comes back.
        never: ids of tools that are never repeated, whatever they say of themselves.
    """

    attempts: int = 3
    base_s: float = 0.1
    cap_s: float = 2.0
    budget_ratio: float = 0.1
    reserve: float = 3.0
    refill_s: float = 60.0
    never: frozenset[str] = frozenset()


def may_repeat(error: GatewayError, tool: Tool, never: frozenset[str] = frozenset()) -> bool:
    """Whether repeating the call is harmless and may help."""
    if not isinstance(error, _PASSING) or tool.id in never:
        return False
    harmless = tool.hints.read_only is True or tool.hints.idempotent is True
    return harmless or not error.reached_tool


def may_move_on(error: GatewayError) -> bool:
    """Whether another target may be asked at once, for any tool and outside the retry budget.

    Only where the call provably did not reach its tool and this target is the reason: it can't be reached,
    broke off before it took the request, pushes back, or its breaker opened after it was chosen.
    """
    return not error.reached_tool and isinstance(error, (*_PASSING, GatewayBusy, BreakerOpen))


def pause_s(retry: int, settings: RetrySettings, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait before the retry of this number (0 is the first): "full jitter".

    Drawn evenly between 0 and the exponential bound, which spreads callers that failed together best
    (Brooker, "Exponential Backoff And Jitter", 2015).
    """
    return draw() * min(settings.cap_s, settings.base_s * math.pow(2.0, min(retry, 32)))


class RetryBudget:
    """Keeps retries from multiplying the load of a failing target: a token bucket.

    Every call pays `budget_ratio` of a token in, every retry takes a whole one out; time fills it up to
    `reserve`, calls up to ten times that.

    Args:
        settings: ratio, reserve, refill time.
        clock: monotonic seconds.
    """

    def __init__(self, settings: RetrySettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._tokens = settings.reserve
        self._filled_at: float | None = None

    def call_made(self) -> None:
        """Pay in for a call that is not a retry."""
        self._fill()
        limit = max(self._settings.reserve * 10, 1.0)
        self._tokens = min(limit, self._tokens + self._settings.budget_ratio)

    def take(self) -> bool:
        """Take a retry out; False when none is left."""
        self._fill()
        # Ten payments of 0.1 add up to 0.9999999999999999.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self) -> None:
        now = self._clock()
        passed = 0.0 if self._filled_at is None else now - self._filled_at
        self._filled_at = now
        reserve = self._settings.reserve
        if self._tokens < reserve:
            self._tokens = min(reserve, self._tokens + reserve * passed / self._settings.refill_s)
