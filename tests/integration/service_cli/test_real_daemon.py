"""The commands with a real daemon and a real service, each a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from service_manager.daemon.place import place_of
from tests.integration.service_cli.conftest import Run
from tests.integration.service_cli.scripted import Home

ROOT = Path(__file__).parents[3]
PROGRAM = Path(sys.executable).with_name("service-manager")
ECHO = [sys.executable, str(ROOT / "tests/integration/daemon/raw_service.py")]
DOOMED = [sys.executable, "-c", "import sys; sys.exit('no licence found')"]


@pytest.fixture
def services(home: Home, run: Run) -> Generator[Home]:
    """Two services, one of which dies at once; their daemon has ended when the test has."""
    text = {"services": {"echo": {"command": ECHO}, "doomed": {"command": DOOMED}}}
    home.file.write_text(json.dumps(text))
    yield home
    run("shutdown")
    lock = place_of(home.file, home.environ).lock
    if lock.exists():
        with lock.open() as held:
            # The daemon holds it until its end.
            fcntl.flock(held, fcntl.LOCK_EX)


def states(run: Run) -> dict[str, str]:
    rows: list[dict[str, Any]] = json.loads(run("status", "--json").stdout)["services"]
    return {row["name"]: row["state"] for row in rows}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def serving(services: Home, *words: str) -> subprocess.Popen[str]:
    """`serve` in the foreground."""
    return subprocess.Popen(
        [str(PROGRAM), "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **services.environ},
    )


def test_starting_a_service_starts_the_daemon_and_shutting_that_down_ends_both(
    services: Home, run: Run
) -> None:
    assert states(run) == {"echo": "stopped", "doomed": "stopped"}
    started = run("start", "echo")
    assert (started.exit_code, started.stdout) == (0, "echo: running\n"), started.stderr
    row = json.loads(run("status", "echo", "--json").stdout)["services"][0]
    assert (row["state"], row["starts"]) == ("running", 1)
    assert alive(row["pid"])

    assert run("sleep", "echo").stdout == "echo: sleeping\n"
    assert states(run)["echo"] == "sleeping"
    assert run("wake", "echo").stdout == "echo: running\n"
    assert run("stop", "echo").stdout == "echo: stopped\n"
    assert run("start", "echo").exit_code == 0
    pid = json.loads(run("status", "echo", "--json").stdout)["services"][0]["pid"]

    assert run("shutdown").exit_code == 0
    with place_of(services.file, services.environ).lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
    assert not alive(pid)
    assert states(run) == {"echo": "stopped", "doomed": "stopped"}


def test_what_a_service_uses_is_watched_by_its_daemon(services: Home, run: Run) -> None:
    assert run("start", "echo").exit_code == 0
    watched = run("top", "--once", "--json", "--interval", "1.1")

    assert watched.exit_code == 0, watched.stderr
    data = json.loads(watched.stdout)
    echo, doomed = (data["services"][name] for name in ("echo", "doomed"))
    assert data["history"] == "file"
    assert (echo["state"], doomed["memory"]) == ("running", None)
    if sys.platform == "linux":
        assert echo["memory"]["pss"] > 1_000_000
        assert echo["cpu_percent"] is not None


def test_a_service_that_does_not_start_is_told_with_its_last_words_which_are_in_its_log(
    services: Home, run: Run
) -> None:
    started = run("start", "doomed", "echo")

    assert started.exit_code == 1
    assert started.stdout == "echo: running\n"
    assert "doomed: " in started.stderr
    assert "no licence found" in started.stderr
    assert run("logs", "doomed").stdout.splitlines() == ["no licence found"]
    (line,) = [line for line in run("status").stdout.splitlines() if line.startswith("doomed")]
    assert "no licence found" in line


def test_serving_in_the_foreground_says_where_and_ends_at_an_interrupt(services: Home, run: Run) -> None:
    with serving(services) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(f"service-manager serves {services.file} on ")
        second = serving(services)
        assert states(run) == {"echo": "stopped", "doomed": "stopped"}
        out, errors = second.communicate(timeout=30)
        assert (second.returncode, out) == (1, "")
        assert f"runs already: process {process.pid}" in errors
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)

    assert (process.returncode, out, errors) == (0, "", "")


def test_a_port_that_is_taken_is_named(services: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = serving(services, "--port", str(port))
        out, errors = process.communicate(timeout=30)

    assert (process.returncode, out) == (1, "")
    assert f"Port {port} of 127.0.0.1 is taken" in errors


def test_an_address_that_others_reach_has_to_be_meant(services: Home) -> None:
    process = serving(services, "--host", "0.0.0.0")
    out, errors = process.communicate(timeout=30)

    assert (process.returncode, out) == (1, "")
    assert "--allow-remote" in errors


def test_a_wrong_file_is_told_line_by_line(services: Home) -> None:
    services.file.write_text("services:\n  a: {npm: a}\n")
    process = serving(services)
    out, errors = process.communicate(timeout=30)

    assert (process.returncode, out) == (2, "")
    assert errors.startswith(f"service-manager: {services.file}:2: ")
