"""What is not usual: far above the baseline, by enough to matter, several readings in a row. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from types import MappingProxyType

from service_manager.monitor.baseline import Baseline

SIGMAS = 4.0
"""How many standard deviations above the mean are not usual."""

IN_A_ROW = 3
"""A single peak is usual; as many readings in a row are not, and as many end it."""

LEARNED = 10
"""With fewer readings than this nothing is known of what is usual."""


class Metric(StrEnum):
    """What is watched of a service."""

    CPU = "cpu_percent"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a reading is not usual.

    Attributes:
        floor: by how much it must be above the mean in any case; what hardly varies has hardly a deviation.
        sigmas: by how many standard deviations it must be above the mean.
        in_a_row: how many readings begin an anomaly, and how many end it.
        learned: how many readings a baseline needs first.
    """

    floor: float
    sigmas: float = SIGMAS
    in_a_row: int = IN_A_ROW
    learned: int = LEARNED

    def threshold(self, baseline: Baseline) -> float:
        """The largest usual value."""
        return baseline.mean + max(self.sigmas * baseline.deviation, self.floor)

    def learn(self, baseline: Baseline, value: float, weight: float) -> Baseline:
        """The baseline with one more reading, which counts as no more than the largest usual value.

        An anomaly so does not become usual at once, and what stays does become usual.
        """
        known = baseline.readings >= self.learned
        return baseline.learned(min(value, self.threshold(baseline)) if known else value, weight)


MB = 1024.0 * 1024.0

FLOORS: Mapping[Metric, float] = MappingProxyType(
    {Metric.CPU: 20.0, Metric.MEMORY: 32 * MB, Metric.DISK: 5 * MB, Metric.NETWORK: MB}
)
"""What an anomaly is at least: a fifth of a processor, 32 MB of memory, 5 and 1 MB/s of disk and network."""


def rules(sigmas: float = SIGMAS, in_a_row: int = IN_A_ROW) -> dict[Metric, Rule]:
    """The rule of each metric."""
    return {metric: Rule(floor, sigmas, in_a_row) for metric, floor in FLOORS.items()}


class Verdict(StrEnum):
    """What one reading means."""

    USUAL = auto()
    BEGAN = auto()
    GOES_ON = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Watch:
    """How far an anomaly is from beginning, or from its end.

    Attributes:
        contrary: readings in a row that contradict `anomalous`.
    """

    anomalous: bool = False
    contrary: int = 0


def judge(watch: Watch, value: float, baseline: Baseline, rule: Rule) -> tuple[Watch, Verdict]:
    """What a reading means, given those before it; one anomaly begins once and ends once.

    Args:
        watch: what came of the last reading.
        value: the reading.
        baseline: what was usual before it.
        rule: when it is not.
    """
    beyond = baseline.readings >= rule.learned and value > rule.threshold(baseline)
    contrary = watch.contrary + 1 if beyond is not watch.anomalous else 0
    if contrary >= rule.in_a_row:
        return Watch(not watch.anomalous), Verdict.ENDED if watch.anomalous else Verdict.BEGAN
    return replace(watch, contrary=contrary), Verdict.GOES_ON if watch.anomalous else Verdict.USUAL
