"""A TCP proxy on 127.0.0.1 that treats what passes through it as a bad network does.

`kinds` names the toxics, `course` finds where in a stream they act, `wire` holds the sockets, `link` carries
one connection, `proxy` runs it all.
"""

from tests.support.toxics.kinds import (
    Bandwidth,
    Blackhole,
    Direction,
    Jitter,
    Latency,
    LimitData,
    Place,
    Reset,
    Slicer,
    SlowClose,
    Toxic,
)
from tests.support.toxics.proxy import ToxicProxy, toxic_proxy

__all__ = [
    "Bandwidth",
    "Blackhole",
    "Direction",
    "Jitter",
    "Latency",
    "LimitData",
    "Place",
    "Reset",
    "Slicer",
    "SlowClose",
    "Toxic",
    "ToxicProxy",
    "toxic_proxy",
]
