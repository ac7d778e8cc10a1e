"""Zygotes: when there is one, what it refuses, and that nothing outlives whom it belongs to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from mcp.client.client import Client

from service_manager.drivers import zygote as driver
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.stdio import stdio_streams
from service_manager.drivers.zygote import Zygotes
from service_manager.zygote.forked import UNKNOWN_CODE
from tests.integration.zygote.conftest import Nursery, children, ending, gone, make_environment

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="zygotes are for Linux only"),
]

REPOSITORY = Path(__file__).parents[3]


async def said(nursery: Nursery, entry: str, env: dict[str, str] | None = None) -> str:
    return (await ending(await nursery.forked(entry, env=env))).output


async def test_the_second_start_in_an_environment_is_a_fork_and_so_are_all_that_follow(
    tmp_path: Path, guardian: Guardian, base: dict[str, str]
) -> None:
    environment = make_environment(tmp_path / "environment")
    async with Zygotes(base, guardian) as zygotes:
        nursery = Nursery(zygotes, environment, base)
        zygotes.know({str(environment): ("one", "two")})
        assert await nursery.fork("well:three") is None
        assert zygotes.pids() == {}

        assert (await ending(await nursery.forked("well:three"))).code == 3
        first = nursery.zygote
        assert (await ending(await nursery.forked("well:words"))).code == 1
        assert nursery.zygote == first

    await gone(first)


async def test_a_real_server_answers_from_a_zygote(guardian: Guardian) -> None:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    async with Zygotes(base, guardian) as zygotes:
        zygotes.know({sys.prefix: ("one", "two", "three")})
        process = await zygotes.start(
            sys.prefix, "tests.support.clock_service:server.run", ["bin/clock"], base, None
        )
        assert process is not None
        async with process:
            transport = stdio_streams("clock", process.stdin, process.stdout, anyio.Lock())
            with anyio.fail_after(20):
                async with Client(transport) as client:
                    answer = await client.call_tool("get_current_time", {"timezone": "Asia/Tokyo"})

    assert "+09:00" in str(answer.content)


async def test_a_module_that_looks_at_its_environment_sees_that_of_its_own_service(nursery: Nursery) -> None:
    assert await said(nursery, "keyed:main", {"DEMO_KEY": "one"}) == "one"
    assert await said(nursery, "keyed:main", {"DEMO_KEY": "two"}) == "two"


async def test_a_module_that_cannot_be_imported_fails_in_its_own_process_with_its_own_words(
    nursery: Nursery,
) -> None:
    ended = await ending(await nursery.forked("broken:main"))

    assert (ended.code, ended.output) == (1, "")
    assert ended.errors.endswith("KeyError: 'NO_SUCH_VARIABLE'\n")
    assert await said(nursery, "well:fine") == "written, handled"


async def test_what_an_import_writes_is_not_the_services_output(nursery: Nursery) -> None:
    assert await said(nursery, "noisy:main") == "said"
    assert await said(nursery, "noisy:main") == "said"


@pytest.mark.parametrize("module", ["threaded", "connected"])
async def test_what_cannot_be_shared_is_not_forked_and_keeps_nobody_else_from_it(
    nursery: Nursery, module: str
) -> None:
    stays = await nursery.forked("well:copy")
    before = nursery.zygote

    assert await nursery.fork(f"{module}:main") is None
    assert await said(nursery, "well:fine") == "written, handled"
    assert nursery.zygote != before
    after = nursery.zygote
    assert await nursery.fork(f"{module}:main") is None
    assert nursery.zygote == after, "it was not tried again"
    assert (await ending(stays, b"still there")).output == "still there"
    await gone(before)


@pytest.mark.parametrize(
    "env",
    [{"PYTHONHASHSEED": "0"}, {"LD_PRELOAD": ""}, {"LANG": "C"}, {"LC_ALL": "C"}, {"MALLOC_ARENA_MAX": "1"}],
    ids=lambda env: next(iter(env)),
)
async def test_what_is_read_before_a_fork_makes_a_service_start_by_itself(
    nursery: Nursery, env: dict[str, str]
) -> None:
    assert await nursery.fork("well:fine", env=env) is None
    assert await nursery.fork("well:fine") is not None


async def test_a_directory_that_is_not_there_is_left_to_the_start_to_tell(nursery: Nursery) -> None:
    assert await nursery.fork("well:fine", cwd="/no/such/directory") is None


async def test_an_environment_without_an_interpreter_is_given_up_after_some_tries(
    nursery: Nursery,
) -> None:
    python = nursery.environment / "bin" / "python"
    target = python.readlink()
    python.unlink()
    for _ in range(driver.FAILURES):
        assert await nursery.fork("well:fine") is None
    python.symlink_to(target)

    assert await nursery.fork("well:fine") is None
    assert nursery.zygotes.pids() == {}


async def test_a_killed_zygote_is_replaced_and_its_children_go_on(nursery: Nursery) -> None:
    orphan = await nursery.forked("well:copy")
    before = nursery.zygote
    os.kill(before, signal.SIGKILL)
    await gone(before)
    # The event loop hears of its end a moment later than we do.
    while nursery.zygotes.pids():
        await anyio.lowlevel.checkpoint()

    assert await said(nursery, "well:fine") == "written, handled"
    assert nursery.zygote != before
    ended = await ending(orphan, b"still there")
    assert (ended.code, ended.output) == (UNKNOWN_CODE, "still there")


async def test_an_installation_makes_another_zygote(nursery: Nursery) -> None:
    assert await said(nursery, "well:fine") == "written, handled"
    before = nursery.zygote
    copy = nursery.environment.with_name("copy")
    shutil.copytree(nursery.environment, copy, symlinks=True)
    nursery.environment.rename(nursery.environment.with_name("old"))
    copy.rename(nursery.environment)

    assert await said(nursery, "well:fine") == "written, handled"

    assert nursery.zygote != before
    await gone(before)


async def test_a_zygote_that_has_nothing_to_do_ends_and_another_one_is_made(
    tmp_path: Path, guardian: Guardian, base: dict[str, str]
) -> None:
    environment = make_environment(tmp_path / "environment")
    async with Zygotes(base, guardian, idle_s=0.3) as zygotes:
        zygotes.know({str(environment): ("one", "two", "three")})
        nursery = Nursery(zygotes, environment, base)
        process = await nursery.forked("well:copy")
        zygote = nursery.zygote
        assert (await ending(process, b"x")).output == "x"
        await gone(zygote)
        while nursery.zygotes.pids():
            await anyio.lowlevel.checkpoint()

        assert await said(nursery, "well:fine") == "written, handled"


async def test_a_start_that_is_given_up_leaves_no_process(nursery: Nursery, base: dict[str, str]) -> None:
    os.mkfifo(base["GATE"])
    gates: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(nursery.fork, "slow:main")
        # This returns once the zygote has the pipe open: it is in the middle of the import.
        gates.append(await anyio.to_thread.run_sync(os.open, base["GATE"], os.O_WRONLY))
        tasks.cancel_scope.cancel()
    os.close(*gates)

    async with await nursery.forked("well:copy") as process:
        for child in children(nursery.zygote):
            if child != process.pid:
                await gone(child)


async def test_an_import_that_hangs_is_given_up_for_good_and_harms_nobody_else(
    nursery: Nursery, base: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await said(nursery, "well:fine") == "written, handled"
    hanging = nursery.zygote
    os.mkfifo(base["GATE"])
    monkeypatch.setattr(driver, "FORK_S", 0.2)

    assert await nursery.fork("slow:main") is None

    await gone(hanging)
    monkeypatch.undo()
    assert await nursery.fork("slow:main") is None
    assert await said(nursery, "well:fine") == "written, handled"


async def test_after_the_end_nothing_is_forked(nursery: Nursery) -> None:
    await nursery.zygotes.aclose()

    assert await nursery.fork("well:fine") is None


MANAGER = """\
import anyio, os, signal, sys
from pathlib import Path
from service_manager.drivers.zygote import Zygotes

