"""What is wrong with a provider, and when to ask it again. Pure: takes a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tool_router.balance.window import Result
from tool_router.catalog.backoff import backoff_s
from tool_router.errors import ProviderError

FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0
"""A person who starts Ollama after the router waits this long at most."""


@dataclass(slots=True)
class Trouble:
    """Remembers a provider's failure, so that requests do not pay for it again before it is mended.

    Attributes:
        clock: monotonic seconds.
        jitter: a random number in [0, 1).
        reason: what is wrong, for people; empty while nothing is.
        failures: how often it failed in a row.
    """

    clock: Callable[[], float]
    jitter: Callable[[], float]
    reason: str = ""
    failures: int = 0
    _until: float = 0.0

    def failed(
        self,
        error: ProviderError,
        *,
        first_rest_s: float = FIRST_REST_S,
        longest_rest_s: float = LONGEST_REST_S,
    ) -> bool:
        """Note a failure; True when its reason is new. The rest doubles from the first to the longest."""
        new = str(error) != self.reason
        self.reason = str(error)
        self.failures += 1
        rest_s = backoff_s(self.failures, first_s=first_rest_s, limit_s=longest_rest_s, jitter=self.jitter())
        self._until = self.clock() + rest_s
        return new

    def mended(self) -> bool:
        """Note that it works; True when it did not before."""
        was_wrong = bool(self.reason)
        self.reason, self.failures, self._until = "", 0, 0.0
        return was_wrong

    @property
    def rest_s(self) -> float:
        """Seconds until it may be asked again."""
        return max(0.0, self._until - self.clock())


def result_of(error: ProviderError) -> Result | None:
    """What a failed call is in the window of its provider; None says nothing about it.

    To lack an ability is no failure. Every other reason is one, a missing key or a wrong address included:
    whatever it is, this provider gives no answers.
    """
    match error.reason:
        case "unsupported":
            return None
        case "timeout":
            return Result.TIMEOUT
        case "http_429":
            return Result.RATE_LIMITED
        case _:
            return Result.ERROR
