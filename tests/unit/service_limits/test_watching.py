"""Limits that are held by looking, and the words for a service that ended by one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from service_manager.enforce.watching import Watched
from service_manager.enforce.words import Evidence, explain, size
from service_manager.resources import Limits, MemoryUse, ResourceUse

MB = 2**20
LIMITS = Limits(memory=100 * MB, cpu=1.0, processes=10, open_files=50, file_size=MB)
WATCHED: dict[str, str] = {"memory": "watched", "cpu": "watched", "processes": "watched"}


def use(memory: int = 1, cpu_s: float = 0.0, processes: int = 1) -> ResourceUse:
    return ResourceUse(cpu_s, MemoryUse(memory * MB), processes=processes)


def follow(readings: Iterable[ResourceUse], enforced: dict[str, str] | None = None) -> list[str]:
    """The reasons after each reading, one every 10 s."""
    watched, reasons = Watched(), list[str]()
    for step, reading in enumerate(readings):
        watched, reason = watched.after(reading, step * 10.0, LIMITS, enforced or WATCHED)
        reasons.append(reason)
    return reasons


def test_the_second_reading_above_the_memory_limit_stops_a_service() -> None:
    reason = "stopped: it used 150 MB of memory, more than its limit of 100 MB (watched)"
    assert follow([use(150), use(150)]) == ["", reason]


def test_a_peak_stops_nobody() -> None:
    assert not any(follow([use(150), use(90), use(150), use(100)]))


def test_memory_that_is_asleep_in_swap_does_not_count() -> None:
    asleep = ResourceUse(0.0, MemoryUse(5 * MB, swap=500 * MB))
    assert not any(follow([asleep] * 5))


def test_more_processes_than_allowed_stop_it() -> None:
    assert follow([use(processes=11)] * 2)[-1].startswith("stopped: it had 11 processes")


def test_processor_time_is_that_since_the_reading_before() -> None:
    busy = [use(cpu_s=1000 + 20.0 * step) for step in range(4)]
    reasons = follow(busy)
    assert reasons[:3] == [""] * 3
    assert reasons[3] == "stopped: it used 2.0 processors, more than its limit of 1 (watched)"
    assert not any(follow([use(cpu_s=10.0 * step) for step in range(9)]))


def test_counters_of_another_run_stop_nobody() -> None:
    assert not any(follow([use(cpu_s=500.0), use(cpu_s=0.0), use(cpu_s=1.0)] * 3))


@pytest.mark.parametrize("by", ["cgroup v1", "cgroup v2", "nothing"])
def test_what_is_held_otherwise_is_not_watched(by: str) -> None:
    assert not any(follow([use(900, 1000.0 * n, 99) for n in range(5)], dict.fromkeys(WATCHED, by)))


ENFORCED = {
    "memory": "cgroup v2",
    "cpu": "cgroup v2",
    "processes": "cgroup v2",
    "open_files": "rlimit",
    "file_size": "rlimit",
}


def told(ending: str, evidence: Evidence = Evidence(), *said: str, by: str = "cgroup v2") -> str:  # noqa: B008
    enforced = ENFORCED | {"memory": by, "processes": by}
    return explain(LIMITS, Limits(memory=1024**3), enforced, evidence, ending, said)


def test_memory_is_named_with_its_limit_and_who_held_it() -> None:
    reason = told("signal SIGKILL", Evidence(killed=1))
    assert reason == "killed: it reached its memory limit of 100 MB (cgroup v2)"


def test_the_limit_of_all_services_is_told_apart() -> None:
    reason = told("signal SIGKILL", Evidence(killed=1, own=False))
    assert reason == "killed: all services together reached their memory limit of 1 GB (cgroup v2)"


def test_a_server_whose_child_was_killed_is_told_too() -> None:
    reason = told("exit code 137", Evidence(killed=1))
    assert reason == "exit code 137 after it reached its memory limit of 100 MB (cgroup v2)"


def test_refused_forks_are_told() -> None:
    reason = told("exit code 1", Evidence(refused=3))
    assert reason == "exit code 1 after it reached its limit of 10 processes (cgroup v2)"


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("OSError: [Errno 24] Too many open files: 'x'", "50 open files (rlimit)"),
        ("Error: EMFILE: too many open files, open 'x'", "50 open files (rlimit)"),
        ("OSError: [Errno 27] File too large", "1 MB for one file (rlimit)"),
    ],
)
def test_limits_that_only_the_service_sees_are_told_from_its_words(said: str, limit: str) -> None:
    assert told("exit code 1", Evidence(), said) == f"exit code 1 after it reached its limit of {limit}"


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("MemoryError", "memory limit of 100 MB"),
        ("RuntimeError: can't start new thread", "limit of 10 processes"),
    ],
)
def test_words_count_only_where_a_resource_limit_may_be_behind_them(said: str, limit: str) -> None:
    assert told("exit code 1", Evidence(), said) == ""
    netted = told("exit code 1", Evidence(), said, by="rlimit, watched")
    assert netted == f"exit code 1 after it reached its {limit} (rlimit, watched)"


def test_an_end_without_any_trace_of_a_limit_is_not_blamed_on_one() -> None:
    assert told("signal SIGKILL") == ""
    assert told("exit code 0", Evidence(), "bye") == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(5, "5 bytes"), (2048, "2 KB"), (128 * MB, "128 MB"), (1536 * MB, "1.5 GB"), (1024**3, "1 GB")],
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    assert size(count) == text
