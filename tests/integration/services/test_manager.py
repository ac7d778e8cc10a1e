"""Services as real child processes: started once, shared, stopped when idle, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from mcp.types import TextContent

from service_manager.errors import ServiceCrashed, ServiceStartFailed, ServiceUnavailable, UnknownService
from service_manager.manager import ServiceManager
from service_manager.model import Command, CommandSource, Progress, ServiceSpec, State, Tier
from service_manager.policy.rules import ResourceRules, SystemRules

pytestmark = pytest.mark.anyio

SERVICE = Path(__file__).parents[2] / "support" / "stdio_service.py"


class Fixed:
    """A resolver whose services are commands; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.entered = anyio.Event()

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """It makes no difference here."""

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        self.asked += 1
        self.entered.set()
        assert isinstance(spec.source, CommandSource)
        return Command((*spec.source.argv, *spec.args), spec.env)


def spec(*flags: str, name: str = "s", **changes: float) -> ServiceSpec:
    source = CommandSource((sys.executable, str(SERVICE)))
    return ServiceSpec(name, source, args=flags, **changes)  # pyright: ignore[reportArgumentType]  # times only


def manager_of(
    *specs: ServiceSpec,
    resolver: Fixed | None = None,
    environ: Mapping[str, str] = os.environ,
    unavailable: Callable[[ServiceSpec], str] = lambda spec: "",
    crowded: bool = False,
) -> ServiceManager:
    """A manager; `crowded` lifts the limit of how many may be awake at once."""
    system = SystemRules(max_concurrent=None if crowded else 20)
    rules = ResourceRules(system=system)
    return ServiceManager(specs, resolver or Fixed(), environ, unavailable=unavailable, rules=rules)


async def ignore(progress: float, total: float | None, message: str) -> None:
    """Drop progress."""


async def ask(manager: ServiceManager, tool: str, **arguments: str) -> str:
    async with manager.lease("s") as session:
        result = await session.call_tool(tool, arguments, ignore)
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] != "Z"


