"""What Prometheus reads."""

from __future__ import annotations

import re

from service_manager.daemon.metrics import exposition
from service_manager.daemon.view import status_view
from service_manager.model import Priority, State, Tier
from service_manager.resources import Limits, MemoryUse
from service_manager.status import ServiceStatus, SleepStatus, WakeRecord

SLEEPING = SleepStatus(
    tier=Tier.FROZEN,
    awake=MemoryUse(1_000),
    asleep=MemoryUse(300, 700, 50),
    last_wake=WakeRecord(Tier.FROZEN, 2.0, 1.0, 4.00049, 200.0, target_met=True),
    wake_p50_ms=5.0,
    wake_p95_ms=25.5,
    wakes=7,
    missed=2,
)
CLOCK = ServiceStatus(
    "clock",
    State.SLEEPING,
    Priority.HIGH,
    leases=3,
    starts=4,
    crashes=1,
    last_start_ms=1_500,
    sleeping=SLEEPING,
)
FRESH = ServiceStatus("fresh", State.STOPPED, Priority.LOW, unavailable_reason="no node")

SAMPLE = re.compile(r'[a-z_]+\{service="[a-z]+"(,[a-z]+="[a-z0-9_.]+")?\} [0-9.e+-]+')


def test_every_line_is_a_sample_or_says_what_the_next_ones_are() -> None:
    lines = exposition((CLOCK, FRESH)).splitlines()
    for line in lines:
        assert line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line), line
    named = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(named) == len(set(named))
    assert {line.split("{")[0] for line in lines if line[0] != "#"} <= set(named)


def test_a_services_figures_are_in_seconds_and_bytes() -> None:
    text = exposition((CLOCK, FRESH))
    for line in (
        'service_manager_service_state{service="clock",state="sleeping"} 1',
        'service_manager_service_state{service="clock",state="running"} 0',
        'service_manager_service_available{service="fresh"} 0',
        'service_manager_starts_total{service="clock"} 4',
        'service_manager_crashes_total{service="clock"} 1',
        'service_manager_leases{service="clock"} 3',
        'service_manager_wakes_total{service="clock"} 7',
        'service_manager_wakes_missed_total{service="clock"} 2',
        'service_manager_wake_seconds{service="clock",quantile="0.5"} 0.005',
        'service_manager_wake_seconds{service="clock",quantile="0.95"} 0.0255',
        'service_manager_memory_held_bytes{service="clock",when="asleep"} 350',
        'service_manager_start_seconds{service="clock"} 1.5',
    ):
        assert f"{line}\n" in text
    assert 'wake_seconds{service="fresh"' not in text


def test_without_services_there_is_only_what_there_would_be() -> None:
    assert all(line.startswith("#") for line in exposition(()).splitlines())


def test_a_status_as_json_has_plain_values_and_what_follows_from_them() -> None:
    view = status_view(CLOCK)
    assert (view["state"], view["priority"], view["last_start_ms"]) == ("sleeping", "high", 1_500)
    assert type(view["state"]) is str
    assert view["sleeping"]["asleep"] == {"pss": 300, "swap": 700, "compressed": 50, "held": 350}
    assert view["sleeping"]["last_wake"]["total_ms"] == 7.0
    assert view["limits"] == dict.fromkeys(Limits.__dataclass_fields__)
