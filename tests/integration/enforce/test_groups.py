"""Control groups hold services to their limits, and nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service_manager.enforce.enforcer import Enforcer
from service_manager.enforce.groups import PREFIX, bases
from service_manager.enforce.hierarchy import hierarchies
from service_manager.linux import procfs
from service_manager.linux.usage import usage
from service_manager.resources import Limits
from tests.integration.enforce.conftest import Greedy

MB = 2**20

BEFORE = 10 * MB
"""What a process had before it was moved stays charged to the group it came from."""

pytestmark = pytest.mark.usefixtures("grouped")


def groups_of(pid: int) -> set[Path]:
    """The directories below a manager's group that hold a process."""
    found: set[Path] = set()
    for base in bases(hierarchies()):
        for listing in base.directory.glob(f"{PREFIX}*/*/cgroup.procs"):
            if str(pid) in listing.read_text().split():
                found.add(listing.parent)
    return found


def groups_made_by(pid: int) -> list[Path]:
    return [path for base in bases(hierarchies()) for path in base.directory.glob(f"{PREFIX}*-{pid}-*")]


def gone(pid: int) -> bool:
    """Whether a process ends within a second, or has ended."""
    deadline = time.monotonic() + 1
    while (found := procfs.stat(pid)) is not None and found.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def resident(pid: int) -> int:
    """What it has in memory of its own: files are charged to whoever read them first."""
    return procfs.sizes(procfs.read(pid, "status")).get("RssAnon", 0)


