"""What can be wrong with a connection, where on its way, and in which direction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which half of a connection a toxic acts on."""

    UPSTREAM = "upstream"
    """What the client sends: requests."""
    DOWNSTREAM = "downstream"
    """What the server sends: answers."""


class Place(StrEnum):
    """From where on a toxic acts."""

    CONNECT = "connect"
    """The connection's beginning, before its first byte."""
    HEADERS = "headers"
    """The first byte of a message."""
    BODY = "body"
    """The first byte after a message's header block."""
    MID_STREAM = "mid_stream"
    """`Toxic.after` bytes into a message's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """One thing that is wrong with the connections of a proxy.

    Attributes:
        place: from where on it acts; each message of a connection is treated anew.
        direction: of the bytes it acts on. A connection has none before its first byte, so there only
            `Blackhole`, `Latency` and `Reset` are the same in both.
        after: bytes of the body that still pass at `Place.MID_STREAM`.
    """

    place: Place = Place.HEADERS
    direction: Direction = Direction.DOWNSTREAM
    after: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Toxic):
    """Each message is held once, at its place, for `delay_s`; at CONNECT, the connection is."""

    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter(Toxic):
    """Each read is held for a time drawn evenly between 0 and `most_s`, the same for the same `seed`."""

    most_s: float
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(Toxic):
    """At most `bytes_per_s` pass, evenly."""

    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackhole(Toxic):
    """Nothing passes and nobody is told; a connection that met it stays dead when the proxy is healed.

    At CONNECT, the proxy's backlog is full, so that the kernel drops every attempt to connect.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Toxic):
    """Both ends get an RST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicer(Toxic):
    """What passes is cut into pieces of `size` bytes, each a packet of its own."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitData(Toxic):
    """`count` more bytes pass, then both ends are closed in order (FIN)."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClose(Toxic):
    """Once its place was reached, the end of one side is told to the other only after `delay_s`."""

    delay_s: float
