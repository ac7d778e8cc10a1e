"""At which times of the day services are used, so that they can be woken ahead: pure, local wall-clock times.

For each of the 672 quarter-hours of a week it is kept how often a service was used in it, counted once a day,
where a use of four weeks ago weighs half of one of today. A habit is what happens on most days or, once some
weeks are known, on most days of this weekday.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from service_manager.policy.rules import PredictiveRules

QUARTERS = 96
QUARTER = timedelta(minutes=15)

HALF_LIFE_DAYS = 28.0
"""After so many days a use weighs half: habits of a term or a project end."""

LIKELY = 0.5
"""A habit is what happens more often than not."""

ABSENT_DAYS = 60
"""After so many days without a use a service is observed anew, and what was learned before has faded."""

SERVICES = 200
"""So many services are remembered at most; those that were unused for longest are forgotten first."""

VERSION = 1

_LAST_DAY = datetime.max.replace(tzinfo=UTC).toordinal()


@dataclass(frozen=True, slots=True)
class Mark:
    """The uses in one quarter-hour of the week.

    Attributes:
        count: on how many days.
        weight: the same, where older days weigh less, on the day `day`.
        day: the last of these days, as a proleptic ordinal.
    """

    count: int
    weight: float
    day: int

    def on(self, day: int) -> float:
        """The weight on another day; no more than it was, on one that is earlier."""
        return self.weight * _faded(day - self.day)

    def used(self, day: int) -> Mark:
        """With a use on a day; one more on the same day changes nothing."""
        if day == self.day:
            return self
        # After a clock was set back, days count from the earlier one again.
        return Mark(self.count + 1, self.on(day) + 1.0, day)


@dataclass(slots=True)
class _Service:
    """What is known of one service: the days since when it is observed and when it was last used."""

    first: int
    last: int
    marks: dict[int, Mark]


class Habits:
    """What was learned of the times at which services are used. Bounded: 672 numbers for each of `SERVICES`.

    A clock that is set wrong and then right again spoils what is learned for some weeks at most.
    """

    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}

    def used(self, name: str, now: datetime) -> bool:
        """Note that a service is used now, in local time; whether that was anything new."""
        day, slot = now.toordinal(), _slot(now)
        known = self._services.pop(name, None) or _Service(day, day, {})
        # The last one in the order of the mapping is the last one used.
        self._services[name] = known
        known.first = day if day - known.last > ABSENT_DAYS else min(known.first, day)
        known.last = day
        before = known.marks.get(slot)
        if before is not None and before.day == day:
            return False
        known.marks[slot] = Mark(1, 1.0, day) if before is None else before.used(day)
        while len(self._services) > SERVICES:
            del self._services[next(iter(self._services))]
        return True

    def due(
        self,
        now: datetime,
        rules: PredictiveRules,
        asleep: Callable[[str], bool],
        asked_at: datetime | None = None,
    ) -> tuple[str, ...]:
        """The services worth waking now: those usually used in a quarter-hour that is about to begin.

        Args:
            now: the local time.
            rules: how long ahead of it, how many at most (the likeliest first), and what counts as usual.
            asleep: whether there is a use in waking this one; the others don't count among the most.
            asked_at: when this was asked before: a quarter-hour that was near then already is not considered
                again, so that a service that went back to sleep meanwhile is left alone.
        """
        if not rules.enabled:
            return ()
        ahead = timedelta(seconds=min(rules.ahead_s, 86400.0))
        begin = now
        # After a pause, or when the clock was set, everything near counts as new.
        if asked_at is not None and now - ahead <= asked_at <= now:
            begin = asked_at + ahead + timedelta(microseconds=1)
        moments = _beginnings(begin, now + ahead)
        likely = {
            name: max((self.likelihood(name, moment, rules.observations) for moment in moments), default=0.0)
            for name in self._services
            if asleep(name)
        }
        ranked = sorted(
            (name for name, chance in likely.items() if chance >= LIKELY),
            key=lambda name: (-likely[name], name),
        )
        return tuple(ranked[: max(0, rules.services)])

    def likelihood(self, name: str, moment: datetime, observations: int) -> float:
        """How likely a service is used in the quarter-hour of a moment; 0 with too few observations.

        The share of the days on which it was, both weighted by their age: of all days, but of those of the
        same weekday once `observations` of them have passed.
        """
        known = self._services.get(name)
        if known is None:
            return 0.0
        day, slot = moment.toordinal(), _slot(moment)
        passed = max(0, day - known.first)
        every = 7 if passed // 7 >= observations else 1
        period = QUARTERS * every
        marks = [mark for place, mark in known.marks.items() if place % period == slot % period]
        if sum(mark.count for mark in marks) < max(1, observations):
            return 0.0
        return min(1.0, sum(mark.on(day) for mark in marks) / _days(passed, every))

    def keep(self, names: Collection[str]) -> None:
        """Forget every other service."""
        self._services = {name: known for name, known in self._services.items() if name in names}

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, for `habits_from_json`."""
        return {
            "version": VERSION,
            "services": {
                name: {
                    "first": known.first,
                    "last": known.last,
                    "marks": {
                        str(slot): [mark.count, round(mark.weight, 4), mark.day]
                        for slot, mark in known.marks.items()
                    },
                }
                for name, known in self._services.items()
            },
        }

    def restore(self, value: object) -> None:
        """Take over what `to_json` gave, in place of everything; what can't be understood is left out."""
        self._services = {}
        data = _mapping(value)
        if data.get("version") != VERSION:
            return
        for name, entry in list(_mapping(data.get("services")).items())[-SERVICES:]:
            fields = _mapping(entry)
            first, last = fields.get("first"), fields.get("last")
            if not _day(first) or not _day(last):
                continue
            marks = {
                int(slot): mark
                for slot, numbers in _mapping(fields.get("marks")).items()
                if slot.isascii() and slot.isdigit() and len(slot) <= 3 and int(slot) < 7 * QUARTERS
                if (mark := _mark(numbers)) is not None
            }
            self._services[name] = _Service(cast("int", first), cast("int", last), marks)


