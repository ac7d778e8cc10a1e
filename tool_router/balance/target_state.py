"""What is known of one target: how it is configured, and what it does at the moment."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tool_router.balance.window import PerformanceWindow


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """The configuration of one target.

    Attributes:
        name: unique in its pool.
        weight: how much it bears beside the others, above 0.
        region: where it is; empty when that is not told.
        models: the models it serves; empty when that is not told.
        labels: what a request may require of it.
        capacity: calls it takes at once; 0 is no bound.
        price: what one call costs, in any unit that is the same for all; 0 is free.
        quality: how good its answers are taken to be before there is feedback, in [0, 1].

    Raises:
        ValueError: a number is out of its range.
    """

    name: str
    weight: float = 1.0
    region: str = ""
    models: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    capacity: int = 0
    price: float = 0.0
    quality: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError("weight must be above 0 and finite")
        if self.capacity < 0 or not 0 <= self.price < math.inf:
            raise ValueError("capacity and price must be at least 0")
        if not 0 <= self.quality <= 1:
            raise ValueError("quality must be in [0, 1]")


class TargetState:
    """One target as strategies see it. Live: its pool changes it, strategies only read it.

    Attributes:
        spec: its configuration; replaced when that changes.
        in_flight: calls of it that are under way.
        in_flight_elsewhere: those that other routers told of. They load it like its own, but take up none of
            the places that this router has there.
        queued: calls that wait for a place.
        window: how it did of late.
        share: how much of its normal share of calls it gets, in (0, 1]; below 1 while it recovers.
    """

    __slots__ = ("in_flight", "in_flight_elsewhere", "queued", "share", "spec", "window")

    def __init__(self, spec: TargetSpec, window: PerformanceWindow) -> None:
        self.spec = spec
        self.in_flight = 0
        self.in_flight_elsewhere = 0
        self.queued = 0
        self.window = window
        self.share = 1.0

    @property
    def under_way(self) -> int:
        """Calls that load it: this router's and those of others."""
        return self.in_flight + self.in_flight_elsewhere

    def __repr__(self) -> str:
        return f"TargetState({self.spec.name!r}, in_flight={self.in_flight}, share={self.share:g})"
