"""The measurements of `service-manager bench`, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from service_manager.bench.cycles import Row, measure
from service_manager.bench.work import Work, prepare
from service_manager.config.lock import load_lock
from service_manager.config.services import load_services
from service_manager.install.resolver import PackageResolver
from service_manager.linux.capabilities import probe
from service_manager.manager import ServiceManager
from service_manager.model import PackageSource, Priority, ServiceSpec, Tier
from service_manager.paths import packages_dir, shipped_config_dir
from service_manager.policy.rules import ResourceRules

SERVICES = ("time", "git", "filesystem", "memory", "everything", "sequential-thinking")
"""The real servers that are measured; the last one keeps what it knows in memory alone."""

PYTHON_SERVICES = ("time", "git", "fetch")
"""Three that share an environment; two of them answer without a network."""

WORKING = frozenset(SERVICES)

NEVER_S = 86400.0


def measured_services(
    directory: Path, environ: Mapping[str, str], names: Sequence[str] = SERVICES
) -> tuple[ServiceSpec, ...]:
    """The services as they are shipped, with files of their own; they sleep only when they are told to."""
    file = shipped_config_dir() / "services.yml"
    places = {
        **environ,
        "TOOL_ROUTER_FILES": str(directory),
        "TOOL_ROUTER_DATA": str(directory / "data"),
    }
    known = {spec.name: spec for spec in load_services(file, places)}
    return tuple(
        replace(known[name], idle_timeout_s=NEVER_S, min_sleep_time_s=0.0, stateless=False, needs=())
        for name in names
    )


async def sleep_rows(
    cycles: int,
    names: Sequence[str],
    priorities: Sequence[Priority],
    environ: Mapping[str, str],
    progress: Callable[[str], None],
) -> list[Row]:
    """Measure the sleep of each service at each priority.

    Args:
        cycles: wakes of each.
        names: which services; all when empty.
        priorities: at which priorities; a critical one sleeps in the tier that keeps what a wake needs.
        environ: where packages are kept.
        progress: told what is measured.
    """
    rules = ResourceRules()
    rows: list[Row] = []
    machine = probe()
    lock = load_lock(shipped_config_dir() / "services.yml")
    for priority in priorities:
        with TemporaryDirectory(prefix="service-manager-bench-") as place:
            directory = Path(place)
            prepare(directory)
            chosen = [
                replace(spec, priority=priority, sleep=_tier(priority))
                for spec in measured_services(directory, environ)
                if not names or spec.name in names
            ]
            resolver = PackageResolver(packages_dir(environ), lock, environ)
            manager = ServiceManager(chosen, resolver, environ, rules=rules, machine=machine)
            async with manager.open():
                for spec in chosen:
                    target_ms = rules.wake_target_s(spec) * 1000
                    work = Work(spec.name, directory)
                    rows.append(await measure(manager, spec.name, work, cycles, target_ms, progress))
                    await manager.stop(spec.name)
    return rows


async def respawn_rows(cycles: int, environ: Mapping[str, str], progress: Callable[[str], None]) -> list[Row]:
    """Measure Python services of one environment that sleep by being stopped and wake by a fork.

    Args:
        cycles: wakes of each.
        environ: where packages are kept.
        progress: told what is measured.
    """
    rules = ResourceRules()
    rows: list[Row] = []
    lock = load_lock(shipped_config_dir() / "services.yml")
    with TemporaryDirectory(prefix="service-manager-bench-") as place:
        directory = Path(place)
        prepare(directory)
        chosen = [
            replace(
                spec,
                source=replace(spec.source, environment="bench"),
                stateless=True,
                sleep=Tier.RESPAWN,
            )
            for spec in measured_services(directory, environ, PYTHON_SERVICES)
            if isinstance(spec.source, PackageSource)
        ]
        resolver = PackageResolver(packages_dir(environ), lock, environ)
        manager = ServiceManager(chosen, resolver, environ, rules=rules)
        async with manager.open():
            for spec in chosen:
                # With all of them known, the environment is worth a zygote.
                progress(f"{spec.name}: installing")
                await manager.ready(spec.name)
            for spec in chosen:
                if spec.name in WORKING:
                    target_ms = rules.wake_target_s(spec) * 1000
                    work = Work(spec.name, directory)
                    rows.append(await measure(manager, spec.name, work, cycles, target_ms, progress))
    return rows


def _tier(priority: Priority) -> Tier | None:
    return Tier.PAGED_HOT if priority is Priority.CRITICAL else None


async def idle_services(environ: Mapping[str, str], progress: Callable[[str], None]) -> tuple[int, int, int]:
    """What ten services hold together: how many, always on, and asleep after ten seconds. Bytes."""
    with TemporaryDirectory(prefix="service-manager-bench-") as place:
        directory = Path(place)
        prepare(directory)
        specs = measured_services(directory, environ)
        ten = [replace(spec, name=f"{spec.name}-{turn}") for turn in (1, 2) for spec in specs][:10]
        resolver = PackageResolver(
            packages_dir(environ), load_lock(shipped_config_dir() / "services.yml"), environ
        )
        manager = ServiceManager(ten, resolver, environ)
        async with manager.open():
            for spec in ten:
                progress(f"ten services: starting {spec.name}")
                await manager.ready(spec.name)
                async with manager.lease(spec.name) as session:
                    await session.request("tools/list", None)
            began = time.monotonic()
            await anyio.sleep(1.0)
            awake = sum(use.memory.held for use in (await manager.usage()).values())
            for spec in ten:
                progress(f"ten services: {spec.name} falls asleep")
                await manager.sleep(spec.name)
            await anyio.sleep(max(0.0, 10.0 - (time.monotonic() - began)))
            asleep = sum(use.memory.held for use in (await manager.usage()).values())
    return len(ten), awake, asleep
