"""`service-manager top`: what a real monitor knows, as a plain table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from service_manager.model import Priority, State
from service_manager.monitor.anomaly import Metric, Rule
from service_manager.monitor.history import History
from service_manager.monitor.machine import MachineUse
from service_manager.monitor.monitor import Monitor
from service_manager.resources import MemoryUse, ResourceUse
from service_manager.status import ServiceStatus
from tests.integration.service_cli.conftest import Run
from tests.integration.service_cli.scripted import Home, Scripted

MB = 1024 * 1024
TIME = ServiceStatus("time", State.RUNNING, Priority.NORMAL, pid=7, starts=1)
GIT = ServiceStatus("git", State.STOPPED, Priority.HIGH)


def use(cpu_s: float, memory: int, written: int = 0) -> dict[str, ResourceUse]:
    return {"time": ResourceUse(cpu_s, MemoryUse(memory * MB, 3 * MB, MB), 0, written, None, None, 2)}


def watched() -> Callable[[Scripted], Awaitable[dict[str, Any]]]:
    """The monitor of a manager, read at each request; ten seconds pass between two."""
    ticks = count(100, 10)
    monitors: list[Monitor] = []

    async def usage(manager: Scripted) -> dict[str, Any]:
        if not monitors:
            monitors.append(
                Monitor(
                    manager,
                    History(None),
                    clock=lambda: float(next(ticks)),
                    wall=lambda: 1_800_000_000.0,
                    machine=lambda at: MachineUse(at, 2, at / 5, 8000 * MB, 5000 * MB, 100 * MB, 60 * MB),
                    metrics=dict.fromkeys(Metric, Rule(floor=20.0 * MB, in_a_row=1, learned=1)),
                )
            )
        return (await monitors[0].read()).plain()

    return usage


def test_a_plain_table_shows_the_machine_and_each_service(home: Home, run: Run) -> None:
    manager = Scripted(TIME, GIT)
    manager.uses = [use(1.0, 40), use(2.0, 40, 10 * MB)]
    with home.daemon(manager, watched()):
        told = run("top", "--once", "--interval", "0.1")

    assert told.exit_code == 0, told.stderr
    machine, head, time, git = told.stdout.splitlines()[:4]
    assert machine == "CPU 10.0 % of 2 processors   memory 2.9 GB of 7.8 GB   swap 40.0 MB of 100 MB"
    assert head.split() == "SERVICE STATE CPU MEMORY SWAP READ WRITTEN RECEIVED SENT PROCS NOTE".split()
    values = [time[head.index(name) :].split("  ")[0] for name in head.split()[1:10]]
    assert values == ["running", "10.0 %", "41.0 MB", "3.0 MB", "0", "1.0 MB/s", "-", "-", "2"]
    assert git.split() == ["git", "stopped", *["-"] * 7, "0"]


def test_what_is_not_as_usual_is_noted(home: Home, run: Run) -> None:
    manager = Scripted(TIME)
    manager.uses = [use(1.0, 40), use(1.0, 40), use(1.0, 400)]
    with home.daemon(manager, watched()):
        run("top", "--once", "--interval", "0.1")
        told = run("top", "--once")

    assert "memory 401 MB, usually 41.0 MB" in told.stdout


def test_the_json_is_what_the_monitor_knows(home: Home, run: Run) -> None:
    manager = Scripted(TIME, GIT)
    manager.uses = [use(1.0, 40), use(2.0, 40)]
    with home.daemon(manager, watched()):
        data = json.loads(run("top", "--once", "--json", "--interval", "0.1").stdout)

    assert data["machine"]["processors"] == 2
    assert data["services"]["time"]["memory"]["held"] == 41 * MB
    assert data["services"]["time"]["cpu_percent"] == 10.0
    assert data["services"]["git"]["memory"] is None


def test_without_a_daemon_there_is_nothing_to_watch(home: Home, run: Run) -> None:
    told = run("top")

    assert (told.exit_code, told.stdout) == (1, "")
    assert "No daemon runs" in told.stderr


def test_a_daemon_that_watches_nothing_is_told(home: Home, run: Run) -> None:
    manager = Scripted(TIME)
    manager.uses = [use(1.0, 40)]
    with home.daemon(manager):
        told = run("top")

    assert (told.exit_code, told.stdout) == (1, "")
    assert "does not watch what its services use" in told.stderr
