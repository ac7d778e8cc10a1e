"""What a call can be sent to."""

from __future__ import annotations

from dataclasses import dataclass

from tool_router.gateway.protocol import Gateway


@dataclass(frozen=True, slots=True)
class Target:
    """One gateway of a pool; `name` is its breaker key and what errors and logs call it."""

    name: str
    gateway: Gateway
