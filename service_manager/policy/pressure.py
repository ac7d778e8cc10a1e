"""How hard-pressed the machine is, from readings: pure, times in seconds on one monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service_manager.policy.rules import Level, Metric, PressureRules

Readings = Mapping[Metric, float]
"""What was read of each metric, as a share of 1; what can't be read here is missing."""

_RISING = (Level.ELEVATED, Level.HIGH, Level.EMERGENCY)


@dataclass(frozen=True, slots=True)
class Pressure:
    """The level of pressure, with what is needed to find the next one.

    So that it does not flap, a level holds once one of its thresholds has been passed for `rise_after_s`, and
    falls once all readings have been below its thresholds, less the margin, for `fall_after_s`; then to the
    highest level that the readings still keep.

    Attributes:
        level: how hard-pressed the machine is.
        since: when that began.
        readings: how many readings in a row found this level.
        reason: what the level was reached by, e.g. "memory 91 %"; empty at NORMAL.
        passed: for each higher level, since when its thresholds have been passed without a break.
        calm_since: since when all readings have been low enough for a lower level; None when they are not.
    """

    level: Level = Level.NORMAL
    since: float = 0.0
    readings: int = 0
    reason: str = ""
    passed: Mapping[Level, float] | None = None
    calm_since: float | None = None

    def after(self, readings: Readings, now: float, rules: PressureRules) -> Pressure:
        """With one more reading at a time; without any metric a reading counts as calm."""
        passed = {
            level: (self.passed or {}).get(level, now)
            for level in _RISING
            if level > self.level and _met(readings, level, rules, margin=0.0)
        }
        risen = [level for level, since in passed.items() if now - since >= rules.rise_after_s]
        if risen:
            level = max(risen)
            return Pressure(level, now, 1, _reason(readings, level, rules), passed)
        kept = _kept(readings, rules, self.level)
        if kept is self.level:
            return Pressure(self.level, self.since, self.readings + 1, self.reason, passed)
        calm_since = now if self.calm_since is None else self.calm_since
        if now - calm_since < rules.fall_after_s:
            return Pressure(
                self.level, self.since, self.readings + 1, self.reason, passed, calm_since=calm_since
            )
        return Pressure(kept, now, 1, _reason(readings, kept, rules), passed)


def _kept(readings: Readings, rules: PressureRules, level: Level) -> Level:
    """The highest level, up to this one, that the readings are not clearly below of."""
    held = [
        other for other in _RISING if other <= level and _met(readings, other, rules, margin=rules.margin)
    ]
    return max(held, default=Level.NORMAL)


def _met(readings: Readings, level: Level, rules: PressureRules, *, margin: float) -> str:
    """The metric by which a level is reached, with its value; empty when it is not."""
    known = rules.levels.get(level)
    if known is None:
        return ""
    for metric, threshold in known.at.items():
        value = readings.get(metric)
        if value is not None and value >= threshold * (1 - margin):
            return f"{metric} {value:.0%}".replace("%", " %")
    return ""


def _reason(readings: Readings, level: Level, rules: PressureRules) -> str:
    return _met(readings, level, rules, margin=rules.margin) if level is not Level.NORMAL else ""
