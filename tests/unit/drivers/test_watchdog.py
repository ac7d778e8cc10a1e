"""When its manager is gone the watchdog runs what it was told to, and nothing it was told to forget."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service_manager.drivers.guardian import Guardian

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX")


def touch(path: Path) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", "import sys; open(sys.argv[1], 'w').close()", str(path)]


def test_commands_are_run_when_the_manager_is_gone_but_not_those_that_were_released(tmp_path: Path) -> None:
    guardian = Guardian()
    guardian.guard_by(["/nowhere/to/be/found"])
    guardian.guard_by(touch(tmp_path / "guarded é\n"))
    guardian.guard_by(touch(tmp_path / "released"))
    guardian.release_by(touch(tmp_path / "released"))
    guardian.close()
    assert [path.name for path in tmp_path.iterdir()] == ["guarded é\n"]


def test_a_command_that_takes_long_does_not_keep_process_groups_alive() -> None:
    guardian = Guardian()
    slow = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(1.2)"]
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], start_new_session=True, stdin=subprocess.PIPE
    ) as child:
        guardian.guard(child.pid)
        guardian.guard_by(slow)
        before = time.monotonic()
        guardian.close()
        assert child.wait(1) < 0
        assert time.monotonic() - before >= 1.2
