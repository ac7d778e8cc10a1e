"""City names to IANA time zones, from the zone names of the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from zoneinfo import available_timezones

_REGIONS = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)
_NOT_PLACES = frozenset({"localtime", "factory", "posixrules", "universal", "zulu", "greenwich", "center"})


@cache
def zone_index() -> Mapping[str, str]:
    """Lower-case city, country and zone names to zone names; built on first use (reads the zone database).

    ``Region/City`` comes before three-part names and those before the old country aliases, so "Singapore"
    is Asia/Singapore and "Japan" still is something.
    """
    index: dict[str, str] = {}
    zones = sorted(available_timezones(), key=_rank)
    for zone in zones:
        index.setdefault(zone.lower(), zone)
    for zone in zones:
        if _rank(zone)[0] < 3:
            city = zone.rsplit("/", 1)[-1].replace("_", " ").lower()
            if city not in _NOT_PLACES:
                index.setdefault(city, zone)
    return index


def _rank(zone: str) -> tuple[int, str]:
    parts = zone.split("/")
    if parts[0] in _REGIONS:
        return min(len(parts) - 2, 1), zone
    return (2 if len(parts) == 1 else 3), zone


def zone_of(name: str) -> str | None:
    """The zone of a city, a country or a zone name; None when the zone database does not name it."""
    index = zone_index()
    low = " ".join(name.lower().replace("_", " ").split())
    for form in (
        low,
        low.replace(" ", "_"),
        low.removesuffix(" time"),
        low.removesuffix(" timezone"),
        low.removesuffix(" city"),
    ):
        found = index.get(form)
        if found is not None:
            return found
    return None
