"""Installers as child processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

from service_manager.install.process import TAIL_LINES, log_tail, run_logged

pytestmark = pytest.mark.anyio

FAMILY = """\
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1], "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1], sys.argv[2])
child.wait()
"""


async def ignore(elapsed_s: float) -> None:
    """Nobody watches."""


async def run(code: str, *args: str, log: Path, environ: dict[str, str] | None = None) -> int:
    argv = [sys.executable, "-c", code, *args]
    return await run_logged(argv, cwd=log.parent, environ=environ or os.environ, log=log, tick=ignore)


async def test_a_child_writes_to_the_log_and_to_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    code = (
        "import sys; print('out', flush=True); print('err', file=sys.stderr); print(repr(sys.stdin.read()))"
    )

    assert await run(code, log=log) == 0
    assert await run("import os, sys; print(os.getcwd()); sys.exit(7)", log=log) == 7

    assert log.read_text().splitlines() == ["out", "err", "''", str(tmp_path)]
    assert capfd.readouterr() == ("", "")


async def test_a_child_has_the_environment_it_is_given(tmp_path: Path) -> None:
    log = tmp_path / "log"
    await run("import os; print(os.environ.get('HOME'), os.environ['A'])", log=log, environ={"A": "b"})

    assert log.read_text() == "None b\n"


async def test_a_program_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await run_logged(["/no/such"], cwd=tmp_path, environ={}, log=tmp_path / "log", tick=ignore)


async def test_giving_up_kills_the_child_and_its_children(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    async def cancel_when_ready(elapsed_s: float) -> None:
        if ready.exists():
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        argv = [sys.executable, "-c", FAMILY, str(tmp_path / "pids"), str(ready)]
        with anyio.fail_after(30):
            await run_logged(
                argv, cwd=tmp_path, environ=os.environ, log=tmp_path / "log", tick=cancel_when_ready
            )

    parent, child = map(int, ready.read_text().split())
    assert not is_running(parent)
    with anyio.fail_after(10):
        await gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="watches processes that are no children, as Linux can")
async def test_a_child_and_its_children_end_with_who_started_them_whatever_kills_that(tmp_path: Path) -> None:
    pids = tmp_path / "ready"
    os.mkfifo(pids)
    installing = (
        "import anyio, os, sys\n"
        "from pathlib import Path\n"
        "from service_manager.install.process import run_logged\n"
        "async def ignore(elapsed_s): pass\n"
        "async def main():\n"
        "    log = Path(sys.argv[1])\n"
        "    argv = [sys.executable, '-c', *sys.argv[2:]]\n"
        "    await run_logged(argv, cwd=log.parent, environ=os.environ, log=log, tick=ignore)\n"
        "anyio.run(main)\n"
    )
    family = FAMILY.replace("os.rename(sys.argv[1], sys.argv[2])\n", "")
    argv = [sys.executable, "-c", installing, str(tmp_path / "log"), family, str(pids)]
    with anyio.fail_after(30):
        async with await anyio.open_process(argv, cwd=Path(__file__).parents[3]) as process:
            family_pids = (await anyio.Path(pids).read_text()).split()
            watched = [os.pidfd_open(int(pid)) for pid in family_pids]
            process.kill()
            for descriptor in watched:
                await anyio.wait_readable(descriptor)
                os.close(descriptor)


async def test_a_tick_that_fails_kills_the_child(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def fail(elapsed_s: float) -> None:
        raise ValueError("the client is gone")

    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(ValueError, match="the client is gone"):
        await run_logged(
            [sys.executable, "-c", code, str(pid)],
            cwd=tmp_path,
            environ=os.environ,
            log=tmp_path / "log",
            tick=fail,
        )

    assert not is_running(int(pid.read_text()))


def test_the_tail_is_the_last_lines_without_credentials(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(
        b"".join(b"line %d\n" % number for number in range(5_000))
        + b"\xff GET https://ada:secret@packages.example/x\n\n"
    )
    lines = log_tail(log).splitlines()

    assert len(lines) == TAIL_LINES
    assert lines[0].strip() == f"line {5_000 - TAIL_LINES + 1}"
    assert lines[-1].strip().endswith("GET https://***@packages.example/x")
    assert log_tail(tmp_path / "nothing") == ""


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended; a dead one that nobody waited for has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    """Wait until a process that is not our child has ended, through a descriptor of the process."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)
