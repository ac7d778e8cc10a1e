"""Where control groups are, in recorded files of machines with version 1, version 2, and both."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_manager.enforce.groups import Base, bases
from service_manager.enforce.hierarchy import hierarchies


def machine(root: Path, mounts: str, own: str, groups: dict[str, str]) -> Path:
    """A machine's files: lines of mountinfo and of its own groups, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(mounts)
    (root / "proc/self/cgroup").write_text(own)
    for name, text in groups.items():
        file = root / "sys/fs/cgroup" / name
        assert file.is_relative_to(root)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


VERSION_2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
VERSION_1 = """\
41 24 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
42 24 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
43 24 0:32 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
44 24 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
45 24 0:34 / /proc rw - proc proc rw
"""


def scope(name: str, controllers: str = "cpu memory pids", **limits: str) -> dict[str, str]:
    """The files of one group of version 2."""
    files = {
        "cgroup.controllers": controllers,
        "cgroup.subtree_control": controllers,
        "cgroup.procs": "",
        "cgroup.events": "populated 1\n",
        "memory.max": "max",
        "cpu.max": "max 100000",
    }
    return {f"{name}/{file}".lstrip("/"): text for file, text in (files | limits).items()}


def test_version_2_is_found_with_what_it_offers(tmp_path: Path) -> None:
    root = machine(tmp_path, VERSION_2, "0::/app/mine\n", scope("", "cpu io memory pids") | scope("app/mine"))

    (tree,) = hierarchies(root)

    top = root / "sys/fs/cgroup"
    assert (tree.version, tree.mount, tree.own) == (2, top, top / "app/mine")
    assert tree.controllers == {"cpu", "io", "memory", "pids"}
    assert list(tree.upwards()) == [top / "app/mine", top / "app", top]


def test_version_1_has_a_tree_for_each_controller_that_is_used(tmp_path: Path) -> None:
    own = "5:devices:/\n4:memory:/box\n3:cpu,cpuacct:/\n1:name=systemd:/\n"
    groups = {"memory/box/cgroup.procs": "", "cpu,cpuacct/cgroup.procs": "", "devices/cgroup.procs": ""}
    root = machine(tmp_path, VERSION_1, own, groups)

    found = {tree.mount.name: tree for tree in hierarchies(root)}

    assert set(found) == {"memory", "cpu,cpuacct"}
    assert found["memory"].own == root / "sys/fs/cgroup/memory/box"
    assert found["cpu,cpuacct"].controllers == {"cpu", "cpuacct"}
    assert {tree.version for tree in found.values()} == {1}


@pytest.mark.parametrize(
    ("mounted", "own", "seen"),
    [
        ("/docker/abc", "/docker/abc", ""),
        ("/docker/abc", "/docker/abc/inner", "inner"),
        ("/", "/../outside", ""),
        ("/", "/not/visible/here", ""),
        ("/doc", "/docker/abc", ""),
    ],
)
def test_a_container_sees_its_own_group_as_the_topmost_one(
    tmp_path: Path, mounted: str, own: str, seen: str
) -> None:
    mount = f"30 24 0:26 {mounted} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    root = machine(tmp_path, mount, f"0::{own}\n", scope("") | scope("inner"))

    (tree,) = hierarchies(root)

    assert tree.own == root / "sys/fs/cgroup" / seen


def test_a_machine_without_control_groups_has_none(tmp_path: Path) -> None:
    assert hierarchies(tmp_path) == ()
    assert bases(()) == ()


def topmost(controllers: str = "cpu memory pids") -> dict[str, str]:
    """The files of the topmost group of a machine, which has neither events nor limits."""
    return {
        "cgroup.controllers": controllers,
        "cgroup.subtree_control": controllers,
        "cgroup.procs": "",
    }


def homes(root: Path) -> list[Path]:
    assert all(isinstance(base, Base) for base in bases(hierarchies(root)))
    return [base.directory.relative_to(root / "sys/fs/cgroup") for base in bases(hierarchies(root))]


def test_groups_of_version_2_are_made_beside_ours_for_it_holds_processes(tmp_path: Path) -> None:
    groups = topmost() | scope("app") | scope("app/mine")
    assert homes(machine(tmp_path, VERSION_2, "0::/app/mine\n", groups)) == [Path("app")]


def test_below_the_topmost_group_of_a_machine_they_are_made_at_once(tmp_path: Path) -> None:
    assert homes(machine(tmp_path, VERSION_2, "0::/\n", topmost())) == [Path()]


def test_without_controllers_they_are_made_below_ours(tmp_path: Path) -> None:
    groups = topmost("io") | scope("mine", "io")
    assert homes(machine(tmp_path, VERSION_2, "0::/mine\n", groups)) == [Path("mine")]


@pytest.mark.parametrize("limit", [{"memory.max": "1000000"}, {"cpu.max": "50000 100000"}])
def test_no_service_leaves_a_limit_that_holds_us(tmp_path: Path, limit: dict[str, str]) -> None:
    groups = topmost() | scope("app") | scope("app/mine", **limit)
    assert homes(machine(tmp_path, VERSION_2, "0::/app/mine\n", groups)) == []


def test_the_topmost_group_of_a_container_is_full_of_processes(tmp_path: Path) -> None:
    assert homes(machine(tmp_path, VERSION_2, "0::/\n", scope(""))) == []
