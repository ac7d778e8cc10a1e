"""`service-manager status`: one aligned line for each service, and everything in JSON."""

from __future__ import annotations

import json

import pytest

from service_manager.daemon.place import place_of
from service_manager.model import Priority, State, Tier
from service_manager.resources import MemoryUse
from service_manager.status import ServiceStatus, SleepStatus, WakeRecord
from tests.integration.service_cli.conftest import Run
from tests.integration.service_cli.scripted import Home, Scripted

MB = 1024 * 1024
SLEPT = SleepStatus(
    tier=Tier.PAGED_HOT,
    reason="It holds least of those that meet 200 ms.",
    awake=MemoryUse(46 * MB),
    asleep=MemoryUse(8 * MB, 38 * MB, 9 * MB),
    last_wake=WakeRecord(Tier.PAGED_HOT, 3.0, 0.0, 8.5, 200.0, target_met=True),
    wake_p50_ms=9.0,
    wake_p95_ms=18.4,
    wakes=30,
    missed=2,
    missing_capability="There is no zram.",
)
TIME = ServiceStatus("time", State.SLEEPING, Priority.NORMAL, sleeping=SLEPT)
GIT = ServiceStatus("git", State.FAILED, Priority.HIGH, failure="it died:\n  exit code 3", crashes=3)
KEYED = ServiceStatus("keyed", State.STOPPED, Priority.NORMAL, "KEY_THAT_IS_NOT_SET is not set.")


def test_each_service_is_one_line_whose_columns_are_aligned(home: Home, run: Run) -> None:
    with home.daemon(Scripted(TIME, GIT, KEYED)):
        told = run("status")

    assert told.exit_code == 0
    assert told.stderr == ""
    head, time, git, idle, keyed = told.stdout.splitlines()
    columns = [head.index(name) for name in ("STATE", "TIER", "MEMORY", "WAKE P95", "WHY")]
    assert [time[start:].split("  ")[0] for start in columns] == [
        "sleeping",
        "paged_hot",
        "46.0 MB -> 17.0 MB",
        "18 / 200 ms, 2 missed",
        "It holds least of those that meet 200 ms.",
    ]
    assert [git[start:].split("  ")[0] for start in columns] == [
        "failed",
        "-",
        "-",
        "-",
        "Failed: it died: exit code 3",
    ]
    assert [line[columns[0] :].split("  ")[0] for line in (idle, keyed)] == ["disabled", "unavailable"]
    assert keyed[columns[4] :] == "KEY_THAT_IS_NOT_SET is not set."
    assert "\x1b" not in told.stdout


def test_only_the_named_services_are_shown(home: Home, run: Run) -> None:
    with home.daemon(Scripted(TIME, GIT, KEYED)):
        told = run("status", "git", "--json")

    assert [row["name"] for row in json.loads(told.stdout)["services"]] == ["git"]


def test_the_json_has_every_figure_of_a_sleep(home: Home, run: Run) -> None:
    with home.daemon(Scripted(TIME, GIT, KEYED)):
        data = json.loads(run("status", "--json").stdout)

    assert (data["daemon"], data["file"]) == (True, str(home.file))
    time, git, idle, _ = data["services"]
    assert {name: time[name] for name in ("tier", "tier_reason", "wake_ms", "pss_before", "pss_after")} == {
        "tier": "paged_hot",
        "tier_reason": "It holds least of those that meet 200 ms.",
        "wake_ms": {"resume": 3.0, "replay": 0.0, "first_call": 8.5},
        "pss_before": 46 * MB,
        "pss_after": 8 * MB,
    }
    assert (time["swap"], time["compressed"], time["target_ms"], time["target_met"]) == (
        38 * MB,
        9 * MB,
        200.0,
        True,
    )
    assert time["missing_capability"] == "There is no zram."
    assert (time["sleeping"]["wake_p95_ms"], time["sleeping"]["wakes"]) == (18.4, 30)
    assert (git["state"], git["crashes"], git["wake_ms"]["resume"]) == ("failed", 3, None)
    assert idle["state"] == "disabled"
    assert all(row.keys() >= time.keys() - {"endpoint"} for row in data["services"])


def test_without_a_daemon_everything_is_stopped_and_it_says_how_to_start(home: Home, run: Run) -> None:
    told = run("status")

    assert told.exit_code == 0
    states = [line.split()[1] for line in told.stdout.splitlines()[1:]]
    assert states == ["stopped", "stopped", "disabled", "unavailable"]
    assert f"No daemon runs for {home.file}" in told.stderr
    assert "`service-manager start time`" in told.stderr
    data = json.loads(run("status", "--json").stdout)
    assert data["daemon"] is False
    assert [row["state"] for row in data["services"]] == ["stopped", "stopped", "disabled", "stopped"]
    assert "KEY_THAT_IS_NOT_SET is not set." in data["services"][3]["unavailable_reason"]


def test_a_daemon_that_died_is_no_daemon(home: Home, run: Run) -> None:
    place = place_of(home.file, home.environ)
    with home.daemon(Scripted(TIME)):
        address = place.address.read_text()
    place.address.write_text(address)

    assert json.loads(run("status", "--json").stdout)["daemon"] is False


def test_a_service_that_the_daemon_has_not_heard_of_yet_is_stopped(home: Home, run: Run) -> None:
    with home.daemon(Scripted(TIME)):
        rows = json.loads(run("status", "--json").stdout)["services"]

    assert [row["state"] for row in rows] == ["sleeping", "stopped", "disabled", "stopped"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status", "tim"], "There is no service named 'tim'. Did you mean: time?"),
        (["start", "nothing-like-it"], "There is no service named 'nothing-like-it'."),
        (["logs", "gti"], "Did you mean: git?"),
        (["start"], "Missing argument"),
        (["logs", "time", "-n", "5000"], "'--lines'"),
        (["top", "--interval", "0"], "0.1"),
        (["serve", "--socket", "x", "--port", "0"], "--socket and --host or --port exclude each other"),
        (["serve", "--idle-exit", "soon"], "is not a duration"),
    ],
)
def test_wrong_use_is_told_before_anything_is_asked(run: Run, words: list[str], told: str) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""
