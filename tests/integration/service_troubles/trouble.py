"""Real managers of troublesome services, and what can be seen of processes from outside."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from mcp.types import TextContent

from service_manager.enforce.groups import PREFIX, bases
from service_manager.enforce.hierarchy import hierarchies
from service_manager.lifecycle.keepsakes import Keepsakes
from service_manager.linux.capabilities import SwapKind, probe
from service_manager.manager import ServiceManager
from service_manager.model import Command, CommandSource, Progress, ServiceSpec, Transition
from service_manager.policy.rules import ResourceRules

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "tests" / "support" / "trouble_service.py"
ARGV = (sys.executable, "-I", "-S", str(PROGRAM))

LIMIT_S = 20.0
"""Nothing that is waited for takes longer, on a machine that has much else to do."""


class AsWritten:
    """A resolver of services that have a command, or need none."""

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """It makes no difference here."""

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        argv = spec.source.argv if isinstance(spec.source, CommandSource) else ()
        return Command((*argv, *spec.args), spec.env)


class Clock:
    """Monotonic seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def trouble(*switches: str, name: str = "s", **changes: Any) -> ServiceSpec:
    """A service that makes trouble; it ends within half a second, or is killed."""
    spec = ServiceSpec(name, CommandSource(ARGV), args=switches, stop_timeout_s=0.5)
    return replace(spec, **changes)


def manager_of(
    *specs: ServiceSpec,
    rules: ResourceRules | None = None,
    clock: Callable[[], float] | None = None,
    observe: Callable[[Transition], None] = lambda change: None,
    keepsakes: Keepsakes | None = None,
) -> ServiceManager:
    """A manager of real processes; with a clock of the test's own, the machine is not watched.

    It knows of no swap: what others make of it meanwhile would change how services sleep here.
    """
    more: Mapping[str, Any] = {} if clock is None else {"clock": clock, "governed": False}
    machine = replace(probe(), swap=SwapKind.NONE)
    return ServiceManager(
        specs,
        AsWritten(),
        os.environ,
        rules=rules,
        observe=observe,
        keepsakes=keepsakes,
        machine=machine,
        **more,
    )


async def ignore(progress: float, total: float | None, message: str) -> None:
    """Drop progress."""


async def ask(manager: ServiceManager, tool: str, name: str = "s", **arguments: Any) -> str:
    """Call a tool and give the text it answers."""
    async with manager.lease(name) as session:
        result = await session.call_tool(tool, arguments, ignore)
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def pid_of(manager: ServiceManager, name: str = "s") -> int:
    """The process of a service as it says itself."""
    return int(await ask(manager, "pid", name))


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def frozen(pid: int) -> bool:
    """Whether a process is stopped, by a signal or with its control group."""
    if state_of(pid) == "T":
        return True
    for base in bases(hierarchies()):
        for listing in base.directory.glob(f"{PREFIX}*/*/cgroup.procs"):
            if base.version == 2 and str(pid) in listing.read_text().split():
                return "frozen 1" in (listing.parent / "cgroup.events").read_text()
    return False


def alive(pid: int) -> bool:
    """Whether a process is there and not only unburied."""
    return state_of(pid) not in ("", "Z", "X")


async def until(true: Callable[[], bool]) -> None:
    """Wait for something outside this process, which offers no event."""
    with anyio.fail_after(LIMIT_S):
        while not true():  # noqa: ASYNC110  # another process sets no event of ours
            await anyio.sleep(0.01)


def kill(pid: int) -> None:
    """End a process that must not outlive a test."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def children_with(text: str) -> set[int]:
    """The living processes whose command line holds a text, such as the path of a test's own file."""
    found: set[int] = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if text.encode() in file.read_bytes() and alive(int(file.parent.name)):
                found.add(int(file.parent.name))
    return found
