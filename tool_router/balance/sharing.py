"""What a router tells others about its targets, and what it makes of what they tell. Pure.

Clocks of machines differ, so that only durations are told, and each counts from when it was told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tool_router.balance.breaker import State, Transition
from tool_router.gateway.json_value import as_list, as_object, decode

T = TypeVar("T")

VERSION = 1
"""Of the form of a report; one of another version is not read."""
MOST_BYTES = 256 * 1024
"""The largest report that is read: `MOST_OPENINGS` and hundreds of targets, all with long names."""
MOST_IN_FLIGHT = 1_000_000
MOST_HOLD_S = 3600.0
"""The longest that another router's breaker holds calls off here: what it tells could be damaged."""
MOST_OPENINGS = 256
"""Open breakers in a report, the earliest opened first."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A breaker of a router that is open.

    Attributes:
        number: counts the times that breakers of this router opened: a breaker that opens again has another.
        left_s: seconds until that router tries again.
    """

    number: int
    left_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a router tells of this moment.

    Attributes:
        in_flight: its calls under way, by the target's name; those without any are missing.
        openings: its open breakers, by key.
    """

    in_flight: Mapping[str, int]
    openings: Mapping[str, Opening]


@dataclass(frozen=True, slots=True)
class Heard:
    """A report as it was read.

    Attributes:
        report: what was told.
        age_s: how long ago that was, in seconds.
    """

    report: Report
    age_s: float


def to_bytes(report: Report) -> bytes:
    """The form in which a report is told."""
    openings = {key: [one.number, round(one.left_s, 3)] for key, one in report.openings.items()}
    value = {"v": VERSION, "in_flight": dict(report.in_flight), "open": openings}
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def from_bytes(data: bytes) -> Report:
    """Read what `to_bytes` wrote.

    Raises:
        ValueError: it is not of this form; somebody else's, or another version's.
    """
    if len(data) > MOST_BYTES:
        raise ValueError("too long for a report")
    try:
        value = as_object(decode(data))
    except RecursionError as error:
        raise ValueError("nested too deeply for a report") from error
    if value is None or value.get("v") != VERSION:
        raise ValueError("not a report of this version")
    in_flight, openings = as_object(value.get("in_flight")), as_object(value.get("open"))
    if in_flight is None or openings is None or len(openings) > MOST_OPENINGS:
        raise ValueError("not a report")
    return Report(
        {name: _count(count, MOST_IN_FLIGHT) for name, count in in_flight.items()},
        {key: _opening(one) for key, one in openings.items()},
    )


def _opening(value: object) -> Opening:
    pair = as_list(value)
    if pair is None or len(pair) != 2:
        raise ValueError("not an open breaker")
    number, left_s = pair
    if isinstance(left_s, bool) or not isinstance(left_s, int | float) or not 0 <= left_s < math.inf:
        raise ValueError("not a time that is left")
    return Opening(_count(number, 2**63), min(float(left_s), MOST_HOLD_S))


def _count(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError("not a count")
    return value


def added_up(reports: Iterable[Report]) -> Mapping[str, int]:
    """The calls under way at all these routers, by target."""
    total: dict[str, int] = {}
    for report in reports:
        for name, count in report.in_flight.items():
            total[name] = total.get(name, 0) + count
    return total


class Openings:
    """Numbers the openings of this router's own breakers.

    A breaker that only follows another router's is not open: it rests. So nothing is told back.
    """

    def __init__(self) -> None:
        self._count = 0
        self._numbers: dict[str, int] = {}

    def moved(self, key: str, transition: Transition) -> None:
        """Note a breaker's transition."""
        self._numbers.pop(key, None)
        if transition.after is State.OPEN:
            self._count += 1
            self._numbers[key] = self._count

    def current(self, states: Mapping[str, State], waits: Mapping[str, float]) -> Mapping[str, Opening]:
        """The breakers that are open now.

        Args:
            states: of this router's breakers, by key.
            waits: seconds until they admit a call again, where they refuse.
        """
        found: dict[str, Opening] = {}
        for key, number in self._numbers.items():
            if len(found) >= MOST_OPENINGS:
                break
            if states.get(key) is State.OPEN and key in waits:
                found[key] = Opening(number, waits[key])
        return found


@dataclass(frozen=True, slots=True)
class Hold:
    """Calls are to be held off here: a breaker has opened elsewhere.

    Attributes:
        key: of the breaker.
        left_s: for how long, in seconds.
    """

    key: str
    left_s: float


@dataclass(frozen=True, slots=True)
class Release:
    """A hold is over before its time: the breaker is no longer open elsewhere.

    Attributes:
        key: of the breaker.
        left_s: seconds for which other openings of that breaker still hold calls off; 0.0 for none.
    """

    key: str
    left_s: float


class Followed:
    """Which openings of other routers' breakers are followed here, each of them once.

    An opening is followed from when it is first heard, so that a person who resets the breaker here has the
    last word. It ends with the rest that was told, or when its router tells of it no longer. A router that is
    silent says nothing about its openings: they go on until their rest is over.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, float]] = {}

    def hear(self, heard: Mapping[str, Heard], now: float) -> Sequence[Hold | Release]:
        """Follow what routers tell.

        Args:
            heard: the reports that were read, by router.
            now: a reading of this router's clock.

        Returns:
            What to do about it here, in this order; the same reports heard again change nothing.
        """
        return [*self._ended(heard, now), *self._begun(heard, now)]

    def _ended(self, heard: Mapping[str, Heard], now: float) -> Sequence[Release]:
        before = self._ends()
        for (router, key), (_, ends) in tuple(self._known.items()):
            over = key not in heard[router].report.openings if router in heard else ends <= now
            if over:
                del self._known[router, key]
        after = self._ends()
        return [
            Release(key, max(0.0, after.get(key, now) - now))
            for key, ends in before.items()
            if ends > now and ends > after.get(key, now)
        ]

    def _begun(self, heard: Mapping[str, Heard], now: float) -> Sequence[Hold]:
        begun: list[Hold] = []
        for router, one in heard.items():
            for key, opening in one.report.openings.items():
                known = self._known.get((router, key))
                if known is not None and known[0] == opening.number:
                    continue
                left_s = max(0.0, opening.left_s - one.age_s)
                # Noted although it may be over: heard once more, it must not be taken for a new one.
                self._known[router, key] = opening.number, now + left_s
                if left_s:
                    begun.append(Hold(key, left_s))
        return begun

    def _ends(self) -> Mapping[str, float]:
        """For each key, when the last hold on it ends."""
        ends: dict[str, float] = {}
        for (_, key), (_, at) in self._known.items():
            ends[key] = max(at, ends.get(key, at))
        return ends


class Turns:
    """Takes a bounded part of a list at a time, so that all of it has its turn."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, items: Sequence[T], most: int) -> Sequence[T]:
        """The next ones, at most so many; the list may be another one each time."""
        if len(items) <= most:
            return items
        start = self._next % len(items)
        self._next = start + most
        return [*items[start : start + most], *items[: max(0, start + most - len(items))]]
