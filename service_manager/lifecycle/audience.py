"""Who is told what a service says without being asked."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from service_manager.lifecycle.known import Notification

UNREAD = 256
"""Notifications kept for a listener who does not read; further ones are lost to it."""


class Audience:
    """The listeners of one service, over all of its lives."""

    def __init__(self) -> None:
        self._listeners: set[MemoryObjectSendStream[Notification]] = set()
        self._log = structlog.get_logger()

    def listen(self) -> MemoryObjectReceiveStream[Notification]:
        """Everything from now on; closing the stream ends it."""
        send, receive = anyio.create_memory_object_stream[Notification](UNREAD)
        self._listeners.add(send)
        return receive

    def tell(self, notifications: Iterable[Notification]) -> None:
        """Tell everybody, and wait for nobody."""
        for notification in notifications:
            for listener in tuple(self._listeners):
                try:
                    listener.send_nowait(notification)
                except anyio.WouldBlock:
                    self._log.debug("notification_dropped", unread=UNREAD, method=notification.method)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    self._listeners.discard(listener)
                    listener.close()
