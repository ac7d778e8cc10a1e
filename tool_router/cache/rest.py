"""When a server that failed may be asked again. Pure: takes a clock."""

from __future__ import annotations

import random
from collections.abc import Callable

from tool_router.catalog.backoff import backoff_s

FIRST_S = 1.0
LONGEST_S = 60.0


class Rest:
    """Leaves a failing server alone for a while, longer each time, and lets one caller at a time try it then.

    Args:
        clock: monotonic, in seconds.
        jitter: a random number in [0, 1).
    """

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._until = 0.0
        self._tried_until = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last that is known of it is a failure."""
        return self._failures > 0

    def may_try(self, trying_s: float) -> bool:
        """Whether a caller may ask the server now.

        Args:
            trying_s: how long the others wait for what becomes of a try after a rest, in seconds.
        """
        if not self._failures:
            return True
        now = self._clock()
        if now < self._until or now < self._tried_until:
            return False
        self._tried_until = now + trying_s
        return True

    def worked(self) -> bool:
        """Note an answer; True when the server had failed before."""
        failed, self._failures = self._failures, 0
        return failed > 0

    def failed(self) -> bool:
        """Note a failure; True for the first one since it worked.

        Of callers that were under way together only the first lengthens the rest.
        """
        now = self._clock()
        if self._failures and now < self._until:
            return False
        self._failures += 1
        self._until = now + backoff_s(
            self._failures, first_s=FIRST_S, limit_s=LONGEST_S, jitter=self._jitter()
        )
        self._tried_until = 0.0
        return self._failures == 1
