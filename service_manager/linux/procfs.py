"""Reads of /proc that take it as it is: a process may be gone before, between and during the reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    """One process as /proc/PID/stat tells of it; see proc_pid_stat(5).

    Attributes:
        state: one letter: R running, S and D waiting, T stopped, Z a zombie.
        ticks: processor time in clock ticks, user and system, its own and that of children it has waited for.
        started: clock ticks since the machine started; with the pid it names the process for good.
    """

    pid: int
    state: str
    parent: int
    group: int
    session: int
    ticks: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still has memory and can run."""
        return self.state not in "ZXx"

    @property
    def runnable(self) -> bool:
        """Whether it could take the processor by itself: it is neither stopped nor dead."""
        return self.state in "RS"


def there() -> bool:
    """Whether this is a system with Linux's /proc."""
    return (PROC / "self" / "stat").exists()


def stat(pid: int) -> Stat | None:
    """One process; None when there is none of that number."""
    text = read(pid, "stat")
    if not text:
        return None
    # The second field is the program's name in brackets and may hold anything, brackets too.
    fields = text[text.rindex(b")") + 2 :].split()
    ticks = sum(int(field) for field in fields[11:15])
    return Stat(
        pid=pid,
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        ticks=ticks,
        started=int(fields[19]),
    )


def stats() -> Iterator[Stat]:
    """Every process, in the order of its number; about 30 us each."""
    try:
        pids = sorted(int(path.name) for path in PROC.iterdir() if path.name.isdigit())
    except OSError:
        return
    for pid in pids:
        if found := stat(pid):
            yield found


def read(pid: int, name: str) -> bytes:
    """A file of a process; empty when the process is gone or keeps it from us."""
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def sizes(text: bytes) -> dict[str, int]:
    """The ``Name:   123 kB`` lines of a file such as smaps_rollup, in bytes; other lines are left out."""
    found: dict[str, int] = {}
    for line in text.decode(errors="replace").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            found[name] = int(words[0]) * 1024
    return found
