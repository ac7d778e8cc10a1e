"""Addresses of a name out of DNS: all its A and AAAA records, or those of its SRV records' targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

import anyio
from dns.asyncbackend import get_backend, sniff
from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.nameserver import Do53Nameserver
from dns.rdatatype import RdataType
from dns.rdtypes.IN.SRV import SRV
from dns.resolver import NXDOMAIN
from dns.resolver import Answer as DnsAnswer

from tool_router.balance.discovery import MAX_TTL_S, Address, Answer
from tool_router.errors import GatewayUnreachable

LOOKUP_LIMIT_S = 5.0
"""How long all the questions of one lookup may take together, in seconds."""

MAX_TARGETS = 32
"""Records of one SRV answer that are followed, the most preferred first."""

_FAILURES = (DNSException, OSError, ValueError)
"""What the library raises; the last for a line of ``/etc/resolv.conf`` that it can't use."""

_VERSIONS: Mapping[RdataType, int] = {RdataType.A: 4, RdataType.AAAA: 6}


@dataclass(slots=True)
class _Found:
    """What the questions for the addresses of some names were answered."""

    hosts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """The source and the IP address."""
    ttls: list[float] = field(default_factory=list[float])
    unanswered: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    errors: list[str] = field(default_factory=list[str])


class DnsLookup:
    """Asks the machine's nameservers, or given ones.

    ``/etc/resolv.conf`` is read for each lookup, because it changes with the network; its search list is used
    for short names. ``/etc/hosts`` is not. Runs on asyncio and on trio.

    Args:
        name: a host name; with `srv` the service's name, e.g. ``_mcp._tcp.example.com``. An IP address is its
            own answer.
        port: of the addresses; SRV records bring their own.
        srv: ask for SRV records, and for the addresses of their targets.
        nameservers: address and port of each; None asks those of the machine.
        limit_s: at most `LOOKUP_LIMIT_S`.
    """

    def __init__(
        self,
        name: str,
        port: int = 443,
        *,
        srv: bool = False,
        nameservers: Sequence[tuple[str, int]] | None = None,
        limit_s: float = LOOKUP_LIMIT_S,
    ) -> None:
        self.name = name.rstrip(".")
        self._port = port
        self._srv = srv
        self._nameservers = nameservers
        # The addresses of SRV records' targets are asked for after the records. The whole has no limit
        # besides these: it would take the answers along with the silent question.
        self._question_s = min(limit_s, LOOKUP_LIMIT_S) / (2 if srv else 1)

    async def __call__(self) -> Answer:
        """Ask once.

        Raises:
            GatewayUnreachable: nobody answered in time, there is no such name, or it has no address.
        """
        literal = _literal(self.name)
        if literal is not None:
            return Answer((Address(0, str(literal), self._port, 0, self.name, self.name),), MAX_TTL_S)
        try:
            return await (self._by_srv() if self._srv else self._by_host())
        except _FAILURES as error:
            raise _failed(self.name, _why(error)) from error

    async def _by_host(self) -> Answer:
        found = await self._hosts([self.name])
        addresses = [Address(0, host, self._port, 0, self.name, source) for source, host in found.hosts]
        return _answer(self.name, addresses, found)

    async def _by_srv(self) -> Answer:
        answered = await self._resolve(self.name, RdataType.SRV)
        rows = [row for row in _rows(answered) if isinstance(row, SRV)]
        rows.sort(key=lambda row: (row.priority, -row.weight))
        records = [(row, str(row.target).rstrip(".")) for row in rows[:MAX_TARGETS]]
        if not all(target for _, target in records) or not records:
            # A lone dot says that the service is not offered there (RFC 2782).
            raise _failed(self.name, "the name has no SRV record that leads anywhere")
        found = await self._hosts(sorted({target for _, target in records}))
        found.ttls.append(answered.chaining_result.minimum_ttl)
        domain = _without_service(self.name)
        addresses = [
            Address(row.priority, host, row.port, row.weight, domain, source)
            for row, target in records
            for source, host in found.hosts
            if source == target
        ]
        return _answer(self.name, addresses, found)

    async def _hosts(self, names: Sequence[str]) -> _Found:
        """Ask for both kinds of address of each name at once; what is not answered does not fail the rest."""
        found = _Found()

        async def ask(name: str, kind: RdataType) -> None:
            try:
                answer = await self._resolve(name, kind)
            except NXDOMAIN as error:
                found.errors.append(_why(error))
            except _FAILURES as error:
                found.errors.append(_why(error))
                found.unanswered.add((name, _VERSIONS[kind]))
            else:
                if rows := _rows(answer):
                    found.hosts += [(name, str(row)) for row in rows]
                    found.ttls.append(answer.chaining_result.minimum_ttl)

        async with anyio.create_task_group() as tasks:
            for name in names:
                for kind in _VERSIONS:
                    tasks.start_soon(ask, name, kind)
        return found

    async def _resolve(self, name: str, kind: RdataType) -> DnsAnswer:
        # The library's default backend is that of whichever event loop asked first in the process.
        backend = get_backend(sniff())
        resolver = Resolver(configure=self._nameservers is None)
        if self._nameservers is not None:
            resolver.nameservers = [Do53Nameserver(address, port) for address, port in self._nameservers]
        # Between its attempts the library pauses without regard to its own limit.
        with anyio.fail_after(self._question_s):
            return await resolver.resolve(
                name,
                kind,
                raise_on_no_answer=False,
                lifetime=self._question_s,
                search=True,
                backend=backend,
            )


def _rows(answer: DnsAnswer) -> list[object]:
    """The records of the kind asked for, at the end of whatever aliases lead there."""
    return list(cast("Iterable[object]", answer.rrset or ()))


def _answer(name: str, addresses: Sequence[Address], found: _Found) -> Answer:
    if not addresses:
        raise _failed(name, found.errors[0] if found.errors else "the name has no address")
    return Answer(tuple(sorted(set(addresses))), min(found.ttls), frozenset(found.unanswered))


def _failed(name: str, why: str) -> GatewayUnreachable:
    return GatewayUnreachable(
        f"{name} could not be looked up in DNS: {why}.",
        "See whether the name is right and this machine's nameservers answer.",
    )


def _why(error: Exception) -> str:
    if isinstance(error, NXDOMAIN):
        return "there is no such name"
    if isinstance(error, TimeoutError):
        return "no nameserver answered in time"
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _literal(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name.strip("[]"))
    except ValueError:
        return None


def _without_service(name: str) -> str:
    """The domain of a service's name: what follows its labels, which begin with an underscore."""
    labels = name.split(".")
    while len(labels) > 1 and labels[0].startswith("_"):
        labels = labels[1:]
    return ".".join(labels)
