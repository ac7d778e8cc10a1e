"""Holds the processes of services to their limits, and says by what it does."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from service_manager.enforce import groups
from service_manager.enforce.groups import Base
from service_manager.enforce.hierarchy import Hierarchy, hierarchies, number, table
from service_manager.enforce.rlimits import held_by_rlimit
from service_manager.enforce.watching import WATCHED
from service_manager.enforce.words import Evidence, explain
from service_manager.linux.members import members
from service_manager.resources import Limits

RLIMIT = "rlimit"
NOTHING = "nothing"
"""By what a limit is enforced that can't be: it stands in the status, and holds nobody."""

_GROUPED = ("memory", "cpu", "processes")
_CONTROLLERS = {"memory": "memory", "cpu": "cpu", "processes": "pids"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Held:
    """One service that is held to its limits: its groups, and by what each limit is enforced."""

    limits: Limits
    enforced: Mapping[str, str]
    places: tuple[tuple[Base, Path], ...]


@dataclass(frozen=True, slots=True)
class Past:
    """What is left of a service that was released."""

    held: Held
    evidence: Evidence


class Enforcer:
    """Holds services to their limits.

    What can be done here is looked up once. Where control groups may be made, they hold the memory, the
    processor time and the processes of a whole service. Where not, a resource limit catches what grows fast,
    and the rest is watched: whoever reads what services use asks `watching` and stops them.

    The kernel takes up to 0.1 s to move a process, so that `apply`, `release` and `close` belong on a worker
    thread; any will do.

    Args:
        system: the limits of all services together, held by the group above theirs.
        trees: the control groups of this machine; None to look them up.
    """

    def __init__(self, system: Limits, trees: Iterable[Hierarchy] | None = None) -> None:
        self._log = structlog.get_logger()
        self._lock = threading.Lock()
        self._system = system
        found = hierarchies() if trees is None and sys.platform == "linux" else (trees or ())
        self._bases = groups.bases(found)
        self._name = groups.group_name() if self._bases else ""
        self._together: dict[str, str] = {}
        self._held: dict[str, Held] = {}
        self._past: dict[str, Past] = {}
        self._cleared = False

    @property
    def system(self) -> Mapping[str, str]:
        """By what the limits of all services together are enforced; empty while no service runs."""
        return dict(self._together)

    def apply(self, pid: int, name: str, limits: Limits) -> Mapping[str, str]:
        """Hold a service to its limits from now on; what it has already is left to it.

        To be called right after its process has started. Whatever an earlier run of it has left is killed.

        Args:
            pid: its first process; those it has started since are held too.
            name: the service.
            limits: what it may use.

        Returns:
            For each limit that is set, by what it is enforced: "cgroup v2", "cgroup v1", "rlimit", "watched",
            two of them, or "nothing". Empty when the process has ended already.
        """
        with self._lock:
            self._clear_stale()
            self._release(name)
            places, grouped = self._group(pid, name, limits)
            enforced = self._enforced(pid, limits, grouped)
            self._held[name] = Held(limits, enforced, places)
            self._past.pop(name, None)
        weak = [limit for limit, by in enforced.items() if by == NOTHING]
        if weak:
            self._log.warning("limits_not_enforced", service=name, limits=weak)
        return enforced

    def change_system(self, system: Limits) -> None:
        """Replace the limits of all services together, also for those that run."""
        with self._lock:
            self._system = system
            for base in self._bases:
                parent = base.directory / self._name
                if parent.is_dir():
                    self._limit_all(base, parent)

    def group_of(self, name: str) -> Path | None:
        """The control group of version 2 that holds a service, where there is one: it can be frozen."""
        with self._lock:
            held = self._held.get(name)
        return next((group for base, group in held.places if base.version == 2), None) if held else None

    def explain_ending(self, name: str, ending: str, said: Sequence[str] = ()) -> str:
        """By which limit a service ended, one clause; empty when no limit had to do with it.

        Args:
            name: the service; it may have been released, but not started again.
            ending: how its first process ended, as `Running.ending` says.
            said: its last lines.
        """
        with self._lock:
            held = self._held.get(name)
            past = self._past.get(name)
            if held is not None:
                past = Past(held, self._evidence(held))
        if past is None:
            return ""
        return explain(past.held.limits, self._system, past.held.enforced, past.evidence, ending, said)

    def release(self, name: str) -> None:
        """Let go of a service that has ended: kill what it has left behind, and remove its groups."""
        with self._lock:
            self._release(name)

    def close(self) -> None:
        """Let go of all services, and remove the group of this manager."""
        with self._lock:
            for name in tuple(self._held):
                self._release(name)

    def _group(
        self, pid: int, name: str, limits: Limits
    ) -> tuple[tuple[tuple[Base, Path], ...], dict[str, str]]:
        """Make the groups of a service and move it there: where it is, and by what its limits hold."""
        places: list[tuple[Base, Path]] = []
        grouped: dict[str, str] = {}
        # A tighter limit of all services is one of each, and version 1 takes no larger share of processors.
        cpu = [share for share in (limits.cpu, self._system.cpu) if share is not None]
        own = replace(limits, cpu=None if limits.cpu is None else min(cpu))
        for base in self._bases:
            parent = base.directory / self._name
            if base.version == 1 and not self._useful(base, limits):
                continue
            if not parent.is_dir():
                if not groups.make(parent):
                    continue
                self._limit_all(base, parent)
            given = groups.pass_on(parent, base.controllers) if base.version == 2 else base.controllers
            group = parent / f"service-{_UNSAFE.sub('_', name)}"
            if not groups.make(group):
                continue
            held = groups.limit(group, base.version, given, own)
            if base.version == 2:
                groups.end_whole(group)
            if groups.enter(group, [pid, *(process.pid for process in members(pid) if process.pid != pid)]):
                places.append((base, group))
                grouped |= dict.fromkeys(held, f"cgroup v{base.version}")
            else:
                groups.remove(group)
                self._remove_if_empty(parent)
        return tuple(places), grouped

    def _useful(self, base: Base, limits: Limits) -> bool:
        """Whether a group of version 1 there would limit anything."""
        return any(
            controller in base.controllers
            and (getattr(limits, limit) is not None or getattr(self._system, limit) is not None)
            for limit, controller in _CONTROLLERS.items()
        )

    def _limit_all(self, base: Base, parent: Path) -> None:
        """Set the limits of all services together on the group above theirs."""
        controllers = base.controllers
        if base.version == 2:
            controllers = groups.pass_on(base.directory, controllers)
        held = groups.limit(parent, base.version, controllers, self._system)
        self._together |= dict.fromkeys(held, f"cgroup v{base.version}")

    def _enforced(self, pid: int, limits: Limits, grouped: Mapping[str, str]) -> dict[str, str]:
        pids = [process.pid for process in members(pid)] if sys.platform == "linux" else []
        capped = held_by_rlimit(
            pids,
            limits,
            os.geteuid() if sys.platform == "linux" else 0,
            memory="memory" not in grouped,
            processes="processes" not in grouped,
        )
        if not pids and sys.platform == "linux":
            return {}
        found: dict[str, str] = {}
        for limit in ("memory", "cpu", "processes", "open_files", "file_size"):
            if getattr(limits, limit) is None:
                continue
            by = [grouped[limit]] if limit in grouped else [RLIMIT] if limit in capped else []
            if limit in _GROUPED and limit not in grouped and pids:
                by.append(WATCHED)
            found[limit] = ", ".join(by) or NOTHING
        return found

    def _evidence(self, held: Held) -> Evidence:
        killed = refused = 0
        own = False
        for base, group in held.places:
            if "memory" in base.controllers:
                if base.version == 2:
                    events = table(group / "memory.events")
                    killed += events.get("oom_kill", 0)
                    own = own or events.get("oom", 0) > 0
                else:
                    killed += table(group / "memory.oom_control").get("oom_kill", 0)
                    own = own or bool(number(group / "memory.failcnt"))
            if "pids" in base.controllers:
                refused += table(group / "pids.events").get("max", 0)
        return Evidence(killed, own, refused)

    def _release(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is None:
            return
        self._past[name] = Past(held, self._evidence(held))
        for _, group in held.places:
            if not groups.remove(group):
                self._log.warning("group_not_removed", service=name, group=str(group))
            self._remove_if_empty(group.parent)

    def _remove_if_empty(self, parent: Path) -> None:
        if not any(entry.is_dir() for entry in parent.iterdir()):
            groups.remove(parent)
        if not any((base.directory / self._name).is_dir() for base in self._bases):
            self._together.clear()

    def _clear_stale(self) -> None:
        """Remove what managers have left that were killed, with the processes in it."""
        if self._cleared:
            return
        self._cleared = True
        for base in self._bases:
            for group in groups.stale(base.directory):
                self._log.warning("stale_group_removed", group=str(group), removed=groups.remove(group))