class Nobody:
    def guard(self, group): ...
    def release(self, group): ...

async def main():
    zygotes = Zygotes(dict(os.environ), Nobody())
    zygotes.know({sys.argv[1]: ("one", "two", "three")})
    stays = await zygotes.start(sys.argv[1], "well:stay", ["x"], os.environ, None)
    stopped = await zygotes.start(sys.argv[1], "well:stay", ["x"], os.environ, None)
    for process in (stays, stopped):
        await process.stdout.receive()
    os.kill(stopped.pid, signal.SIGSTOP)
    print(*zygotes.pids().values(), stays.pid, stopped.pid, file=sys.stderr, flush=True)
    await anyio.sleep_forever()

anyio.run(main)
"""


async def test_nothing_outlives_a_killed_manager_not_even_what_is_stopped_or_deaf(
    tmp_path: Path, base: dict[str, str]
) -> None:
    """Without the watchdog, which would end them too."""
    environment = make_environment(tmp_path / "environment")
    manager = await anyio.open_process(
        [sys.executable, "-c", MANAGER, str(environment)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=base | {"PYTHONPATH": f"{REPOSITORY}:{base['PYTHONPATH']}"},
    )
    assert manager.stderr is not None
    words = b""
    with anyio.fail_after(30):
        async for chunk in manager.stderr:
            words += chunk
            if words.endswith(b"\n"):
                break
        pids = [int(word) for word in words.split()]
        watched = [os.pidfd_open(pid) for pid in pids]
        manager.kill()
        for descriptor in watched:
            await anyio.wait_readable(descriptor)
            os.close(descriptor)
        await manager.aclose()
    assert len(pids) == 3