def members(group: int) -> set[int]:
    """The processes of a group that are not dead; a corpse nobody buried still has its group."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == group and state != "Z":
            found.add(int(stat.parent.name))
    return found


async def until(true: Callable[[], bool]) -> None:
    """Wait for something outside this process, which offers no event."""
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110  # another process sets no event of ours
            await anyio.sleep(0.02)


async def test_many_callers_at_once_start_a_service_once_and_each_get_their_own_answer() -> None:
    resolver, answers = Fixed(), dict[int, str]()
    manager = manager_of(spec(), resolver=resolver)

    async def one(number: int) -> None:
        answers[number] = await ask(manager, "echo", message=str(number))

    async with manager.open():
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)
        (status,) = manager.status()

    assert answers == {number: f"echo: {number}" for number in range(50)}
    assert (resolver.asked, status.starts, status.state, status.leases) == (1, 1, State.RUNNING, 0)


async def test_a_cancelled_caller_does_not_cancel_the_start_others_wait_for() -> None:
    resolver = Fixed()
    manager = manager_of(spec(), resolver=resolver)
    async with manager.open():
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:

                async def give_up() -> None:
                    await resolver.entered.wait()
                    scope.cancel()

                tasks.start_soon(give_up)
                await ask(manager, "echo", message="lost")
            assert scope.cancelled_caught
            assert await ask(manager, "echo", message="kept") == "echo: kept"
        assert manager.status()[0].starts == 1


async def test_leaving_the_manager_ends_every_service_with_its_whole_group() -> None:
    manager = manager_of(spec("--fork", "--deaf", stop_timeout_s=0.2))
    async with manager.open():
        group = int(await ask(manager, "whoami"))
        assert len(members(group)) == 2
    # Killed it is by now; the kernel takes its moment to bury it.
    await until(lambda: not members(group))


async def test_a_frozen_service_can_still_be_ended() -> None:
    manager = manager_of(spec())
    async with manager.open():
        pid = int(await ask(manager, "whoami"))
        os.kill(pid, signal.SIGSTOP)
        with anyio.fail_after(10):
            await manager.stop("s")
    assert not alive(pid)


async def test_a_service_that_dies_at_once_says_why_and_is_not_started_for_ever() -> None:
    resolver = Fixed()
    manager = manager_of(spec("--die"), resolver=resolver)
    async with manager.open():
        for _ in range(3):
            with pytest.raises(ServiceStartFailed, match="no licence found"):
                await manager.ready("s")
        assert manager.status()[0].state is State.FAILED
        with pytest.raises(ServiceStartFailed, match="tried again in"):
            await manager.ready("s")
    assert resolver.asked == 3


async def test_a_service_that_never_answers_fails_within_its_start_timeout() -> None:
    manager = manager_of(spec("--silent", start_timeout_s=0.5, stop_timeout_s=0.2))
    async with manager.open():
        with anyio.fail_after(10), pytest.raises(ServiceStartFailed, match=r"initialize within 0\.5 s"):
            await manager.ready("s")


async def test_noise_on_stdout_is_no_reason_to_give_a_service_up() -> None:
    manager = manager_of(spec("--noise"))
    async with manager.open():
        assert await ask(manager, "echo", message="x") == "echo: x"


async def test_a_crash_during_a_request_is_told_at_once_and_the_next_call_starts_it_again() -> None:
    manager = manager_of(spec())
    async with manager.open():
        with anyio.fail_after(10), pytest.raises(ServiceCrashed):
            await ask(manager, "crash")
        assert await ask(manager, "echo", message="again") == "echo: again"
        assert manager.status()[0].starts == 2


async def test_an_idle_service_that_may_be_stopped_sleeps_so_and_the_next_call_starts_it_again() -> None:
    sleepy = replace(spec(idle_timeout_s=0.1, min_sleep_time_s=0.0), stateless=True, sleep=Tier.RESPAWN)
    manager = manager_of(sleepy)
    async with manager.open():
        pid = int(await ask(manager, "whoami"))
        await until(lambda: manager.one("s").state is State.SLEEPING and manager.one("s").pid is None)
        assert not alive(pid)
        assert int(await ask(manager, "whoami")) != pid
        wake = manager.one("s").sleeping.last_wake
        assert wake is not None
        assert wake.tier is Tier.RESPAWN
        assert wake.resume_ms > 0
        assert wake.replay_ms > 0


async def test_an_idle_service_keeps_its_state_over_its_sleep() -> None:
    manager = manager_of(spec(idle_timeout_s=0.1, min_sleep_time_s=0.0))
    async with manager.open():
        pid = int(await ask(manager, "whoami"))
        await until(lambda: manager.one("s").sleeping.asleep is not None)
        assert manager.one("s").state is State.SLEEPING
        assert int(await ask(manager, "whoami")) == pid


async def test_a_leased_service_is_not_stopped_for_being_idle() -> None:
    manager = manager_of(spec(idle_timeout_s=0.05, min_sleep_time_s=0.0), spec(name="t", idle_timeout_s=0.05))
    async with manager.open(), manager.lease("s") as session:
        await session.call_tool("echo", {"message": "x"}, ignore)
        # A second service's whole life passes meanwhile.
        await manager.ready("t")
        await manager.stop("t")
        assert manager.status()[0].state is State.RUNNING


async def test_progress_of_the_service_reaches_the_caller() -> None:
    heard: list[tuple[float, float | None, str]] = []

    async def hear(progress: float, total: float | None, message: str) -> None:
        heard.append((progress, total, message))

    manager = manager_of(spec())
    async with manager.open(), manager.lease("s") as session:
        await session.call_tool("steps", {}, hear)
    assert heard == [(1, 2, "half"), (2, 2, "all")]


async def test_unknown_and_unavailable_services_are_told_apart() -> None:
    manager = manager_of(spec(name="files"), unavailable=lambda spec: "Set API_KEY.")
    async with manager.open():
        with pytest.raises(UnknownService, match="files"):
            await manager.ready("filse")
        with pytest.raises(ServiceUnavailable, match=r"Set API_KEY\."):
            await manager.ready("files")


async def test_secrets_of_our_environment_do_not_reach_a_service() -> None:
    manager = manager_of(spec(), environ={**os.environ, "GATEWAY_TOKEN": "secret"})
    async with manager.open():
        pid = int(await ask(manager, "whoami"))
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()


ORPHANAGE = """
import anyio, os, sys
sys.path[:0] = [{root!r}]
from tests.integration.services.test_manager import ask, manager_of, spec
from tool_router.telemetry.log import configure
configure("error", "json")

async def main():
    manager = manager_of(spec("--fork", "--deaf"))
    async with manager.open():
        print(await ask(manager, "whoami"), flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
async def test_no_service_outlives_a_manager_that_was_killed(frozen: bool) -> None:
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANAGE.format(root=root)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        group = int(await anyio.to_thread.run_sync(parent.stdout.readline))
        if frozen:
            os.killpg(group, signal.SIGSTOP)
        assert members(group)
        parent.kill()
        await until(lambda: not members(group))
