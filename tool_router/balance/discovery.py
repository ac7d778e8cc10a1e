"""Which addresses a name has, kept current: what a pool's targets are made of when they are found by DNS."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

import anyio
import structlog

from tool_router.catalog.backoff import backoff_s
from tool_router.errors import GatewayUnreachable

MIN_TTL_S = 5.0
"""Nobody is asked more often: managed DNS with a TTL of 0 must not become a lookup for every call."""

MAX_TTL_S = 300.0
"""A failover is noticed within this time, however long the answer may be kept."""

MAX_RETRY_S = 60.0
"""A name whose lookup fails is asked again within this time."""

_SHOWN = 5


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One address a name leads to.

    A target made of it is connected to by `host` and `port`, but must go on speaking for `name`. With httpx2
    the URL holds `key`, the `Host` header the name (with the port, where it is not the scheme's own), and the
    request's extension ``sni_hostname`` the name, which TLS then both sends and checks the certificate
    against. With plain HTTP the `Host` header is enough.

    Attributes:
        priority: of an SRV record: only targets of the lowest number are used while any of them works.
        host: the IP address.
        port: of an SRV record, or the one that was asked for.
        weight: of an SRV record: its share among those of its priority; 0 is close to none (RFC 2782).
        name: what TLS and the `Host` header name. For an SRV record it is the name that was configured,
            without the service's labels: whoever can forge DNS must not choose whose certificate is accepted
            (RFC 9525, 6.1).
        source: the name that has this address: `name`, or an SRV record's target.
    """

    priority: int
    host: str
    port: int
    weight: int
    name: str
    source: str

    @property
    def key(self) -> str:
        """Tells it from others of the same name, e.g. ``10.0.0.1:443`` or ``[::1]:443``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a lookup found.

    Attributes:
        addresses: at least one.
        ttl_s: how long it may be kept, in seconds.
        unanswered: sources and IP versions that were not answered, e.g. ``("a.example.com", 6)``; what was
            known of them still holds.
    """

    addresses: tuple[Address, ...]
    ttl_s: float
    unanswered: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """How an answer differs from the one before, by `Address.key`.

    Attributes:
        added: new ones.
        removed: those that are gone.
        changed: those with another priority, weight or name, as they are now.
    """

    added: tuple[Address, ...] = ()
    removed: tuple[Address, ...] = ()
    changed: tuple[Address, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class Lookup(Protocol):
    """Asks for the addresses of one name."""

    name: str
    """What is asked for, for messages."""

    async def __call__(self) -> Answer:
        """Ask once, within a few seconds.

        Raises:
            GatewayUnreachable: nobody answered, or there is no address.
        """
        ...


class Discovery:
    """Keeps the addresses of a name current while `run` runs.

    A lookup that fails changes nothing: the last good answer is kept, however old, and that is said once. An
    empty answer counts as a failure too: no name leads nowhere on purpose.

    Args:
        lookup: asks.
        on_change: told each time the addresses differ from those before, the first time too; returns at once
            and does not raise.
        draw: a random number in [0, 1) for the pauses after failures.
    """

    def __init__(
        self,
        lookup: Lookup,
        on_change: Callable[[Change], None],
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._lookup = lookup
        self._on_change = on_change
        self._draw = draw
        self._known: dict[str, Address] = {}
        self._failures = 0
        self._error: GatewayUnreachable | None = None
        self._asked = anyio.Event()
        self._log = structlog.get_logger()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The last good answer, by priority; empty when there was none yet."""
        return tuple(sorted(self._known.values()))

    @property
    def error(self) -> GatewayUnreachable | None:
        """Why the last lookup failed; None when it did not."""
        return self._error

    async def first(self) -> tuple[Address, ...]:
        """Wait for the first lookup to end, while `run` runs; the addresses.

        Raises:
            GatewayUnreachable: it failed, and there are none.
        """
        await self._asked.wait()
        if not self._known and self._error is not None:
            raise self._error
        return self.addresses

    async def run(self) -> None:
        """Ask, and ask again whenever the answer has aged, until cancelled."""
        while True:
            pause_s = await self._ask()
            await anyio.sleep(pause_s)

    async def _ask(self) -> float:
        """Ask once; gives the seconds until it is to be asked again."""
        try:
            answer = await self._lookup()
        except GatewayUnreachable as error:
            self._note_failure(error)
            # Half of the pause is drawn: routers that lost the same nameserver do not come back together.
            return backoff_s(self._failures, first_s=2 * MIN_TTL_S, limit_s=MAX_RETRY_S, jitter=self._draw())
        else:
            self._note_answer(answer)
            return min(MAX_TTL_S, max(MIN_TTL_S, answer.ttl_s))
        finally:
            self._asked.set()

    def _note_answer(self, answer: Answer) -> None:
        if self._failures:
            self._log.info("discovery_recovered", name=self._lookup.name, failures=self._failures)
        self._failures, self._error = 0, None
        kept = {
            key: address
            for key, address in self._known.items()
            if (address.source, ip_address(address.host).version) in answer.unanswered
        }
        now = kept | {address.key: address for address in answer.addresses}
        change = difference(self._known, now)
        self._known = now
        if change:
            self._log.info(
                "discovery_changed",
                name=self._lookup.name,
                addresses=len(now),
                added=[address.key for address in change.added[:_SHOWN]],
                removed=[address.key for address in change.removed[:_SHOWN]],
            )
            self._on_change(change)

    def _note_failure(self, error: GatewayUnreachable) -> None:
        self._failures += 1
        # A nameserver that is down for a night says so once, and a new reason is said again.
        if self._error is None or str(self._error) != str(error):
            self._log.warning(
                "discovery_failed", name=self._lookup.name, kept=len(self._known), reason=str(error)
            )
        self._error = error


def difference(before: Mapping[str, Address], now: Mapping[str, Address]) -> Change:
    """What was added, removed and changed between two sets of addresses, each by `Address.key`. Pure."""
    return Change(
        added=tuple(sorted(now[key] for key in now.keys() - before.keys())),
        removed=tuple(sorted(before[key] for key in before.keys() - now.keys())),
        changed=tuple(sorted(now[key] for key in now.keys() & before.keys() if now[key] != before[key])),
    )
