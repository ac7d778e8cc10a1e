"""What is known of services as Prometheus reads it (text exposition format 0.0.4). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service_manager.model import State, Tier
from service_manager.status import ServiceStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = Iterable[tuple[Mapping[str, str], float]]
"""Labels besides ``service``, and a value."""


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: str
    help: str
    samples: Callable[[ServiceStatus], Samples]


def _one(value: float | None) -> Samples:
    return () if value is None else (({}, value),)


def _quantiles(status: ServiceStatus) -> Samples:
    sleeping = status.sleeping
    for quantile, value in (("0.5", sleeping.wake_p50_ms), ("0.95", sleeping.wake_p95_ms)):
        if value is not None:
            yield {"quantile": quantile}, value / 1000


def _held(status: ServiceStatus) -> Samples:
    for when, memory in (("awake", status.sleeping.awake), ("asleep", status.sleeping.asleep)):
        if memory is not None:
            yield {"when": when}, memory.held


_METRICS: tuple[_Metric, ...] = (
    _Metric(
        "service_manager_service_state",
        "gauge",
        "1 for the state the service is in, 0 for the others.",
        lambda status: [({"state": state.value}, status.state is state) for state in State],
    ),
    _Metric(
        "service_manager_service_available",
        "gauge",
        "Whether the service can run here.",
        lambda status: _one(not status.unavailable_reason),
    ),
    _Metric(
        "service_manager_starts_total",
        "counter",
        "Starts of the service.",
        lambda status: _one(status.starts),
    ),
    _Metric(
        "service_manager_crashes_total",
        "counter",
        "Times it died or hung up by itself.",
        lambda status: _one(status.crashes),
    ),
    _Metric(
        "service_manager_leases",
        "gauge",
        "Requests that hold the service.",
        lambda status: _one(status.leases),
    ),
    _Metric(
        "service_manager_sleep_tier",
        "gauge",
        "1 for the tier the service sleeps in, 0 for the others.",
        lambda status: [({"tier": tier.value}, status.sleeping.tier is tier) for tier in Tier],
    ),
    _Metric(
        "service_manager_wakes_total",
        "counter",
        "Wakes of the service in its tier.",
        lambda status: _one(status.sleeping.wakes),
    ),
    _Metric(
        "service_manager_wakes_missed_total",
        "counter",
        "Wakes that took longer than their target.",
        lambda status: _one(status.sleeping.missed),
    ),
    _Metric(
        "service_manager_wake_seconds",
        "gauge",
        "What the last wakes took, from the request to its answer.",
        _quantiles,
    ),
    _Metric(
        "service_manager_memory_held_bytes",
        "gauge",
        "Physical memory of the service when it last fell asleep, before and after.",
        _held,
    ),
    _Metric(
        "service_manager_start_seconds",
        "gauge",
        "What the last start took.",
        lambda status: _one(None if status.last_start_ms is None else status.last_start_ms / 1000),
    ),
)


def exposition(services: Sequence[ServiceStatus]) -> str:
    """Every metric of every service, metric by metric."""
    return "".join(f"{line}\n" for metric in _METRICS for line in _lines(metric, services))


def _lines(metric: _Metric, services: Sequence[ServiceStatus]) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for status in services:
        for labels, value in metric.samples(status):
            named = {"service": status.name, **labels}
            told = ",".join(f'{name}="{_escaped(text)}"' for name, text in named.items())
            yield f"{metric.name}{{{told}}} {float(value):.9g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
