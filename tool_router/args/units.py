"""Units of measure: which words name one, what they measure, and conversion within one dimension."""

from __future__ import annotations

import re
from collections.abc import Mapping

_FACTORS: Mapping[str, Mapping[str, float]] = {
    "length": {
        "m": 1, "meter": 1, "metre": 1, "km": 1e3, "kilometer": 1e3, "kilometre": 1e3, "cm": 1e-2,
        "centimeter": 1e-2,
        "centimetre": 1e-2, "mm": 1e-3, "millimeter": 1e-3, "mile": 1609.344, "mi": 1609.344, "foot": 0.3048,
        "feet": 0.3048, "ft": 0.3048, "inch": 0.0254, "inches": 0.0254, "yard": 0.9144, "nm": 1e-9,
        "nanometer": 1e-9,
        "um": 1e-6, "µm": 1e-6, "micrometer": 1e-6,
    },
    "time": {
        "s": 1, "sec": 1, "second": 1, "ms": 1e-3, "millisecond": 1e-3, "min": 60, "minute": 60, "h": 3600,
        "hr": 3600,
        "hour": 3600, "day": 86400, "week": 604800,
    },
    "calendar": {"month": 1, "year": 12, "yr": 12, "decade": 120, "century": 1200},
    "mass": {
        "kg": 1, "kilogram": 1, "g": 1e-3, "gram": 1e-3, "mg": 1e-6, "milligram": 1e-6, "lb": 0.45359237,
        "lbs": 0.45359237, "pound": 0.45359237, "ounce": 0.028349523125, "oz": 0.028349523125, "ton": 1e3,
        "tonne": 1e3,
    },
    "capacitance": {"f": 1, "farad": 1, "µf": 1e-6, "μf": 1e-6, "uf": 1e-6, "nf": 1e-9, "pf": 1e-12,
    "mf": 1e-3},
    "inductance": {"henry": 1, "henrie": 1, "mh": 1e-3, "µh": 1e-6, "μh": 1e-6},
    "frequency": {"hz": 1, "hertz": 1, "khz": 1e3, "mhz": 1e6, "ghz": 1e9},
    "power": {"w": 1, "watt": 1, "kw": 1e3, "kilowatt": 1e3, "mw": 1e6, "megawatt": 1e6},
    "current": {"ampere": 1, "amp": 1, "a": 1, "ma": 1e-3, "milliampere": 1e-3},
    "voltage": {"volt": 1, "v": 1, "mv": 1e-3, "millivolt": 1e-3, "kv": 1e3},
    "energy": {"j": 1, "joule": 1, "kj": 1e3, "kilojoule": 1e3, "cal": 4.184, "kcal": 4184},
    "pressure": {"pa": 1, "pascal": 1, "kpa": 1e3, "kilopascal": 1e3},
    "volume": {"l": 1, "liter": 1, "litre": 1, "ml": 1e-3, "milliliter": 1e-3, "millilitre": 1e-3},
    "data": {"byte": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
    "temperature celsius": {"celsiu": 1, "celsius": 1, "°c": 1, "ºc": 1},
    "temperature fahrenheit": {"fahrenheit": 1, "°f": 1, "ºf": 1},
    "temperature kelvin": {"kelvin": 1, "°k": 1},
    "percent": {"%": 1, "percent": 1, "percentage": 1},
    "money": {"$": 1, "usd": 1, "dollar": 1, "€": 1, "eur": 1, "euro": 1, "£": 1, "gbp": 1, "buck": 1},
}  # fmt: skip
_DIMENSION = {name: dimension for dimension, names in _FACTORS.items() for name in names}
_SPEED = re.compile(r".+(?:/|\bper\b).+|mph|kph|kmh")


_BY_NAME: Mapping[str, tuple[str, ...]] = {
    "time": ("time", "duration", "period", "term", "age", "timeframe", "days", "hours", "minutes",
    "seconds", "weeks"),
    "calendar": ("time", "duration", "period", "term", "age", "timeframe", "years", "months"),
    "length": ("distance", "length", "height", "width", "radius", "depth", "diameter", "altitude",
    "elevation", "side",
               "base", "thickness", "wavelength", "perimeter", "range", "size"),
    "mass": ("mass", "weight"),
    "temperature": ("temperature", "temp"),
    "compound": ("speed", "velocity", "acceleration", "rate", "density", "gravity", "flow"),
    "money": ("price", "cost", "budget", "amount", "principal", "salary", "income", "investment",
    "invested", "deposit",
              "fee", "payment", "revenue", "profit", "value", "equity", "dividends", "money", "capital",
              "assets",
              "contribution", "loan", "balance", "funding", "donation", "charge", "bid", "expense",
              "expenses", "total"),
    "percent": ("rate", "percent", "percentage", "interest", "return", "yield", "discount", "tax", "growth",
    "probability",
                "confidence", "level", "share", "ratio", "margin", "humidity", "increase", "decrease",
                "inflation"),
    "frequency": ("frequency", "freq"), "capacitance": ("capacitance",), "inductance": ("inductance",),
    "power": ("power",), "current": ("current",), "voltage": ("voltage", "potential"), "energy": ("energy",
    "heat"),
    "pressure": ("pressure",), "volume": ("volume", "capacity"), "data": ("size", "memory", "storage",
    "space"),
}  # fmt: skip
_MEASURES = {name for names in _BY_NAME.values() for name in names}
_SPELLED = (
    ("metres", "m"), ("meters", "m"), ("meter", "m"), ("seconds", "s"), ("second", "s"), ("hours", "h"),
    ("hour", "h"),
    ("kilometers", "km"), ("miles", "mi"), (" per ", "/"), ("squared", "^2"), ("²", "^2"), ("³", "^3"),
    (" ", ""),
)  # fmt: skip


def same_compound(one: str, other: str) -> bool:
    """Whether two compound units are one: ``m/s^2`` and "meters per second squared"."""
    return _compact(one) == _compact(other)


def _compact(unit: str) -> str:
    low = unit.lower()
    for long, short in _SPELLED:
        low = low.replace(long, short)
    return low


def named_measure(words: tuple[str, ...], unit: str) -> int:
    """1 when a name speaks of what the unit measures, -1 when of something else, 0 when of neither."""
    kind = dimension(unit).split(" ")[0]
    named = set(words)
    if named.intersection(_BY_NAME.get(kind, ())):
        return 1
    return -1 if named & _MEASURES else 0


def dimension(unit: str) -> str:
    """What a unit measures ("length", "time", "compound", ...); empty for a word that is no unit."""
    low = unit.strip().lower()
    if not low:
        return ""
    if _SPEED.fullmatch(low):
        return "compound"
    return _DIMENSION.get(low) or _DIMENSION.get(low.removesuffix("s")) or ""


def convert(value: float, unit: str, wanted: str) -> float | None:
    """The value in another unit of the same dimension; None when the two don't measure the same."""
    low, goal = unit.lower(), wanted.lower()
    low = low if low in _DIMENSION else low.removesuffix("s")
    goal = goal if goal in _DIMENSION else goal.removesuffix("s")
    here, there = _DIMENSION.get(low), _DIMENSION.get(goal)
    if here is None or here != there or here == "money":
        return None
    factor = _FACTORS[here][low] / _FACTORS[here][goal]
    result = value * factor
    rounded = round(result, 12)
    return rounded if abs(rounded - round(rounded)) > 1e-9 else float(round(rounded))
