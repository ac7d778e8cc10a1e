"""Resource limits and watching hold services where there are no control groups."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from service_manager.enforce.enforcer import Enforcer
from service_manager.enforce.rlimits import (
    DATA_HEADROOM,
    PROCESS_HEADROOM,
    held_by_rlimit,
    process_ceiling,
    threads_of,
)
from service_manager.enforce.watching import Watched
from service_manager.linux import procfs
from service_manager.linux.members import members
from service_manager.linux.usage import usage
from service_manager.resources import Limits
from tests.integration.enforce.conftest import Greedy

MB = 2**20
NOBODY = 65534


def test_it_is_said_by_what_each_limit_is_held(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    everything = Limits(memory=64 * MB, cpu=1.0, processes=50, open_files=100, file_size=MB)
    enforced = enforcers(grouped=False).apply(greedy("memory", 1).pid, "s", everything)

    root = os.geteuid() == 0
    assert enforced == {
        "memory": "rlimit, watched",
        "cpu": "watched",
        # RLIMIT_NPROC does not bind root.
        "processes": "watched" if root else "rlimit, watched",
        "open_files": "rlimit",
        "file_size": "rlimit",
    }


def test_a_service_opens_no_more_files_than_its_limit(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, opener = enforcers(), greedy("files", 100)
    assert enforcer.apply(opener.pid, "opener", Limits(open_files=20)) == {"open_files": "rlimit"}

    assert 10 < int(opener.go()) <= 17
    ending, said = opener.end()
    told = enforcer.explain_ending("opener", ending, said)
    assert told == "exit code 1 after it reached its limit of 20 open files (rlimit)"


def test_a_service_writes_no_larger_file_than_its_limit(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer], tmp_path: Path
) -> None:
    target = tmp_path / "large"
    enforcer, writer = enforcers(), greedy("write", 10, target)
    assert enforcer.apply(writer.pid, "writer", Limits(file_size=3 * MB)) == {"file_size": "rlimit"}

    assert writer.go() == ""
    ending, said = writer.end()
    assert target.stat().st_size == 3 * MB
    told = enforcer.explain_ending("writer", ending, said)
    assert told == "exit code 1 after it reached its limit of 3 MB for one file (rlimit)"


def test_a_program_that_leaves_the_signal_of_a_large_file_alone_is_ended_by_it(
    enforcers: Callable[..., Enforcer], tmp_path: Path
) -> None:
    script = f'read line; exec dd if=/dev/zero "of={tmp_path}/large" bs=1M count=9'
    process = subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    enforcer = enforcers()
    enforcer.apply(process.pid, "dd", Limits(file_size=MB))
    process.communicate(b"\n")

    assert process.returncode == -25
    told = enforcer.explain_ending("dd", "signal SIGXFSZ")
    assert told == "killed: it reached its limit of 1 MB for one file (rlimit)"


def test_memory_that_is_mapped_too_fast_for_watching_is_refused(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, eater = enforcers(grouped=False), greedy("memory", 700)
    enforcer.apply(eater.pid, "eater", Limits(memory=16 * MB))

    assert DATA_HEADROOM == 512 * MB
    assert eater.go() == ""
    ending, said = eater.end()
    told = enforcer.explain_ending("eater", ending, said)
    assert told == "exit code 1 after it reached its memory limit of 16 MB (rlimit, watched)"


def test_memory_above_the_limit_is_seen_by_watching(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    limits = Limits(memory=40 * MB)
    enforcer, eater = enforcers(grouped=False), greedy("memory", 60)
    enforced = enforcer.apply(eater.pid, "eater", limits)

    def use(watched: Watched, now: float) -> tuple[Watched, str]:
        return watched.after(usage([process.pid for process in members(eater.pid)]), now, limits, enforced)

    watched, reason = use(Watched(), 0.0)
    assert reason == ""
    assert eater.go() == "60"
    watched, reason = use(watched, 1.0)
    assert reason == ""
    watched, reason = use(watched, 2.0)
    assert reason.startswith("stopped: it used ")
    assert reason.endswith("of memory, more than its limit of 40 MB (watched)")


def test_processes_above_the_limit_are_seen_by_watching(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    limits = Limits(processes=5)
    enforcer, forker = enforcers(grouped=False), greedy("processes", 10)
    enforced = enforcer.apply(forker.pid, "forker", limits)
    assert forker.go() == "10"

    pids = [process.pid for process in members(forker.pid)]
    watched, _ = Watched().after(usage(pids), 0.0, limits, enforced)
    _, reason = watched.after(usage(pids), 1.0, limits, enforced)
    assert reason == "stopped: it had 11 processes, more than its limit of 5 (watched)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as somebody else")
def test_somebody_who_is_not_root_starts_no_more_threads_than_the_net_lets_through(
    greedy: Callable[..., Greedy],
) -> None:
    running = threads_of(NOBODY)
    forker = greedy("threads", 2 * PROCESS_HEADROOM, user=NOBODY)
    limits = Limits(processes=5)
    assert held_by_rlimit([forker.pid], limits, NOBODY, memory=False, processes=True) == {"processes"}

    # Its own first thread was counted among those that ran.
    assert int(forker.go()) <= process_ceiling(5, running + 1)
    _, said = forker.end()
    assert "can't start new thread" in said[0]


def test_no_limit_is_raised_and_none_can_be_raised_again(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, process = enforcers(), greedy("files", 1)
    enforcer.apply(process.pid, "s", Limits(open_files=50))
    # What was tighter already holds the looser limit too.
    assert enforcer.apply(process.pid, "s again", Limits(open_files=5000)) == {"open_files": "rlimit"}

    rows = procfs.read(process.pid, "limits").decode().splitlines()
    (row,) = (row for row in rows if row.startswith("Max open files"))
    assert row.split()[3:5] == ["50", "50"]


def test_an_ordinary_end_is_no_limits_doing(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, process = enforcers(), greedy("memory", 1)
    enforcer.apply(process.pid, "s", Limits(memory=64 * MB, processes=9, open_files=50, file_size=MB))
    process.kill()

    assert enforcer.explain_ending("s", "signal SIGKILL") == ""
    assert enforcer.explain_ending("s", "exit code 1", ("ValueError: no",)) == ""
    assert enforcer.explain_ending("unknown", "exit code 1") == ""
