"""When a service that failed may be started again: pure, times in seconds on one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

QUICK_FAILURES = 3
"""So many failed starts in a row make a service FAILED; the next call does not try again at once."""

BACKOFF_S = 15.0
BACKOFF_LIMIT_S = 300.0

EARLY_DEATH_S = 60.0
"""A service that dies within a minute of its start counts as one that did not start."""


def retry_at(failures: int, failed_at: float) -> float:
    """When a service that failed so many times in a row may be started again.

    The first failures are retried by the next call; from the `QUICK_FAILURES`th on, the wait doubles.
    """
    if failures < QUICK_FAILURES:
        return failed_at
    # The exponent is bounded as well: a float has no room for 2 ** 1024.
    doubled = min(failures - QUICK_FAILURES, 16)
    return failed_at + min(BACKOFF_LIMIT_S, BACKOFF_S * 2.0**doubled)


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a service failed in a row.

    Attributes:
        count: failed starts and early deaths since it last ran well.
        last_at: when the last one was; meaningless without any.
    """

    count: int = 0
    last_at: float = 0.0

    @property
    def given_up(self) -> bool:
        """Whether it counts as FAILED until `retry_at`."""
        return self.count >= QUICK_FAILURES

    @property
    def retry_at(self) -> float:
        """When it may be started again."""
        return retry_at(self.count, self.last_at)

    def not_started(self, now: float) -> Failures:
        """After a start that came to nothing."""
        return Failures(self.count + 1, now)

    def died(self, started_at: float, now: float) -> Failures:
        """After a service broke down that had been started.

        An early death is one more failure in a row; a late one is the first again: it ran well before.
        """
        return Failures(self.count + 1 if now - started_at < EARLY_DEATH_S else 1, now)

    def ended(self, started_at: float, now: float) -> Failures:
        """After it ended as it was told, or while it runs; what ran for long enough is forgiven."""
        return Failures() if now - started_at >= EARLY_DEATH_S else self
