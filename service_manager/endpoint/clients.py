"""The clients of one endpoint that have a session, and which notifications each of them is to get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from service_manager.lifecycle.known import Notification
from service_manager.lifecycle.replay import LEVELS

QUEUE = 256
"""Notifications that wait for one client; one that does not read loses the later ones."""

QUIET_LEVEL = "info"
"""The least severe messages a client gets that never named a level."""


class SessionClient:
    """One client with a session.

    Attributes:
        level: the least severe messages it wants; empty when it never said.
        uris: the resources it is subscribed to.
        waiting: what it is to be told, in order; ends when it has left.
    """

    def __init__(self) -> None:
        self.level = ""
        self.uris: set[str] = set()
        self._send: MemoryObjectSendStream[Notification]
        self.waiting: MemoryObjectReceiveStream[Notification]
        self._send, self.waiting = anyio.create_memory_object_stream[Notification](QUEUE)

    def tell(self, notification: Notification) -> bool:
        """Queue a notification; False when its queue is full, or it has left."""
        try:
            self._send.send_nowait(notification)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        return True

    def close(self) -> None:
        """It has left."""
        self._send.close()


class Clients:
    """All clients of one endpoint that have a session.

    Args:
        service: what they are clients of, for the log.
    """

    def __init__(self, service: str) -> None:
        self._members: set[SessionClient] = set()
        self._log = structlog.get_logger().bind(service=service)

    def __len__(self) -> int:
        return len(self._members)

    def join(self, client: SessionClient) -> None:
        """A client has opened a session."""
        self._members.add(client)

    def leave(self, client: SessionClient) -> None:
        """A client's session has ended."""
        self._members.discard(client)
        client.close()

    def levels(self) -> set[str]:
        """The levels that any of them asked for."""
        return {client.level for client in self._members if client.level}

    def uris(self) -> tuple[str, ...]:
        """What they are subscribed to, once for each subscriber."""
        return tuple(uri for client in self._members for uri in client.uris)

    def tell(self, notification: Notification) -> None:
        """Queue a notification for each client it concerns."""
        for client in self._concerned(notification):
            if not client.tell(notification):
                self._log.info("notification_dropped", method=notification.method)

    def _concerned(self, notification: Notification) -> Iterator[SessionClient]:
        params = notification.params or {}
        for client in tuple(self._members):
            match notification.method:
                case "notifications/resources/updated":
                    wanted = _is_within(params.get("uri"), client.uris)
                case "notifications/message":
                    wanted = _severe_enough(params.get("level"), client.level or QUIET_LEVEL)
                case _:
                    wanted = True
            if wanted:
                yield client


def _is_within(uri: Any, subscribed: set[str]) -> bool:
    """Whether an update concerns one of these; it may be of a part of what was subscribed to."""
    return isinstance(uri, str) and (
        uri in subscribed or any(uri.startswith(f"{held.rstrip('/')}/") for held in subscribed)
    )


def _severe_enough(level: Any, least: str) -> bool:
    # A level the protocol does not know is not for us to hold back.
    return level not in LEVELS or LEVELS.index(level) >= LEVELS.index(least)