def test_more_memory_than_its_limit_ends_a_service_or_is_swapped_out(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, eater = enforcers(), greedy("memory", 150)
    enforced = enforcer.apply(eater.pid, "eater", Limits(memory=64 * MB))
    assert enforced["memory"] in ("cgroup v1", "cgroup v2")

    if eater.go():
        # With swap the kernel holds it instead: no more than the limit is in memory.
        assert 0 < resident(eater.pid) <= 64 * MB + BEFORE
        return
    ending, said = eater.end()
    enforcer.release("eater")
    told = enforcer.explain_ending("eater", ending, said)
    assert ending == "signal SIGKILL"
    assert told == f"killed: it reached its memory limit of 64 MB ({enforced['memory']})"


def test_less_memory_than_its_limit_is_left_to_a_service(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, eater = enforcers(), greedy("memory", 30)
    enforcer.apply(eater.pid, "eater", Limits(memory=64 * MB, cpu=1.0, processes=5))

    assert eater.go() == "30"
    assert enforcer.explain_ending("eater", *eater.end()) == ""


def test_all_services_together_are_held_to_the_limit_of_the_system(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer = enforcers(Limits(memory=100 * MB))
    first, second = greedy("memory", 60), greedy("memory", 70)
    enforcer.apply(first.pid, "first", Limits(memory=90 * MB))
    enforcer.apply(second.pid, "second", Limits(memory=90 * MB))
    assert set(enforcer.system) == {"memory"}

    assert first.go() == "60"
    second.go()
    told = [enforcer.explain_ending(name, "signal SIGKILL") for name in ("first", "second")]
    if not any(told):
        # With swap the kernel holds them instead.
        assert resident(first.pid) + resident(second.pid) <= 100 * MB + 2 * BEFORE
        return
    # Which of the two has to go is the kernel's choice.
    (reason,) = filter(None, told)
    assert reason.startswith("killed: all services together reached their memory limit of 100 MB (cgroup v")


def test_a_service_gets_no_more_processor_time_than_its_limit(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, burner = enforcers(), greedy("cpu", 2)
    enforced = enforcer.apply(burner.pid, "burner", Limits(cpu=0.2))
    assert enforced["cpu"] in ("cgroup v1", "cgroup v2")
    assert burner.go() == "burning"

    def used() -> float:
        return usage([stat.pid for stat in procfs.stats() if stat.group == burner.pid]).cpu_s

    began, before = time.monotonic(), used()
    time.sleep(1.0)
    assert (used() - before) / (time.monotonic() - began) < 0.35


def test_all_services_together_get_no_more_processor_time_than_the_system_may(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    # Version 1 refuses a share that is larger than that of the group above.
    enforcer, burner = enforcers(Limits(cpu=0.2)), greedy("cpu", 1)
    assert enforcer.apply(burner.pid, "burner", Limits(cpu=2.0))["cpu"].startswith("cgroup")
    assert burner.go() == "burning"

    began, before = time.monotonic(), usage([burner.pid]).cpu_s
    time.sleep(1.0)
    assert (usage([burner.pid]).cpu_s - before) / (time.monotonic() - began) < 0.35


def test_a_service_has_no_more_processes_than_its_limit(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, forker = enforcers(), greedy("processes", 50)
    enforced = enforcer.apply(forker.pid, "forker", Limits(processes=10))
    assert enforced["processes"] in ("cgroup v1", "cgroup v2")

    assert forker.go() == "9"
    forker.process.wait(timeout=5)
    told = enforcer.explain_ending("forker", f"exit code {forker.process.returncode}")
    assert told == f"exit code 1 after it reached its limit of 10 processes ({enforced['processes']})"


def test_limits_that_are_not_set_hold_nobody(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, forker = enforcers(), greedy("processes", 20)
    assert enforcer.apply(forker.pid, "free", Limits()) == {}
    assert enforcer.system == {}
    assert forker.go() == "20"


def test_a_daemon_that_left_its_session_is_held_and_ends_with_the_service(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, parent = enforcers(), greedy("daemon", 60)
    enforcer.apply(parent.pid, "parent", Limits(processes=10))
    daemon = int(parent.go())
    assert groups_of(daemon) == groups_of(parent.pid) != set()
    parent.end()

    enforcer.release("parent")

    assert gone(daemon)


def test_what_a_service_had_started_before_is_held_too(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    forker = greedy("processes", 3)
    assert forker.go() == "3"
    enforcers().apply(forker.pid, "forker", Limits(processes=10))

    family = [stat.pid for stat in procfs.stats() if stat.group == forker.pid]
    assert len(family) == 4
    assert all(groups_of(pid) == groups_of(forker.pid) for pid in family)


def test_the_groups_are_gone_with_the_last_service(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, one, two = enforcers(Limits(processes=100)), greedy("memory", 1), greedy("memory", 1)
    enforcer.apply(one.pid, "one", Limits(processes=10))
    enforcer.apply(two.pid, "../two $(x)", Limits(processes=10))
    one.kill()
    enforcer.release("one")
    assert enforcer.system
    assert groups_of(two.pid)
    two.kill()
    enforcer.release("../two $(x)")

    assert not enforcer.system
    assert groups_made_by(os.getpid()) == []
    enforcer.release("one")


def test_a_new_run_ends_what_an_older_one_has_left_and_counts_anew(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, first = enforcers(), greedy("processes", 50)
    enforcer.apply(first.pid, "s", Limits(processes=5))
    assert first.go() == "4"
    second = greedy("memory", 1)
    enforcer.apply(second.pid, "s", Limits(processes=5))

    assert not [stat for stat in procfs.stats() if stat.group == first.pid and stat.alive]
    assert enforcer.explain_ending("s", "exit code 1") == ""


def test_a_process_that_ended_already_is_no_error(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, process = enforcers(), greedy("memory", 1)
    process.kill()
    assert enforcer.apply(process.pid, "gone", Limits(memory=64 * MB, open_files=5)) == {}
    enforcer.release("gone")
    assert groups_made_by(os.getpid()) == []


def test_the_limits_of_the_system_change_while_services_run(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    enforcer, forker = enforcers(Limits(processes=100)), greedy("processes", 50)
    enforcer.apply(forker.pid, "forker", Limits(processes=80))
    enforcer.change_system(Limits(processes=10))
    assert forker.go() == "9"


def test_a_group_of_version_2_is_offered_for_freezing(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    if not any(base.version == 2 for base in bases(hierarchies())):
        pytest.skip("no control groups of version 2 here")
    enforcer, process = enforcers(), greedy("memory", 1)
    enforcer.apply(process.pid, "s", Limits())

    group = enforcer.group_of("s")
    assert group is not None
    assert (group / "cgroup.freeze").exists()
    assert (group / "cgroup.procs").read_text().split() == [str(process.pid)]
    (group / "cgroup.freeze").write_text("1")
    # A frozen service can be ended too.
    enforcer.release("s")
    assert gone(process.pid)
    assert enforcer.group_of("s") is None


MANAGER = """
import subprocess, sys
from service_manager.enforce.enforcer import Enforcer
from service_manager.resources import Limits
child = subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL)
Enforcer(Limits(processes=50)).apply(child.pid, "orphan", Limits(processes=10))
print(child.pid, flush=True)
sys.stdin.readline()
"""


def test_what_a_killed_manager_has_left_is_ended_by_the_next_and_that_of_a_living_one_is_not(
    greedy: Callable[..., Greedy], enforcers: Callable[..., Enforcer]
) -> None:
    managers = [
        subprocess.Popen(
            [sys.executable, "-c", MANAGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    killed, living = managers
    orphans: list[int] = []
    try:
        for manager in managers:
            assert manager.stdout is not None
            orphans.append(int(manager.stdout.readline()))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert groups_made_by(killed.pid)

        process = greedy("memory", 1)
        enforcers().apply(process.pid, "s", Limits(processes=10))

        assert gone(orphans[0])
        assert groups_made_by(killed.pid) == []
        assert groups_of(orphans[1])
    finally:
        for manager in managers:
            manager.kill()
            manager.communicate()
        for orphan in orphans:
            if not gone(orphan):
                os.kill(orphan, signal.SIGKILL)
                gone(orphan)
        for group in groups_made_by(living.pid):
            for inner in group.iterdir():
                if inner.is_dir():
                    inner.rmdir()
            group.rmdir()
