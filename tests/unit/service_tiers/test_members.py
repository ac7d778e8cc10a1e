"""Which processes belong to a service: its group, its session, those below it, those of its control group."""

from __future__ import annotations

import os

import pytest

from service_manager.linux import procfs
from service_manager.linux.members import belonging
from service_manager.linux.procfs import Stat


def process(pid: int, parent: int, group: int, session: int | None = None, state: str = "S") -> Stat:
    return Stat(pid, state, parent, group, group if session is None else session, ticks=0, started=pid)


STRANGERS = (process(1, 0, 1), process(50, 1, 50), process(51, 50, 50))
LEADER = process(100, 50, 100)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([process(101, 100, 100)], [100, 101]),
        ([process(101, 1, 100)], [100, 101]),
        ([process(101, 1, 101, session=100)], [100, 101]),
        ([process(101, 100, 101), process(102, 101, 102)], [100, 101, 102]),
        ([process(101, 1, 101)], [100]),
        ([process(101, 100, 100, state="Z"), process(102, 101, 102)], [100, 102]),
        ([process(90, 101, 90), process(101, 100, 101)], [100, 101, 90]),
    ],
    ids=[
        "a child",
        "an orphan in the group",
        "an orphan in the session",
        "below one that left the group",
        "an orphan that left all is a stranger",
        "a zombie has no memory",
        "parents first",
    ],
)
def test_members_are_found(others: list[Stat], expected: list[int]) -> None:
    found = belonging((*STRANGERS, LEADER, *others), 100, frozenset())
    assert [member.pid for member in found] == expected


def test_an_orphan_that_left_everything_is_found_by_the_control_group() -> None:
    found = belonging((*STRANGERS, LEADER, process(101, 1, 101)), 100, frozenset({100, 101}))
    assert [member.pid for member in found] == [100, 101]


def test_a_circle_of_parents_ends() -> None:
    """Processes are read one after the other, so that numbers given twice can show any tree."""
    found = belonging((process(100, 101, 100), process(101, 100, 100)), 100, frozenset())
    assert sorted(member.pid for member in found) == [100, 101]


@pytest.mark.skipif(not procfs.there(), reason="there is no /proc")
def test_this_process_is_read_as_the_kernel_knows_it() -> None:
    own = procfs.stat(os.getpid())
    assert own is not None
    assert (own.pid, own.parent, own.group, own.session) == (
        os.getpid(),
        os.getppid(),
        os.getpgrp(),
        os.getsid(0),
    )
    assert own.alive
    assert any(found.pid == own.pid and found.started == own.started for found in procfs.stats())


def test_a_process_that_is_gone_is_none() -> None:
    assert procfs.stat(2**22 + 1) is None
