from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.zygote import Zygotes
from service_manager.zygote.forked import ForkedProcess

ENTRIES = Path(__file__).parent / "entries"


def make_environment(path: Path) -> Path:
    """A virtual environment with nothing in it, by its two files: it starts in a moment."""
    (path / "bin").mkdir(parents=True)
    base = Path(sys.base_prefix) / "bin"
    (path / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (path / "pyvenv.cfg").write_text(f"home = {base}\ninclude-system-site-packages = false\n")
    return path


@dataclass
class Nursery:
    """Zygotes of one empty environment whose services are the modules in `entries`."""

    zygotes: Zygotes
    environment: Path
    base: dict[str, str]

    async def fork(
        self, entry: str, *args: str, env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> ForkedProcess | None:
        argv = [str(self.environment / "bin" / "service"), *args]
        environ = self.base | dict(env or {})
        return await self.zygotes.start(str(self.environment), entry, argv, environ, cwd)

    async def forked(
        self, entry: str, *args: str, env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> ForkedProcess:
        process = await self.fork(entry, *args, env=env, cwd=cwd)
        assert process is not None, "it was to be forked"
        return process

    @property
    def zygote(self) -> int:
        (pid,) = self.zygotes.pids().values()
        return pid


@pytest.fixture
async def guardian() -> AsyncIterator[Guardian]:
    guarding = Guardian()
    yield guarding
    guarding.close()


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ENTRIES),
        "GATE": str(tmp_path / "gate"),
        "TZ": "UTC",
    }


@pytest.fixture
async def nursery(tmp_path: Path, guardian: Guardian, base: dict[str, str]) -> AsyncIterator[Nursery]:
    environment = make_environment(tmp_path / "environment")
    async with Zygotes(base, guardian) as zygotes:
        # Three services of one environment have a zygote from their first start on.
        zygotes.know({str(environment): ("one", "two", "three")})
        yield Nursery(zygotes, environment, base)


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it wrote."""

    code: int
    output: str
    errors: str


async def ending(process: anyio.abc.Process, given: bytes = b"") -> Ended:
    """Give a process its input, and wait for its end."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = bytearray(), bytearray()

    async def collect(stream: anyio.abc.ByteReceiveStream, into: bytearray) -> None:
        async for chunk in stream:
            into += chunk

    with anyio.fail_after(20):
        async with process:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(collect, process.stdout, output)
                tasks.start_soon(collect, process.stderr, errors)
                if given:
                    await process.stdin.send(given)
                await process.stdin.aclose()
            code = await process.wait()
    return Ended(code, output.decode(), errors.decode())


async def gone(pid: int) -> None:
    """Return when a process that need not be our child has ended."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with anyio.fail_after(20):
            await anyio.wait_readable(watched)
    finally:
        os.close(watched)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
