"""How each upstream service did of late, in a bounded number of windows."""

from __future__ import annotations

from collections.abc import Mapping

from cachetools import LRUCache

from tool_router.balance.breaker import Clock
from tool_router.balance.window import PerformanceWindow

CAPACITY = 256
"""Services whose windows are kept, about 10 KB each; the least recently called one is forgotten beyond."""


class ServiceWindows:
    """Makes a service's window when it is first asked for.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: LRUCache[str, PerformanceWindow] = LRUCache(CAPACITY)

    def of(self, service: str) -> PerformanceWindow:
        """The window of a service."""
        window = self._windows.get(service)
        if window is None:
            window = self._windows[service] = PerformanceWindow(self._clock)
        return window

    def view(self) -> Mapping[str, PerformanceWindow]:
        """Every window that is kept, by service."""
        return dict(self._windows)

    def reset(self) -> None:
        """Forget everything."""
        self._windows.clear()
