"""`service-manager lock`, `install`, `uninstall` and `outdated`: the pinned packages of services.yml."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service_manager.cli.options import AsJson, File, Names
from service_manager.cli.outcome import FAILED, WRONG_USE, print_json, tell, told
from service_manager.cli.progress import Lines, run
from service_manager.cli.setup import Setup, read_setup
from service_manager.cli.text import aligned
from service_manager.config.lock import Lock, format_lock, merged, read_lock, write_lock
from service_manager.config.needs import unavailable_reason
from service_manager.errors import ServiceManagerError
from service_manager.model import PackageSource, ServiceSpec
from service_manager.paths import lock_file, packages_dir

if TYPE_CHECKING:
    from service_manager.install.locking import LockOutcome
    from service_manager.install.outdated import Outdated


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(lock)
    app.command()(install)
    app.command()(uninstall)
    app.command()(outdated)


def lock(
    names: Names = None,
    check: Annotated[bool, typer.Option("--check", help="Compare only; fail when the lock differs.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Write down what each pinned package is and which tools it lists, into services.lock.json.

    Installs the packages and starts each service once. One that can't be started keeps its old entry.
    """
    from service_manager.install.locking import LockStatus, lock_services

    with told():
        setup = read_setup(file)
        path = lock_file(setup.file)
        old = read_lock(path) if path.is_file() else Lock()
        directory = packages_dir(os.environ)
        chosen = setup.chosen(names)

        async def work(progress: Lines) -> tuple[LockOutcome, ...]:
            return await lock_services(chosen, old, directory, os.environ, progress)

        outcomes = run(work)
        fresh = {outcome.name: outcome.locked for outcome in outcomes if outcome.locked}
        new = merged(old, fresh, [spec.name for spec in setup.specs])
        removed = sorted(old.services.keys() - new.services.keys())
        current = path.read_text(encoding="utf-8") if path.is_file() else ""
        differs = format_lock(new) != current
        if differs and not check:
            write_lock(path, new)
    rows = [
        {
            "name": outcome.name,
            "status": outcome.status,
            "tools": len(outcome.locked.tools) if outcome.locked else None,
            "detail": outcome.detail,
        }
        for outcome in outcomes
    ]
    rows += [{"name": name, "status": "removed", "tools": None, "detail": ""} for name in removed]
    if as_json:
        print_json({"lock": str(path), "written": differs and not check, "services": rows})
    else:
        for row in rows:
            typer.echo(f"{row['name']}: {row['status']}{': ' if row['detail'] else ''}{row['detail']}")
        typer.echo(f"{path}: {'differs' if differs and check else 'written' if differs else 'up to date'}.")
    if any(outcome.status is LockStatus.FAILED for outcome in outcomes) or (check and differs):
        raise typer.Exit(FAILED)


def install(names: Names = None, file: File = None, as_json: AsJson = False) -> None:
    """Install packages now instead of at their first call."""

    async def work(setup: Setup, spec: ServiceSpec, progress: Lines) -> str:
        if not isinstance(spec.source, PackageSource):
            return "not a package"
        if setup.resolver.installed(spec):
            return "already installed"
        if not names and (not spec.enabled or unavailable_reason(spec, os.environ)):
            return "skipped"
        await setup.resolver.install(spec, progress)
        return "installed"

    _each(file, names, as_json, work)


def uninstall(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Every service of the file.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Remove installed packages; they are installed again when they are called."""
    if bool(names) == everything:
        tell("name the services to uninstall, or give --all.")
        raise typer.Exit(WRONG_USE)

    async def work(setup: Setup, spec: ServiceSpec, progress: Lines) -> str:
        return "uninstalled" if await setup.resolver.uninstall(spec) else "was not installed"

    _each(file, names, as_json, work)


def outdated(names: Names = None, file: File = None, as_json: AsJson = False) -> None:
    """Ask the registries for newer versions than the pinned ones; nothing is changed."""
    from service_manager.install.outdated import outdated as ask_registries

    with told():
        setup = read_setup(file)
        chosen = setup.chosen(names)

        async def work(progress: Lines) -> tuple[Outdated, ...]:
            return await ask_registries(chosen, os.environ, progress)

        found = run(work)
    if as_json:
        print_json({"file": str(setup.file), "services": [asdict(row) for row in found]})
    else:
        known = [row for row in found if not row.error]
        cells = [(row.name, row.pinned, row.latest, "newer" if row.newer else "") for row in known]
        for line in aligned([("SERVICE", "PINNED", "LATEST", ""), *cells]):
            typer.echo(line)
        newer = [row.name for row in found if row.newer]
        if newer:
            typer.echo(f"\nPin them in {setup.file}, then run `service-manager lock {' '.join(newer)}`.")
        for row in found:
            if row.error:
                tell(f"{row.name}: {row.error}")
    if any(row.error for row in found):
        raise typer.Exit(FAILED)


def _each(
    file: Path | None,
    names: Sequence[str] | None,
    as_json: bool,
    work: Callable[[Setup, ServiceSpec, Lines], Awaitable[str]],
) -> None:
    """Do something with each chosen service; one that fails does not stop the others."""
    with told():
        setup = read_setup(file)
        chosen = setup.chosen(names)

        async def all_of_them(progress: Lines) -> list[dict[str, str]]:
            rows: list[dict[str, str]] = []
            for spec in chosen:
                try:
                    status, detail = await work(setup, spec, progress), ""
                except ServiceManagerError as error:
                    status, detail = "failed", str(error)
                rows.append({"name": spec.name, "status": status, "detail": detail})
            return rows

        rows = run(all_of_them)
    if as_json:
        print_json({"file": str(setup.file), "services": rows})
    else:
        for row in rows:
            typer.echo(f"{row['name']}: {row['status']}{': ' if row['detail'] else ''}{row['detail']}")
    if any(row["status"] == "failed" for row in rows):
        raise typer.Exit(FAILED)
