from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.cache.schema import SCHEMA_VERSION
from tool_router.cache.startup import read_description
from tool_router.cache.store import Store
from tool_router.errors import StoreError
from tool_router.learning.outcome import Outcome, Verdict

pytestmark = pytest.mark.anyio

CATALOG = a_catalog(a_tool("read_file"), a_tool("write_file"))
unless_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


async def filled(path: Path) -> None:
    async with Store.open(path) as store:
        await store.save_catalog(CATALOG, "stored words")


def statement(text: str) -> Callable[[Path], None]:
    def execute(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(text)
            connection.commit()

    return execute


def overwrite_start(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this is no database at all " * 10)


def overwrite_all(path: Path) -> None:
    path.write_bytes(b"\x00\xff" * 5000)


def damage_pages(path: Path) -> None:
    """The header stays good; the pages behind it do not, so that only a statement finds out."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


@pytest.mark.parametrize(
    ("damage", "suffix"),
    [
        (overwrite_start, "corrupt"),
        (overwrite_all, "corrupt"),
        (damage_pages, "corrupt"),
    ],
)
async def test_a_corrupt_file_is_set_aside_and_rebuilt_and_said_once(
    path: Path, damage: Callable[[Path], None], suffix: str
) -> None:
    await filled(path)
    damage(path)
    with capture_logs() as logs:
        async with Store.open(path) as store:
            assert await store.load_catalog(CATALOG.source) is None
            await store.save_catalog(CATALOG, "new words")
            assert not store.in_memory
        async with Store.open(path) as store:
            assert await store.load_catalog(CATALOG.source) == CATALOG
    assert path.with_name(f"store.sqlite3.{suffix}").exists()
    assert [entry["event"] for entry in logs] == ["store_set_aside"]


BAD = Outcome("1", 5.0, CATALOG.source, "read it", "file", "read_file", Verdict.BAD, 12.0)


async def with_all_kinds_of_rows(path: Path) -> None:
    async with Store.open(path) as store:
        await store.save_catalog(CATALOG, "stored words")
        await store.save_vectors("m", {"a": b"1234"})
        await store.pin(CATALOG.source, {"read_file": "as accepted"})
        await store.add_outcomes([BAD])
        await store.save_decisions({"key": b"ranking"})


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        (f"PRAGMA user_version = {SCHEMA_VERSION + 1}", set[str]()),
        ("PRAGMA user_version = 0", set[str]()),
        ("DROP TABLE decisions; PRAGMA user_version = 2", {"decisions"}),
        ("DROP TABLE decisions; DROP TABLE outcomes; PRAGMA user_version = 1", {"decisions", "outcomes"}),
        ("ALTER TABLE outcomes RENAME task TO words; PRAGMA user_version = 9", {"outcomes"}),
        ("ALTER TABLE pins ADD COLUMN by_whom TEXT; PRAGMA user_version = 9", set[str]()),
    ],
)
async def test_another_versions_file_is_set_aside_and_what_both_versions_know_is_carried_over(
    path: Path, changes: str, missing: set[str]
) -> None:
    await with_all_kinds_of_rows(path)
    for change in changes.split("; "):
        statement(change)(path)
    version = changes.rpartition(" ")[2]
    kept = path.with_name(f"store.sqlite3.schema-{version}")
    with capture_logs() as logs:
        for _ in range(2):
            async with Store.open(path) as store:
                assert await store.load_catalog(CATALOG.source) == CATALOG
                assert await store.load_description(CATALOG.source) == "stored words"
                assert await store.vectors("m", ["a"]) == {"a": b"1234"}
                assert await store.pins(CATALOG.source) == {"read_file": "as accepted"}
                assert await store.outcomes(CATALOG.source, 9) == ([] if "outcomes" in missing else [BAD])
                assert await store.decision("key") in (b"ranking", None)
                assert not store.in_memory
    assert [entry["event"] for entry in logs] == ["store_set_aside"]
    tables = {"catalogs", "vectors", "pins", "outcomes", "decisions"} - missing
    assert logs[0]["carried_over"] == dict.fromkeys(tables, 1)
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (int(version),)
        assert connection.execute("SELECT count(*) FROM pins").fetchone() == (1,)
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.lock", kept.name}


async def test_pins_are_carried_over_from_a_file_that_is_damaged_elsewhere(path: Path) -> None:
    await with_all_kinds_of_rows(path)
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'catalogs'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute("PRAGMA user_version = 2")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    async with Store.open(path) as store:
        assert await store.pins(CATALOG.source) == {"read_file": "as accepted"}
        assert await store.load_catalog(CATALOG.source) is None


async def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.touch()
    with capture_logs() as logs:
        await filled(path)
    assert logs == []


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    statement("CREATE TABLE accounts (name TEXT)")(path)
    before = path.read_bytes()
    with capture_logs() as logs:
        async with Store.open(path) as store:
            await store.save_catalog(CATALOG, "words")
            assert await store.load_catalog(CATALOG.source) == CATALOG
            assert store.in_memory
    assert path.read_bytes() == before
    assert [entry["event"] for entry in logs] == ["store_in_memory_only"]


async def test_a_path_that_can_not_be_made_keeps_everything_in_memory_and_says_so_once(path: Path) -> None:
    path.write_text("a file where a directory should be")
    with capture_logs() as logs:
        async with Store.open(path / "store.sqlite3") as store:
            for _ in range(3):
                await store.save_catalog(CATALOG, "words")
            assert await store.load_catalog(CATALOG.source) == CATALOG
    assert [entry["event"] for entry in logs] == ["store_in_memory_only"]


async def test_a_directory_in_place_of_the_file_keeps_everything_in_memory(path: Path) -> None:
    path.mkdir()
    with capture_logs() as logs:
        async with Store.open(path) as store:
            await store.save_catalog(CATALOG, "words")
            assert store.in_memory
    assert [entry["event"] for entry in logs] == ["store_in_memory_only"]


@unless_root
async def test_what_a_read_only_directory_holds_is_still_read(path: Path) -> None:
    await filled(path)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with capture_logs() as logs:
            async with Store.open(path) as store:
                assert await store.load_catalog(CATALOG.source) == CATALOG
                await store.save_catalog(CATALOG, "words")
                assert store.in_memory
    finally:
        path.parent.chmod(0o700)
    assert [entry["event"] for entry in logs] == ["store_in_memory_only"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import anyio
from structlog.testing import capture_logs
from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.cache.store import Store

async def main():
    path = Path(sys.argv[1])
    tools = [a_tool(f"tool{number}", description=str(number * 7919) * 50) for number in range(4000)]
    big = a_catalog(*tools, fetched_at=9e9)
    async with Store.open(path) as store:
        before = await store.load_catalog("scripted:test")
        await store.save_vectors("m", {"a": b"1234"})
        # No file may grow beyond what it is: for SQLite that is a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        with capture_logs() as logs:
            await store.save_catalog(big, "big")
            await store.save_vectors("m", {"b": b"5678"})
        assert store.in_memory
        assert await store.load_catalog("scripted:test") == big
        assert set(await store.vectors("m", ["a", "b"])) == {"a", "b"}
        assert [entry["event"] for entry in logs] == ["store_in_memory_only"], logs
        print(len(before.tools))

anyio.run(main)
"""


async def test_a_full_disk_keeps_what_was_stored_and_goes_on_in_memory(path: Path) -> None:
    await filled(path)
    done = await anyio.run_process([sys.executable, "-c", FULL_DISK, str(path)], check=False)
    assert done.stderr == b""
    assert done.stdout == b"2\n"
    async with Store.open(path) as store:
        assert await store.load_catalog(CATALOG.source) == CATALOG


async def test_a_store_locked_by_another_process_is_an_error_not_a_wait_for_ever(path: Path) -> None:
    await filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with Store.open(path) as store:
            assert await store.load_catalog(CATALOG.source) == CATALOG
            with pytest.raises(StoreError, match="locked"):
                await store.save_vectors("m", {"a": b"1234"})
            other.execute("ROLLBACK")
            await store.save_vectors("m", {"a": b"1234"})


SHARE = """
import sys
from pathlib import Path
import anyio
from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.cache.store import Store
from tool_router.learning.outcome import Outcome, Verdict

async def main():
    sys.stdin.readline()
    me = sys.argv[2]
    async with Store.open(Path(sys.argv[1])) as store:
        await store.save_vectors(me, {"a": b"1234"})
        await store.save_catalog(a_catalog(a_tool("one"), source=me), "words")
        for number in range(20):
            await store.add_outcomes([Outcome(f"{me}-{number}", number, "shared", me, "", "t", Verdict.GOOD)])
            await store.save_decisions({f"{me}-{number}": me.encode(), "contested": me.encode()})

anyio.run(main)
"""


@pytest.mark.parametrize("before", ["nothing", "damaged", "older"])
async def test_processes_that_start_together_on_one_file_lose_nothing(path: Path, before: str) -> None:
    if before == "damaged":
        overwrite_all(path)
    elif before == "older":
        await with_all_kinds_of_rows(path)
        statement("DROP TABLE decisions")(path)
        statement("PRAGMA user_version = 2")(path)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SHARE, str(path), f"router{number}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, complaints = child.communicate(timeout=60)
        assert child.returncode == 0, complaints
    async with Store.open(path) as store:
        for number in range(4):
            assert await store.vectors(f"router{number}", ["a"]) == {"a": b"1234"}
            assert await store.load_catalog(f"router{number}") is not None
            assert await store.decision(f"router{number}-19") == f"router{number}".encode()
        assert len(await store.outcomes("shared", 1_000)) == 4 * 20
        assert (await store.decision("contested") or b"").startswith(b"router")
        if before == "older":
            assert await store.pins(CATALOG.source) == {"read_file": "as accepted"}


async def test_the_description_is_read_without_the_store(path: Path) -> None:
    assert read_description(path, CATALOG.source) is None
    await filled(path)
    assert read_description(path, CATALOG.source) == "stored words"
    assert read_description(path, "another:gateway") is None


async def test_the_description_is_read_while_another_router_writes(path: Path) -> None:
    async with Store.open(path) as store:
        await store.save_catalog(CATALOG, "fresh words")
        assert read_description(path, CATALOG.source) == "fresh words"


@pytest.mark.parametrize("damage", [overwrite_start, overwrite_all, damage_pages])
async def test_an_unusable_file_has_no_description(path: Path, damage: Callable[[Path], None]) -> None:
    await filled(path)
    damage(path)
    assert read_description(path, CATALOG.source) is None


async def test_reading_the_description_makes_no_file_and_loads_no_numpy(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tool_router.cache.startup import read_description;"
        "assert read_description(Path(sys.argv[1]), 'x') is None;"
        "heavy = {'numpy', 'rapidfuzz', 'ollama', 'anyio', 'pydantic', 'structlog'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    await anyio.run_process([sys.executable, "-c", code, str(path)])
    assert not path.exists()
