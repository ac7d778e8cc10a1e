"""Breakers by key, in a bounded number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from tool_router.balance.breaker import Breaker, State


class BreakerRegistry:
    """Makes breakers when they are first asked for, and forgets the least recently used ones that are closed.

    An open, half-open or resting breaker is never forgotten: that would readmit what it holds off. So the
    number of breakers exceeds `capacity` only by those (`cachetools.LRUCache` can't skip an entry when it
    evicts, hence the plain ordered dict).

    Args:
        make: makes the breaker of a key.
        capacity: how many breakers are kept, at least 1.
    """

    def __init__(self, make: Callable[[str], Breaker], capacity: int) -> None:
        self._make = make
        self._capacity = max(1, capacity)
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._breakers)

    def get(self, key: str) -> Breaker:
        """The breaker of a key; a new one is closed."""
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = self._make(key)
            self._shrink(key)
        self._breakers.move_to_end(key)
        return breaker

    def view(self) -> Mapping[str, Breaker]:
        """Every breaker that is kept now, least recently used first."""
        return dict(self._breakers)

    def _shrink(self, newest: str) -> None:
        surplus = len(self._breakers) - self._capacity
        if surplus <= 0:
            return
        idle = [key for key, breaker in self._breakers.items() if key != newest and _idle(breaker)]
        for key in idle[:surplus]:
            del self._breakers[key]


def _idle(breaker: Breaker) -> bool:
    return breaker.state is State.CLOSED and not breaker.resting
