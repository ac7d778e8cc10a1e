"""What clients have set in the session with a service, to be set again when the service is started again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""The logging levels of the protocol, most talkative first (those of RFC 5424)."""


class SessionState:
    """The state of a session that clients share: the most talkative level asked for, and who subscribed."""

    def __init__(self) -> None:
        self._level = ""
        self._subscribers: Counter[str] = Counter()

    @property
    def subscribed(self) -> bool:
        """Whether anybody waits for news; a service that sleeps has none."""
        return bool(self._subscribers)

    def want_level(self, level: str) -> bool:
        """Note that a client wants this level; whether the service has to be told."""
        if self._level and LEVELS.index(level) >= LEVELS.index(self._level):
            return False
        self._level = level
        return True

    def subscribe(self, uri: str) -> bool:
        """Note a subscriber; whether it is the first one of this resource."""
        self._subscribers[uri] += 1
        return self._subscribers[uri] == 1

    def unsubscribe(self, uri: str) -> bool:
        """Forget a subscriber; whether it was the last one of this resource."""
        if uri not in self._subscribers:
            return False
        self._subscribers[uri] -= 1
        if self._subscribers[uri]:
            return False
        del self._subscribers[uri]
        return True

    def requests(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """What a new session has to be asked to be as the old one was: methods and their parameters."""
        level = (("logging/setLevel", {"level": self._level}),) if self._level else ()
        return (*level, *(("resources/subscribe", {"uri": uri}) for uri in self._subscribers))
