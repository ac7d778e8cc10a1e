"""Which calls share an upstream session of ContextForge. Pure, but for the clock it is given.

ContextForge opens a session with the service behind it for every call, which is most of what a call costs.
Calls that name one `Mcp-Session-Id`, any id, share a session instead (release 1.0.7: p50 40 ms against
161 ms). What was observed there, and what follows from it:

- Calls of one id and service run one after the other. So an id is shared only among tools that are known to
  be quick, and never behind a call that has run for long; what finds no id goes without one.
- A session whose service was restarted fails its next call, at once or after a minute. So all ids of a
  service are given up with the first failure, and the service is left without ids for a while.
- A session is kept until the gateway ends, at about 0.6 MB and a file descriptor, and nothing a client sends
  closes it. So ids are few, made only when the others are busy, and derived from a seed: who keeps the seed
  finds the same sessions again.
- The gateway tells sessions apart by id and service alone, not by user. So ids can't be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cachetools import LRUCache

from tool_router.catalog.model import Tool

QUICK_S = 1.0
"""A call that takes longer gains little from a shared session, and holds up the others of its id."""

FIRST_REST_S = 60.0
"""How long a service is left without ids after its sessions failed; doubles with each failure in a row."""

MAX_REST_S = 3600.0
"""The longest such rest: at most one set of abandoned sessions an hour is left behind in the gateway."""

_KEPT = 1024
"""Services, and tools, of which something is remembered; the least recently used are forgotten."""


@dataclass(eq=False, slots=True)
class _Session:
    """One id of a service.

    Attributes:
        in_flight: calls that were sent with it and are not answered.
        exclusive: its call is of a tool not known to be quick, which nobody is to wait behind; says nothing
            while it is idle.
        moved_at: when it began to be busy, or last answered; since then its first call runs.
        used_at: when it was last taken.
    """

    id: str
    in_flight: int = 0
    exclusive: bool = False
    moved_at: float = 0.0
    used_at: float = 0.0


@dataclass(eq=False, slots=True)
class _Service:
    """The ids of one service.

    Attributes:
        generation: rises when its ids are given up.
        losses: how often that was, without an answer in between.
        rest_until: until then its calls go without an id.
    """

    name: str
    generation: int = 0
    losses: int = 0
    rest_until: float = 0.0
    sessions: list[_Session] = field(default_factory=list[_Session])


@dataclass(eq=False, slots=True)
class Use:
    """The session of one call.

    Attributes:
        id: what to send as `Mcp-Session-Id`; empty to send none.
        lost: set it where the answer says that the session may be broken.
    """

    id: str = ""
    lost: bool = False


class SessionPool:
    """Hands out session ids for calls.

    Args:
        limit: ids of one service at most; 0 hands out none.
        seed: secret; the same seed gives the same ids. Two processes that run at once and share one share
            sessions, and wait for each other.
        clock: monotonic seconds.
    """

    def __init__(self, limit: int, seed: bytes, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._seed = seed
        self._clock = clock
        self._services: LRUCache[str, _Service] = LRUCache(_KEPT)
        self._quick: LRUCache[str, bool] = LRUCache(_KEPT)

    @property
    def enabled(self) -> bool:
        """Whether ids are handed out at all."""
        return self._limit > 0

    def disable(self) -> None:
        """Hand out no more ids: the gateway takes none that it did not give."""
        self._limit = 0

    def forget(self, server: str) -> None:
        """Give up the ids of a service that is known to be away; new ones are made when it is back."""
        service = self._services.get(server)
        if service is not None and service.sessions:
            service.generation += 1
            service.sessions = []

    @contextmanager
    def use(self, tool: Tool) -> Generator[Use]:
        """The session of a call of this tool, for the block in which the call is made.

        A block that raises after more than `QUICK_S` has lost its session: an error that came at once is the
        gateway's own, or a caller's who thought better of it, but a long silence may be the session's.
        """
        service = self._service(tool) if self.enabled and tool.server else None
        session = self._take(service, self._quick.get(tool.call_name)) if service is not None else None
        alone = session is None or session.in_flight == 1
        use = Use(session.id if session is not None else "")
        began, answered = self._clock(), False
        generation = service.generation if service is not None else 0
        try:
            yield use
            answered = True
        finally:
            took_s = self._clock() - began
            if alone:
                self._quick[tool.call_name] = took_s <= QUICK_S
            if service is not None and session is not None:
                session.in_flight -= 1
                session.moved_at = self._clock()
                if service.generation == generation:
                    if use.lost or (not answered and took_s > QUICK_S):
                        self._give_up(service)
                    elif answered:
                        service.losses = 0

    def _service(self, tool: Tool) -> _Service:
        service = self._services.get(tool.server)
        if service is None:
            service = self._services[tool.server] = _Service(tool.server)
        return service

    def _take(self, service: _Service, quick: bool | None) -> _Session | None:
        """An id that answers at once, or nearly; None where a call is better off without one.

        Of the idle ids the most recently used, so that as few as possible are made and kept.
        """
        now = self._clock()
        if quick is False or now < service.rest_until:
            return None
        idle = [session for session in service.sessions if session.in_flight == 0]
        if idle:
            session = max(idle, key=lambda session: session.used_at)
        elif len(service.sessions) < self._limit:
            session = self._make(service)
        elif quick:
            shared = [
                session
                for session in service.sessions
                if not session.exclusive and now - session.moved_at <= QUICK_S
            ]
            if not shared:
                return None
            session = min(shared, key=lambda session: (session.in_flight, session.used_at))
        else:
            return None
        if session.in_flight == 0:
            session.moved_at = now
            session.exclusive = not quick
        session.in_flight += 1
        session.used_at = now
        return session

    def _make(self, service: _Service) -> _Session:
        place = f"{service.name}\0{service.generation}\0{len(service.sessions)}"
        digest = hmac.new(self._seed, place.encode(errors="surrogatepass"), hashlib.sha256)
        session = _Session(digest.hexdigest()[:32])
        service.sessions.append(session)
        return session

    def _give_up(self, service: _Service) -> None:
        rest_s = min(MAX_REST_S, FIRST_REST_S * 2.0 ** min(service.losses, 30))
        service.losses += 1
        service.generation += 1
        service.sessions = []
        service.rest_until = self._clock() + rest_s
