"""What the monitor knows now, as values and as plain JSON: what `top` and ``GET /usage`` show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from service_manager.model import State
from service_manager.monitor.anomaly import Metric
from service_manager.monitor.baseline import Baseline
from service_manager.monitor.machine import MachineLoad
from service_manager.monitor.rates import Rates
from service_manager.monitor.sample import MACHINE, Sample
from service_manager.monitor.tracker import Anomaly
from service_manager.resources import ResourceUse


@dataclass(frozen=True, slots=True)
class ServiceUse:
    """What one service uses.

    Attributes:
        use: the last reading; None while it has no processes.
        rates: since the reading before.
        baselines: what is usual while it is awake, by metric.
        anomalies: what is not usual now.
    """

    name: str
    state: State
    use: ResourceUse | None = None
    rates: Rates = field(default_factory=Rates)
    baselines: Mapping[Metric, Baseline] = field(default_factory=dict[Metric, Baseline])
    anomalies: tuple[Anomaly, ...] = ()

    def sample(self, at: float) -> Sample | None:
        """What the history keeps of it; nothing while it has no processes."""
        if self.use is None:
            return None
        memory, rates = self.use.memory, self.rates
        return Sample(
            at,
            self.name,
            self.state.value,
            rates.cpu_percent,
            memory.pss,
            memory.swap,
            memory.compressed,
            rates.disk_read,
            rates.disk_written,
            rates.received,
            rates.sent,
            self.use.processes,
        )

    def plain(self) -> dict[str, Any]:
        """As JSON values; sizes in bytes, rates per second."""
        memory = self.use.memory if self.use else None
        return {
            "state": self.state.value,
            "processes": self.use.processes if self.use else 0,
            "memory": {
                "pss": memory.pss,
                "swap": memory.swap,
                "compressed": memory.compressed,
                "held": memory.held,
            }
            if memory
            else None,
            **asdict(self.rates),
            "baseline": {
                metric.value: {
                    "mean": baseline.mean,
                    "deviation": baseline.deviation,
                    "readings": baseline.readings,
                }
                for metric, baseline in self.baselines.items()
            },
            "anomalies": [
                {
                    "metric": found.metric.value,
                    "value": found.value,
                    "usual": found.usual,
                    "deviation": found.deviation,
                    "since": found.since,
                }
                for found in self.anomalies
            ],
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the monitor knows.

    Attributes:
        at: Unix time of the reading; None before the first.
        interval_s: how often it reads.
        machine: what the whole machine uses.
        services: every service, running or not.
        history: whether the history is in a file.
    """

    at: float | None
    interval_s: float
    machine: MachineLoad | None = None
    services: tuple[ServiceUse, ...] = ()
    history: bool = False

    def samples(self) -> list[Sample]:
        """What the history keeps of it."""
        if self.at is None:
            return []
        found = [sample for service in self.services if (sample := service.sample(self.at))]
        if (load := self.machine) is not None:
            found.append(
                Sample(
                    at=self.at,
                    service=MACHINE,
                    cpu_percent=load.cpu_percent,
                    memory=load.memory_used,
                    swap=load.swap_used,
                    disk_read=load.disk_read,
                    disk_written=load.disk_written,
                    received=load.received,
                    sent=load.sent,
                )
            )
        return found

    def plain(self) -> dict[str, Any]:
        """As JSON values; sizes in bytes, rates per second, times in Unix seconds."""
        return {
            "at": self.at,
            "interval_s": self.interval_s,
            "history": "file" if self.history else "memory",
            "machine": asdict(self.machine) if self.machine else None,
            "services": {service.name: service.plain() for service in self.services},
        }
