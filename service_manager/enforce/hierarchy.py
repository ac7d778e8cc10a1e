"""Where control groups are on this machine, and which of them this process is in.

Reads /proc/self/mountinfo and /proc/self/cgroup as the kernel documents them (admin-guide/cgroup-v1 and
cgroup-v2, proc_pid_mountinfo(5)). A machine may have version 1, version 2, or both side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
"""What is used of version 1, where each may have a hierarchy of its own."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One tree of control groups.

    Attributes:
        version: 1 or 2.
        mount: the directory of its topmost group that can be seen.
        own: the directory of the group this process is in.
        controllers: what can be limited in it; of version 2 what the topmost group offers.
    """

    version: int
    mount: Path
    own: Path
    controllers: frozenset[str]

    def upwards(self) -> Iterator[Path]:
        """The own group, its parent and so on up to the topmost one that can be seen."""
        yield self.own
        if self.own != self.mount:
            for parent in self.own.parents:
                yield parent
                if parent == self.mount:
                    return


def hierarchies(root: Path = Path("/")) -> tuple[Hierarchy, ...]:
    """The trees that are mounted here; none where there are no control groups.

    Args:
        root: what stands before ``proc`` and the places of mounts.
    """
    own = dict(_own_groups(root / "proc/self/cgroup"))
    found: list[Hierarchy] = []
    for line in lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mount = root / _unescaped(fields[4]).lstrip("/")
        if kind[0] == "cgroup2":
            version, key = 2, ""
            offered = frozenset(" ".join(lines(mount / "cgroup.controllers")).split())
        else:
            version = 1
            offered = frozenset(kind[2].split(",")) & frozenset(CONTROLLERS)
            key = next(iter(offered), None)
        if key is None or key not in own:
            continue
        found.append(Hierarchy(version, mount, _below(mount, _unescaped(fields[3]), own[key]), offered))
    return tuple(found)


def lines(path: Path) -> list[str]:
    """The lines of a file of the kernel; none where it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def number(path: Path) -> int | None:
    """The number in a file; None for "max", and where it can't be read."""
    text = "".join(lines(path)[:1]).strip()
    return int(text) if text.lstrip("-").isdecimal() else None


def table(path: Path) -> dict[str, int]:
    """The counters of a file with one name and one number on each line."""
    rows = (line.split() for line in lines(path))
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


def _own_groups(path: Path) -> Iterator[tuple[str, str]]:
    """The group of this process by controller; by the empty name that of version 2."""
    for line in lines(path):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, group


def _below(mount: Path, mounted: str, group: str) -> Path:
    """The directory of a group; in a container the mount may show only what is below its own group."""
    inside = group.removeprefix(mounted.rstrip("/")) if group.startswith(mounted) else group
    own = mount / inside.strip("/")
    # A group that can't be seen here, outside of a name space, is represented by the topmost one.
    return own if ".." not in own.parts and own.is_dir() else mount


def _unescaped(text: str) -> str:
    """A path of mountinfo, where blanks and the like are octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
