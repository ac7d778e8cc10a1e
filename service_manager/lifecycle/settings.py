"""What clients set in the session with a service: set in the one that runs, and kept for the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from service_manager.lifecycle.replay import SessionState

Ask = Callable[[str, Mapping[str, str]], Awaitable[None]]
"""Asks the service something, starting or waking it first where needed."""


class SessionSettings:
    """Sets the logging level and subscriptions of one service.

    Args:
        state: keeps them over its lives.
        ask: asks the service.
        alive: whether it has a session that does not know them yet; a new one is told by itself.
        changed: told when what keeps it awake has changed.
    """

    def __init__(
        self,
        state: SessionState,
        ask: Ask,
        alive: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._ask = ask
        self._alive = alive
        self._changed = changed

    async def set_level(self, level: str) -> None:
        """Have the service log at least from this level on."""
        if self._state.want_level(level) and self._alive():
            await self._ask("logging/setLevel", {"level": level})

    async def subscribe(self, uri: str) -> None:
        """Be told of changes of a resource; while anybody is, the service does not sleep."""
        if not self._state.subscribe(uri):
            return
        try:
            await self._ask("resources/subscribe", {"uri": uri})
        except BaseException:
            self._state.unsubscribe(uri)
            raise

    async def unsubscribe(self, uri: str) -> None:
        """Be told no more."""
        if self._state.unsubscribe(uri) and self._alive():
            await self._ask("resources/unsubscribe", {"uri": uri})
        self._changed()
