"""`logs --follow` and `top` as processes: they go on until interrupted, and an interrupt is no failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from service_manager.model import Priority, State
from service_manager.status import ServiceStatus
from tests.integration.service_cli.scripted import Home, Scripted
from tests.integration.service_cli.test_top import use, watched

PROGRAM = Path(sys.executable).with_name("service-manager")
ENTER_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"

TIME = ServiceStatus("time", State.RUNNING, Priority.NORMAL, pid=7, starts=1)


@contextmanager
def command(home: Home, *words: str) -> Generator[subprocess.Popen[str]]:
    """The command as a process, killed at the end if it still runs."""
    process = subprocess.Popen(
        [str(PROGRAM), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **home.environ},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def stdout(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_new_lines_are_shown_as_they_come(home: Home, words: list[str]) -> None:
    manager = Scripted(TIME)
    manager.journals["time"].add("old")
    manager.journals["time"].add("last")
    with home.daemon(manager), command(home, "logs", "time", "-f", "-n", "1", *words) as process:
        seen = [stdout(process).readline()]
        for line in ("one", "two"):
            manager.journals["time"].add(line)
            seen.append(stdout(process).readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)

    assert [json.loads(line) if words else line.strip() for line in seen] == ["last", "one", "two"]
    assert (process.returncode, rest, errors) == (0, "", "")


def test_following_ends_with_the_daemon_and_says_so(home: Home) -> None:
    manager = Scripted(TIME)
    manager.journals["time"].add("last")
    with home.daemon(manager):
        process = subprocess.Popen(
            [str(PROGRAM), "logs", "time", "--follow"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **home.environ},
        )
        assert stdout(process).readline() == "last\n"
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert errors.startswith("service-manager: The daemon can't be reached")


def test_readings_are_shown_again_and_again_one_document_for_each(home: Home) -> None:
    manager = Scripted(TIME)
    manager.uses = [use(float(second), 40) for second in range(3)]
    words = ("top", "--json", "--interval", "0.1")
    with home.daemon(manager, watched()), command(home, *words) as process:
        decoder, text, seen = json.JSONDecoder(), "", list[float | None]()
        while len(seen) < 3:
            line = stdout(process).readline()
            assert line, "it ended by itself"
            text += line
            try:
                data, end = decoder.raw_decode(text)
            except ValueError:
                continue
            seen.append(data["services"]["time"]["cpu_percent"])
            text = text[end:].lstrip()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)

    assert seen == [None, 10.0, 10.0]
    assert (process.returncode, errors) == (0, "")


def test_on_a_terminal_one_screen_is_written_anew_and_given_back_at_the_end(home: Home) -> None:
    manager = Scripted(TIME)
    manager.uses = [use(float(second), 40) for second in range(3)]
    ours, its = os.openpty()
    with home.daemon(manager, watched()):
        process = subprocess.Popen(
            [str(PROGRAM), "top", "--interval", "0.1"],
            stdin=its,
            stdout=its,
            stderr=subprocess.PIPE,
            env={**os.environ, **home.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "20"},
        )
        os.close(its)
        shown = b""
        while shown.count(b"10.0 %") < 2:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):
            # The end of a terminal is an error of its own.
            while chunk := os.read(ours, 4096):
                shown += chunk
        _, errors = process.communicate(timeout=20)
    os.close(ours)

    assert (process.returncode, errors) == (0, b"")
    assert shown.count(ENTER_SCREEN) == shown.count(LEAVE_SCREEN) == 1
    assert b"\x1b[32mrunning" in shown
