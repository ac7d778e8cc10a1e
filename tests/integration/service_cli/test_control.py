"""`service-manager start`, `stop`, `sleep`, `wake`, `reload` and `shutdown`, one service after the other."""

from __future__ import annotations

import json

import pytest

from service_manager.errors import ServiceStartFailed, SleepFailed
from service_manager.model import Priority, State
from service_manager.status import ServiceStatus
from tests.integration.service_cli.conftest import Run
from tests.integration.service_cli.scripted import Home, Scripted

TIME = ServiceStatus("time", State.STOPPED, Priority.NORMAL)
GIT = ServiceStatus("git", State.RUNNING, Priority.HIGH)


@pytest.mark.parametrize(
    ("action", "state"),
    [("start", "running"), ("stop", "stopped"), ("sleep", "sleeping"), ("wake", "running")],
)
def test_what_was_done_is_told_for_each_service(home: Home, run: Run, action: str, state: str) -> None:
    manager = Scripted(TIME, GIT)
    with home.daemon(manager):
        told = run(action, "git", "time")
        machine = run(action, "git", "--json")

    assert (told.exit_code, told.stdout) == (0, f"git: {state}\ntime: {state}\n")
    assert json.loads(machine.stdout)["services"] == [{"name": "git", "state": state, "detail": ""}]
    assert manager.statuses["time"].state.value == state


def test_one_that_fails_does_not_stop_the_others_and_the_exit_code_says_so(home: Home, run: Run) -> None:
    manager = Scripted(TIME, GIT)
    manager.refusals["time", "start"] = ServiceStartFailed("time died at once: exit code 3.", "Read its log.")
    with home.daemon(manager):
        told = run("start", "time", "idle", "git")
        machine = run("start", "time", "git", "--json")

    assert told.exit_code == 1
    assert told.stdout == "git: running\n"
    assert "time: time died at once: exit code 3. Read its log." in told.stderr
    assert "idle: It is disabled. Set `enabled: true` in services.yml." in told.stderr
    assert machine.exit_code == 1
    assert [row["state"] for row in json.loads(machine.stdout)["services"]] == ["failed", "running"]


def test_a_service_that_is_in_use_is_not_put_to_sleep_and_it_says_why(home: Home, run: Run) -> None:
    manager = Scripted(GIT)
    manager.refusals["git", "sleep"] = SleepFailed("git is in use.", "Wait for its requests.")
    with home.daemon(manager):
        told = run("sleep", "git")

    assert (told.exit_code, told.stdout) == (1, "")
    assert "git: git is in use. Wait for its requests." in told.stderr


def test_without_a_daemon_stopping_is_done_and_sleeping_is_impossible(home: Home, run: Run) -> None:
    stopped, asleep = run("stop", "time"), run("sleep", "time")

    assert stopped.exit_code == 0
    assert stopped.stdout.startswith(f"time: stopped: No daemon runs for {home.file}")
    assert asleep.exit_code == 1
    assert "Run `service-manager start time`." in asleep.stderr


def test_reloading_says_what_changed(home: Home, run: Run) -> None:
    assert "No daemon runs" in run("reload").stdout
    with home.daemon(Scripted(TIME)):
        told, machine = run("reload"), run("reload", "--json")

    assert (told.exit_code, told.stdout) == (
        0,
        "added: new\nremoved: old, older\nresource-limits.yml: taken over\n",
    )
    assert json.loads(machine.stdout)["changes"] == {
        "added": ["new"],
        "changed": [],
        "removed": ["old", "older"],
        "limits": True,
    }


def test_a_daemon_is_ended_whatever_its_file_has_become(home: Home, run: Run) -> None:
    assert "No daemon runs" in run("shutdown").stdout
    manager = Scripted(TIME)
    with home.daemon(manager):
        home.file.write_text("services: [broken")
        told = run("shutdown")

    assert told.exit_code == 0
    assert manager.ended
