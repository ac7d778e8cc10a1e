"""Services written to disk and brought back, where CRIU works; elsewhere it says why it does not."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import anyio
import pytest

from service_manager.drivers.checkpoint import Checkpoint, said, unable
from service_manager.errors import SleepFailed
from service_manager.linux import procfs
from tests.integration.sleep.conftest import StartCounter
from tests.integration.sleep.service import state

pytestmark = pytest.mark.anyio


@pytest.fixture
def criu() -> str:
    """The program, where it works."""
    if why := unable():
        pytest.skip(why)
    return "criu"


async def test_a_service_comes_back_with_its_state_and_what_was_written_meanwhile(
    start: StartCounter, criu: str, tmp_path: Path
) -> None:
    async with start() as counter:
        checkpoint = Checkpoint(counter.pid, tmp_path, criu)
        for cycle in range(3):
            await checkpoint.dump()
            await counter.process.wait()
            await counter.tell("add")
            assert state(counter.pid) in ("", "Z")
            await checkpoint.restore()
            assert await counter.answer() == str(cycle + 1)
        assert await counter.ask("look") == "True"
        os.kill(counter.pid, signal.SIGKILL)
        with anyio.fail_after(5):
            await checkpoint.wait()
        checkpoint.close()


async def test_one_that_runs_is_not_brought_back(start: StartCounter, criu: str, tmp_path: Path) -> None:
    async with start() as counter:
        checkpoint = Checkpoint(counter.pid, tmp_path, criu)
        await checkpoint.restore()
        assert await counter.ask("add") == "1"
        checkpoint.close()


@pytest.mark.skipif(not procfs.there(), reason="there is no /proc")
async def test_a_dump_that_fails_says_why_and_leaves_the_service_running(
    start: StartCounter, tmp_path: Path
) -> None:
    broken = tmp_path / "criu"
    broken.write_text("#!/bin/sh\necho 'Error (criu/x.c:1): the moon is full' >&2\nexit 1\n")
    broken.chmod(0o755)
    async with start() as counter:
        checkpoint = Checkpoint(counter.pid, tmp_path, str(broken))
        with pytest.raises(SleepFailed, match=r"can't dump .*: the moon is full"):
            await checkpoint.dump()
        assert await counter.ask("add") == "1"
        checkpoint.close()


@pytest.mark.skipif(not procfs.there(), reason="there is no /proc")
def test_a_process_we_do_not_speak_to_over_pipes_is_refused(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, start_new_session=True) as process:
        with pytest.raises(SleepFailed, match="no pipe in common"):
            Checkpoint(process.pid, tmp_path)
        process.kill()


def test_a_machine_without_criu_says_how_to_get_it() -> None:
    why = unable("no-such-criu")
    assert "apt-get install criu" in why or "Linux only" in why


def test_the_cause_is_found_in_what_criu_says() -> None:
    log = (
        "Error (criu/util.c:642): exited, status=1\n"
        "(00.007434) Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds\n"
        "Error (criu/crtools.c:260): Could not initialize kernel features detection.\n"
    )
    assert said(log) == "vdso: Unexpected rt vDSO area bounds"
    assert said("") == "it does not say why"