def habits_from_json(value: object) -> Habits:
    """What was learned before; nothing where the value can't be understood."""
    habits = Habits()
    habits.restore(value)
    return habits


def _slot(moment: datetime) -> int:
    return moment.weekday() * QUARTERS + moment.hour * 4 + moment.minute // 15


def _beginnings(begin: datetime, end: datetime) -> list[datetime]:
    """When the quarter-hours begin, from one time to another, both included."""
    into = timedelta(minutes=begin.minute % 15, seconds=begin.second, microseconds=begin.microsecond)
    moment = begin if not into else begin - into + QUARTER
    found: list[datetime] = []
    while moment <= end:
        found.append(moment)
        moment += QUARTER
    return found


def _faded(days: int) -> float:
    return 0.5 ** (max(0, days) / HALF_LIFE_DAYS)


def _days(passed: int, every: int) -> float:
    """The weight of the days on which it could have been used: every so many of those passed, and one more.

    The sum of a geometric series, as long as the days since the first use.
    """
    ratio = _faded(every)
    return (1 - ratio ** (passed // every + 1)) / (1 - ratio)


def _mapping(value: object) -> Mapping[str, Any]:
    found = cast("dict[Any, Any]", value) if isinstance(value, dict) else {}
    return {key: item for key, item in found.items() if isinstance(key, str)}


def _day(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LAST_DAY


def _mark(value: object) -> Mark | None:
    match value:
        case [int(count), float() | int() as weight, int(day)] if (
            _day(day) and 1 <= count <= 1_000_000 and 0 <= weight <= count
        ):
            return Mark(count, float(weight), day)
        case _:
            return None
