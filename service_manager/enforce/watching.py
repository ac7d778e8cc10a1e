"""Limits that nothing but looking holds: what a service is found to use, and when that is too much. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service_manager.enforce.words import size
from service_manager.resources import Limits, ResourceUse

WATCHED = "watched"
"""How it is called in `enforced`."""

IN_A_ROW = {"memory": 2, "processes": 2, "cpu": 3}
"""A single reading above a limit may be a peak; so many in a row are not."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of one run of a service.

    Attributes:
        above: how many readings in a row found it above each limit.
        use: the last reading, and when it was.
    """

    above: Mapping[str, int] = field(default_factory=dict[str, int])
    use: ResourceUse | None = None
    at: float = 0.0

    def after(
        self, use: ResourceUse, now: float, limits: Limits, enforced: Mapping[str, str]
    ) -> tuple[Watched, str]:
        """With one more reading, and why the service is to be stopped; empty when it is not.

        Only the limits that are watched count. Memory is physical memory (its proportional share); processor
        time is that since the last reading.

        Args:
            use: what it uses.
            now: when that was read, monotonic seconds.
            limits: what it may use.
            enforced: by what each limit is enforced.
        """
        found = {
            name: text
            for name, text in _excesses(use, self.use, now - self.at, limits).items()
            if WATCHED in enforced.get(name, "")
        }
        above = {name: self.above.get(name, 0) + 1 for name in found}
        reasons = [found[name] for name in found if above[name] >= IN_A_ROW[name]]
        return Watched(above, use, now), reasons[0] if reasons else ""


def _excesses(
    use: ResourceUse, before: ResourceUse | None, elapsed_s: float, limits: Limits
) -> dict[str, str]:
    found: dict[str, str] = {}
    if limits.memory is not None and use.memory.pss > limits.memory:
        found["memory"] = (
            f"stopped: it used {size(use.memory.pss)} of memory, more than its limit of "
            f"{size(limits.memory)} ({WATCHED})"
        )
    if limits.processes is not None and use.processes > limits.processes:
        found["processes"] = (
            f"stopped: it had {use.processes} processes, more than its limit of {limits.processes} "
            f"({WATCHED})"
        )
    if limits.cpu is not None and before is not None and elapsed_s > 0:
        used = (use.cpu_s - before.cpu_s) / elapsed_s
        if used > limits.cpu:
            found["cpu"] = (
                f"stopped: it used {used:.1f} processors, more than its limit of {limits.cpu:g} ({WATCHED})"
            )
    return found
