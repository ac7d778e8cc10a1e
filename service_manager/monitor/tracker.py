"""What is usual for each service, and which of them are not as usual. Values in, values out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service_manager.monitor.anomaly import Metric, Rule, Verdict, Watch, judge
from service_manager.monitor.baseline import Baseline
from service_manager.monitor.rates import Rates
from service_manager.resources import ResourceUse


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A service that uses more than it usually does.

    Attributes:
        value: the last reading: percent of one processor, bytes, or bytes per second.
        usual, deviation: mean and standard deviation before it began.
        since: Unix time, for display.
    """

    service: str
    metric: Metric
    value: float
    usual: float
    deviation: float
    since: float


NO_BASELINES: Mapping[Metric, Baseline] = MappingProxyType({})


class Tracker:
    """Learns what is usual, and tells once when something is not.

    Args:
        rules: when a metric is not usual.
        weight: the share of a new reading in the baseline.
        began: told of an anomaly that begins.
        ended: told of one that is over.
    """

    def __init__(
        self,
        rules: Mapping[Metric, Rule],
        weight: float,
        began: Callable[[Anomaly], None] = lambda anomaly: None,
        ended: Callable[[Anomaly], None] = lambda anomaly: None,
    ) -> None:
        self._rules = rules
        self._weight = weight
        self._began = began
        self._ended = ended
        self._baselines: dict[str, dict[Metric, Baseline]] = {}
        self._watches: dict[tuple[str, Metric], Watch] = {}
        self._anomalies: dict[tuple[str, Metric], Anomaly] = {}

    def adjust(self, rules: Mapping[Metric, Rule], weight: float) -> None:
        """Judge by other rules from now on; what was learned is kept."""
        self._rules = rules
        self._weight = weight

    def baselines(self, service: str) -> Mapping[Metric, Baseline]:
        """What is usual for a service, by metric; those of which nothing is known are left out."""
        return MappingProxyType(dict(self._baselines.get(service, NO_BASELINES)))

    def anomalies(self, service: str) -> tuple[Anomaly, ...]:
        """What is not usual at a service now."""
        return tuple(found for (name, _), found in self._anomalies.items() if name == service)

    def observe(self, service: str, values: Mapping[Metric, float], now: float) -> None:
        """Take one reading of a service that is awake.

        Args:
            service: its name.
            values: what could be read; a metric that is left out is neither learned nor judged.
            now: Unix time, for display.
        """
        learned = self._baselines.setdefault(service, {})
        for metric, value in values.items():
            rule, baseline = self._rules[metric], learned.get(metric, Baseline())
            key = service, metric
            self._watches[key], verdict = judge(self._watches.get(key, Watch()), value, baseline, rule)
            learned[metric] = rule.learn(baseline, value, self._weight)
            self._note(key, verdict, value, baseline, now)

    def rest(self, service: str) -> None:
        """A service sleeps or has stopped: what was not usual is over, what is usual is remembered."""
        for key in [key for key in self._watches if key[0] == service]:
            del self._watches[key]
            if over := self._anomalies.pop(key, None):
                self._ended(over)

    def keep(self, services: Collection[str]) -> None:
        """Forget every other service."""
        for name in self._baselines.keys() - set(services):
            self.rest(name)
            del self._baselines[name]

    def _note(
        self, key: tuple[str, Metric], verdict: Verdict, value: float, baseline: Baseline, now: float
    ) -> None:
        if verdict is Verdict.BEGAN:
            begun = Anomaly(*key, value, baseline.mean, baseline.deviation, now)
            self._anomalies[key] = begun
            self._began(begun)
        elif verdict is Verdict.GOES_ON:
            old = self._anomalies[key]
            self._anomalies[key] = Anomaly(*key, value, old.usual, old.deviation, old.since)
        elif verdict is Verdict.ENDED:
            self._ended(self._anomalies.pop(key))


def watched(use: ResourceUse, rates: Rates) -> dict[Metric, float]:
    """What of a reading is learned and judged; what can't be told is left out."""
    found = {
        Metric.CPU: rates.cpu_percent,
        Metric.MEMORY: float(use.memory.held),
        Metric.DISK: _sum(rates.disk_read, rates.disk_written),
        Metric.NETWORK: _sum(rates.received, rates.sent),
    }
    return {metric: value for metric, value in found.items() if value is not None}


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second
