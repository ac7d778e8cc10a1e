"""The history: bounded, kept between runs, and never an error whatever its file is."""

from __future__ import annotations

import resource
import sqlite3
import sys
from collections.abc import Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service_manager.monitor.history import History, history_file
from service_manager.monitor.sample import MACHINE, Sample

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "usage.sqlite3"


@asynccontextmanager
async def opened(path: Path | None, **bounds: Any):
    history = History(path, **bounds)
    try:
        yield history
    finally:
        await history.aclose()


def samples(count: int, start: float = NOW, service: str = "time") -> list[Sample]:
    return [Sample(start + place, service, "running", float(place), place) for place in range(count)]


@pytest.mark.parametrize("kept", ["file", "memory"])
async def test_samples_come_back_oldest_first_and_only_those_of_the_service(path: Path, kept: str) -> None:
    whole = Sample(NOW, "git", "running", 1.5, 1, 2, 3, 4.5, 5.5, None, 7.5, 8)
    async with opened(path if kept == "file" else None) as history:
        await history.add([*samples(3), whole, Sample(NOW, MACHINE)], NOW + 3)

        assert await history.since("time", 0) == tuple(samples(3))
        assert await history.since("time", NOW + 2) == (samples(3)[2],)
        assert await history.since("git", 0) == (whole,)
        assert len(await history.since(MACHINE, 0)) == 1
        assert await history.since("time", 0, limit=2) == tuple(samples(3)[1:])


async def test_the_next_run_finds_what_was_kept(path: Path) -> None:
    async with opened(path) as history:
        await history.add(samples(3), NOW)
    async with opened(path) as history:
        assert len(await history.since("time", 0)) == 3
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_what_is_too_old_goes(path: Path) -> None:
    async with opened(path, kept_s=100.0) as history:
        await history.add(samples(3), NOW)
        await history.add(samples(1, NOW + 101), NOW + 101.5)

        assert [found.at for found in await history.since("time", 0)] == [NOW + 2, NOW + 101]


@pytest.mark.parametrize("wall", [NOW, NOW - 1e9], ids=["steady", "a clock set back by decades"])
async def test_what_is_too_much_goes_whatever_the_clock_says(path: Path, wall: float) -> None:
    async with opened(path, kept_rows=5) as history:
        await history.add(samples(4), NOW)
        await history.add(samples(4, wall - 10), wall)

        assert len(await history.since("time", 0)) == 5


def text(path: Path) -> None:
    path.write_text("not a database at all " * 100)


def torn(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * 100_000)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("broken", [text, torn, newer])
async def test_a_broken_file_is_kept_beside_a_new_one_and_told_of_once(
    path: Path, broken: Callable[[Path], None]
) -> None:
    async with opened(path) as history:
        await history.add(samples(500), NOW)
    broken(path)
    with capture_logs() as logs:
        async with opened(path) as history:
            await history.add(samples(1, NOW + 1000), NOW + 1000)
            await history.add(samples(1, NOW + 1001), NOW + 1001)
            assert [found.at for found in await history.since("time", 0)] == [NOW + 1000, NOW + 1001]
            assert not history.in_memory

    assert [line["event"] for line in logs] == ["usage_history_set_aside"]
    assert path.with_name("usage.sqlite3.aside").is_file()
    async with opened(path) as history:
        assert len(await history.since("time", 0)) == 2


def a_directory(path: Path) -> None:
    path.mkdir(parents=True)


def a_file_above(path: Path) -> None:
    path.parent.write_text("")


def of_another_program(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


@pytest.mark.parametrize("unfit", [a_directory, a_file_above, of_another_program])
async def test_where_no_file_can_be_used_the_history_is_in_memory_and_says_so_once(
    path: Path, unfit: Callable[[Path], None]
) -> None:
    unfit(path)
    with capture_logs() as logs:
        async with opened(path) as history:
            await history.add(samples(2), NOW)
            await history.add(samples(2, NOW + 10), NOW + 10)
            assert len(await history.since("time", 0)) == 4
            assert history.in_memory

    assert [line["event"] for line in logs] == ["usage_history_in_memory_only"]
    if unfit is of_another_program:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


@contextmanager
def largest_file(size: int) -> Generator[None]:
    """No file of this process may grow beyond a size: what a full disk does to a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of file sizes")
async def test_a_disk_that_fills_up_loses_nothing_of_this_run_and_is_told_of_once(path: Path) -> None:
    with capture_logs() as logs:
        async with opened(path) as history:
            await history.add(samples(100), NOW)
            with largest_file(120_000):
                for round_ in range(1, 11):
                    start = NOW + 1000 * round_
                    await history.add(samples(500, start), start)
                found = await history.since("time", 0)
            assert history.in_memory

    assert [line["event"] for line in logs] == ["usage_history_in_memory_only"]
    assert len(found) == 5100


async def test_samples_wait_while_another_process_holds_the_file(path: Path) -> None:
    async with opened(path) as history:
        await history.add(samples(1), NOW)
        with capture_logs() as logs, closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await history.add(samples(1, NOW + 1), NOW + 1)
            assert len(await history.since("time", 0)) == 1
            other.execute("COMMIT")
        await history.add(samples(1, NOW + 2), NOW + 2)

        assert len(await history.since("time", 0)) == 3
        assert logs == []


def test_each_services_file_has_a_history_of_its_own(tmp_path: Path) -> None:
    environ = {"TOOL_ROUTER_HOME": str(tmp_path)}
    one, other = (history_file(tmp_path / name / "services.yml", environ) for name in "ab")

    assert one != other
    assert one.parent == tmp_path / "state"
