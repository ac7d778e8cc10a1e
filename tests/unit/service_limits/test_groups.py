"""What is written to a control group; that the kernel obeys is tried in tests/integration/enforce."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_manager.enforce.groups import WANTED, enter, group_name, limit, pass_on, stale, write
from service_manager.resources import Limits

LIMITS = Limits(memory=1000, cpu=0.25, processes=7, open_files=5)
VERSION_2 = ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max", "cgroup.procs")
VERSION_1 = (
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "pids.max",
)


def group(path: Path, *files: str) -> Path:
    for name in files:
        (path / name).touch()
    return path


def written(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir() if file.read_text()}


def test_version_2_is_told_its_limits_and_nothing_of_swap(tmp_path: Path) -> None:
    assert limit(group(tmp_path, *VERSION_2), 2, WANTED, LIMITS) == {"memory", "cpu", "processes"}
    assert written(tmp_path) == {
        "memory.max": "1000",
        "cpu.max": "25000 100000",
        "pids.max": "7",
    }


def test_version_1_is_told_its_limits_and_nothing_of_swap(tmp_path: Path) -> None:
    assert limit(group(tmp_path, *VERSION_1), 1, WANTED, LIMITS) == {"memory", "cpu", "processes"}
    assert written(tmp_path) == {
        "memory.limit_in_bytes": "1000",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "25000",
        "pids.max": "7",
    }


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_group_can_not_limit_is_not_claimed(tmp_path: Path, version: int) -> None:
    assert limit(tmp_path, version, WANTED, LIMITS) == frozenset()
    assert written(tmp_path) == {}
    assert limit(group(tmp_path, *VERSION_1, *VERSION_2), version, frozenset(), LIMITS) == frozenset()
    assert limit(tmp_path, version, frozenset({"pids"}), LIMITS) == {"processes"}


def test_no_smaller_share_of_processors_is_asked_for_than_the_kernel_takes(tmp_path: Path) -> None:
    limit(group(tmp_path, *VERSION_2), 2, WANTED, Limits(cpu=0.001))
    assert written(tmp_path) == {"cpu.max": "1000 100000"}


def test_controllers_are_passed_on_one_by_one_and_only_those_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("cpu pids")
    assert pass_on(tmp_path, frozenset({"cpu", "pids"})) == {"cpu", "pids"}
    assert (tmp_path / "cgroup.subtree_control").read_text() == "cpu pids"
    # A kernel that refuses leaves the file as it was.
    assert "memory" not in pass_on(tmp_path, WANTED)


def test_no_file_is_made_where_the_kernel_has_none(tmp_path: Path) -> None:
    assert not write(tmp_path / "memory.max", "1")
    assert not enter(tmp_path, [1])
    assert list(tmp_path.iterdir()) == []


def test_a_group_is_stale_only_when_its_maker_is_known_to_be_gone(tmp_path: Path) -> None:
    own = group_name()
    prefix, space, pid, start, _ = own.rsplit("-", 4)
    names = {
        own: False,
        f"{prefix}-{space}-{pid}-{int(start) + 1}-00aa": True,
        f"{prefix}-{space}-4194305-{start}-00aa": True,
        f"{prefix}-{int(space) + 1}-4194305-{start}-00aa": False,
        "tool-router-of-somebody-else": False,
        "system.slice": False,
    }
    for name in names:
        (tmp_path / name).mkdir()
    assert {path.name for path in stale(tmp_path)} == {name for name, gone in names.items() if gone}
