"""`service-manager logs`: the last lines of a service."""

from __future__ import annotations

import json

import pytest

from service_manager.model import Priority, State
from service_manager.status import ServiceStatus
from tests.integration.service_cli.conftest import Run
from tests.integration.service_cli.scripted import Home, Scripted

TIME = ServiceStatus("time", State.RUNNING, Priority.NORMAL)


@pytest.fixture
def manager() -> Scripted:
    manager = Scripted(TIME)
    for number in range(60):
        manager.journals["time"].add(f"line {number}")
    return manager


@pytest.mark.parametrize(
    ("words", "count"), [([], 50), (["-n", "3"], 3), (["-n", "0"], 0), (["-n", "1000"], 60)]
)
def test_the_last_lines_are_shown(
    home: Home, run: Run, manager: Scripted, words: list[str], count: int
) -> None:
    with home.daemon(manager):
        told = run("logs", "time", *words)
        data = json.loads(run("logs", "time", *words, "--json").stdout)

    expected = [f"line {number}" for number in range(60 - count, 60)]
    assert (told.exit_code, told.stdout.splitlines()) == (0, expected)
    assert data == {"name": "time", "lines": expected, "written": 60}


def test_without_a_daemon_there_are_no_lines(home: Home, run: Run) -> None:
    told = run("logs", "time")

    assert (told.exit_code, told.stdout) == (1, "")
    assert "No daemon runs" in told.stderr
    assert "Run `service-manager start time`." in told.stderr
