"""How long to wait before the next try."""

from __future__ import annotations


def backoff_s(failures: int, *, first_s: float, limit_s: float, jitter: float) -> float:
    """Exponential backoff with equal jitter, in seconds.

    Half of the delay is fixed and half is random ("equal jitter" in M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015): routers that lost the same gateway do not come back together,
    and none comes back at once.

    Args:
        failures: how often it failed in a row, at least 1.
        first_s: the delay after the first failure.
        limit_s: the longest delay.
        jitter: a random number in [0, 1).
    """
    # 2**30 is beyond every limit in use; a larger exponent would overflow a float after a week of failures.
    delay = min(limit_s, first_s * 2.0 ** min(failures - 1, 30))
    return delay * (0.5 + jitter / 2)
