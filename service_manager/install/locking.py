"""Write or check services.lock.json: install each pinned package, start it once, list its tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from service_manager.config.lock import Lock
from service_manager.config.pins import lock_pin
from service_manager.errors import ServiceManagerError
from service_manager.install.listing import list_tools
from service_manager.install.resolver import PackageResolver
from service_manager.model import LockedService, PackageSource, Progress, ServiceSpec

PLACEHOLDER = "placeholder"
"""What a service gets for a key that is not set here: listing tools seldom needs the key to be right."""

TIMEOUT_S = 120.0
"""For a service's start and listing; generous, because other programs may be using the machine."""


class LockStatus(StrEnum):
    """What came of one service."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LockOutcome:
    """What came of one service.

    Attributes:
        locked: the entry it has now; None when there is none.
        detail: what changed or why it failed; empty when nothing changed.
    """

    name: str
    status: LockStatus
    locked: LockedService | None
    detail: str = ""


async def lock_services(
    specs: Sequence[ServiceSpec],
    lock: Lock,
    packages_dir: Path,
    environ: Mapping[str, str],
    progress: Progress,
) -> tuple[LockOutcome, ...]:
    """Find what the lock's entry of each package service should be; other services are left out.

    A service that can't be installed or started keeps the entry it had, and its outcome says why.
    """
    outcomes: list[LockOutcome] = []
    for spec in specs:
        if not isinstance(spec.source, PackageSource):
            continue
        old = lock.services.get(spec.name)
        try:
            fresh = await _lock(spec, packages_dir, environ, progress)
        except ServiceManagerError as error:
            kept = " Its old entry is kept." if old else ""
            outcomes.append(LockOutcome(spec.name, LockStatus.FAILED, old, f"{error}{kept}"))
            continue
        detail = difference(old, fresh)
        status = LockStatus.CHANGED if detail else LockStatus.UNCHANGED
        outcomes.append(LockOutcome(spec.name, status, fresh, detail))
    return tuple(outcomes)


def difference(old: LockedService | None, new: LockedService) -> str:
    """What is different between two entries, for people; empty when nothing is."""
    if old is None:
        return f"new, {len(new.tools)} tools"
    told: list[str] = []
    if old.pin != new.pin:
        told.append(f"{old.pin} is now {new.pin}")
    elif old.integrity != new.integrity:
        told.append("the same version has another hash, which an honest registry never does")
    before, after = ({tool.name: tool for tool in locked.tools} for locked in (old, new))
    added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    altered = sorted(name for name in after.keys() & before.keys() if after[name] != before[name])
    for what, names in (("added", added), ("removed", removed), ("altered", altered)):
        if names:
            told.append(f"{what}: {', '.join(names)}")
    return "; ".join(told)


async def _lock(
    spec: ServiceSpec, packages_dir: Path, environ: Mapping[str, str], progress: Progress
) -> LockedService:
    missing = (need.removeprefix("env:") for need in spec.needs if need.startswith("env:"))
    placeholders = {name: PLACEHOLDER for name in missing if not environ.get(name)}
    # No lock is given: what the package is now is what shall be locked.
    resolver = PackageResolver(packages_dir, Lock(), {**environ, **placeholders})
    # What the entry itself sets from a missing variable is empty, so that the placeholder has to win over it.
    filled = {name: value or placeholders.get(name, "") for name, value in spec.env.items()}
    prepared = replace(spec, env={**placeholders, **filled})
    manifest = await resolver.install(prepared, progress)
    command = await resolver.resolve(prepared, progress)
    log = packages_dir / ".logs" / f"{spec.name}.list.log"
    await progress(0.0, None, f"Listing the tools of {spec.name}")
    tools = await list_tools(spec.name, command, log, TIMEOUT_S)
    ordered = tuple(sorted(tools, key=lambda tool: tool.name))
    return LockedService(lock_pin(spec.source), manifest.integrity, ordered)
