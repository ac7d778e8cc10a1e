"""A DNS server on 127.0.0.1 in the test's own event loop, whose answers a test changes while it runs."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.abc
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

MAX_CHAIN = 8


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one name and kind.

    Attributes:
        ttl_s: how long they may be kept.
        rows: as they stand in a zone file, e.g. ``127.0.0.1`` or ``10 5 443 a.example.com.``.
    """

    ttl_s: int
    rows: tuple[str, ...]


@dataclass(eq=False)
class DnsServer:
    """A running server.

    Attributes:
        port: of 127.0.0.1, UDP and TCP.
        zone: records by lower-case name without a final dot, and kind ("A", "AAAA", "SRV", "CNAME"). A name
            that has none of any kind does not exist.
        codes: by name and kind: the error that is answered instead, e.g. ``dns.rcode.SERVFAIL``.
        silent: names and kinds that are never answered.
        truncating: answer over UDP that the answer is too long, so that it is asked for over TCP.
        asked: what was asked for, in order.
    """

    port: int
    zone: dict[tuple[str, str], Records] = field(default_factory=dict[tuple[str, str], Records])
    codes: dict[tuple[str, str], dns.rcode.Rcode] = field(
        default_factory=dict[tuple[str, str], dns.rcode.Rcode]
    )
    silent: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    truncating: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    @property
    def nameservers(self) -> list[tuple[str, int]]:
        """What a client is given."""
        return [("127.0.0.1", self.port)]

    def set(self, name: str, kind: str, *rows: str, ttl_s: int = 60) -> None:
        """Give a name these records of a kind, instead of those it had."""
        self.zone[(name, kind)] = Records(ttl_s, rows)

    def answer(self, wire: bytes, over: str) -> bytes | None:
        """The answer to a question as it came; None for silence."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind, over))
        if (name, kind) in self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if over == "udp" and self.truncating:
            response.flags |= dns.flags.TC
            return response.to_wire()
        if (name, kind) in self.codes:
            response.set_rcode(self.codes[(name, kind)])
        elif not any(owner == name for owner, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            self._fill(response, name, kind)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(MAX_CHAIN):
            for found in ("CNAME", kind):
                records = self.zone.get((name, found))
                if records is not None and records.rows:
                    rrset = dns.rrset.from_text(f"{name}.", records.ttl_s, "IN", found, *records.rows)
                    response.answer.append(rrset)
            alias = self.zone.get((name, "CNAME"))
            if alias is None:
                return
            name = alias.rows[0].rstrip(".").lower()


@asynccontextmanager
async def dns_server() -> AsyncGenerator[DnsServer]:
    """Serve until the block is left, over UDP and TCP."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    server = DnsServer(port)
    udp = await anyio.create_udp_socket(family=socket.AF_INET, local_host="127.0.0.1", local_port=port)

    async def serve_udp() -> None:
        async for wire, (host, sender) in udp:
            response = server.answer(wire, "udp")
            if response is not None:
                await udp.sendto(response, host, sender)

    async def serve_tcp(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            length = int.from_bytes(await stream.receive(2))
            response = server.answer(await stream.receive(length), "tcp")
            if response is not None:
                await stream.send(len(response).to_bytes(2) + response)

    async with udp, listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serve_udp)
        tasks.start_soon(listener.serve, serve_tcp)
        try:
            yield server
        finally:
            tasks.cancel_scope.cancel()
