"""`service-manager`: list, validate, lock, install and uninstall the services of services.yml.

Exit codes: 0 done, 1 tried and failed, 2 the command line or the configuration is wrong.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import structlog
import typer

from service_manager.config import load_services
from service_manager.errors import ConfigError, ServiceManagerError, UnknownService
from service_manager.install.locking import LockOutcome, LockStatus, lock_services
from service_manager.install.resolver import PackageResolver
from service_manager.lock import Lock, format_lock, load_lock, merged, read_lock, write_lock
from service_manager.model import (
    CommandSource,
    DeploymentSource,
    ImageSource,
    PackageSource,
    ServiceSpec,
    UrlSource,
)
from service_manager.needs import unavailable_reason
from service_manager.paths import lock_file, packages_dir, services_file
from service_manager.pins import lock_pin
from service_manager.yamlmodel import closest

T = TypeVar("T")

FAILED = 1
WRONG_USE = 2

app = typer.Typer(
    name="service-manager",
    help="Run MCP servers from pinned packages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="services.yml to use instead of the usual one.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Names = Annotated[list[str] | None, typer.Argument(help="Services; all when none is named.")]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a command works on."""

    file: Path
    specs: tuple[ServiceSpec, ...]
    lock: Lock
    resolver: PackageResolver

    def chosen(self, names: Sequence[str] | None) -> list[ServiceSpec]:
        """The services of these names, or all.

        Raises:
            UnknownService: there is none of that name.
        """
        known = {spec.name: spec for spec in self.specs}
        for name in names or ():
            if name not in known:
                near = closest(name, list(known))
                raise UnknownService(name, (near,) if near else ())
        return [known[name] for name in dict.fromkeys(names)] if names else list(self.specs)


@app.command("list")
def list_command(file: File = None, as_json: AsJson = False) -> None:
    """Show the services: what each is, whether it can run here, how many tools it has."""
    with _told():
        setup = _setup(file)
        rows = [_row(setup, spec) for spec in setup.specs]
    if as_json:
        _print_json({"file": str(setup.file), "services": rows})
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        count = row["tools"]
        tools = "no lock" if count is None else f"{count} tools" if count != 1 else "1 tool"
        typer.echo(f"{row['name']:<{width}}  {tools:>8}  {row['state']:<17}  {row['source']}")
        if row["enabled"] and row["unavailable_reason"]:
            typer.echo(f"{'':<{width}}  {row['unavailable_reason']}")
    typer.echo(f"\nFrom {setup.file}")


@app.command()
def validate(file: File = None, as_json: AsJson = False) -> None:
    """Check services.yml and its lock, and say every line that is wrong."""
    path = services_file(file, os.environ)
    with _told():
        try:
            setup = _setup(file)
        except ConfigError as error:
            if not as_json:
                raise
            _print_json({"file": str(path), "valid": False, "problems": list(error.problems)})
            raise typer.Exit(WRONG_USE) from error
    stale = [spec.name for spec in setup.specs if lock_pin(spec.source) and not setup.lock.for_spec(spec)]
    if as_json:
        _print_json(
            {
                "file": str(path),
                "valid": True,
                "problems": [],
                "services": len(setup.specs),
                "unlocked": stale,
            }
        )
        return
    typer.echo(f"{path}: {len(setup.specs)} services, nothing wrong.")
    if stale:
        typer.echo(f"Not locked: {', '.join(stale)}. Run `service-manager lock {' '.join(stale)}`.")


@app.command()
def lock(
    names: Names = None,
    check: Annotated[bool, typer.Option("--check", help="Compare only; fail when the lock differs.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Write down what each pinned package is and which tools it lists, into services.lock.json.

    Installs the packages and starts each service once. One that can't be started keeps its old entry.
    """
    with _told():
        setup = _setup(file)
        path = lock_file(setup.file)
        old = read_lock(path) if path.is_file() else Lock()
        directory = packages_dir(os.environ)
        chosen = setup.chosen(names)

        async def work(progress: _Lines) -> tuple[LockOutcome, ...]:
            return await lock_services(chosen, old, directory, os.environ, progress)

        outcomes = _run(work)
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
        _print_json({"lock": str(path), "written": differs and not check, "services": rows})
    else:
        for row in rows:
            typer.echo(f"{row['name']}: {row['status']}{': ' if row['detail'] else ''}{row['detail']}")
        typer.echo(f"{path}: {'differs' if differs and check else 'written' if differs else 'up to date'}.")
    if any(outcome.status is LockStatus.FAILED for outcome in outcomes) or (check and differs):
        raise typer.Exit(FAILED)


@app.command()
def install(names: Names = None, file: File = None, as_json: AsJson = False) -> None:
    """Install packages now instead of at their first call."""

    async def work(setup: Setup, spec: ServiceSpec, progress: _Lines) -> str:
        if not isinstance(spec.source, PackageSource):
            return "not a package"
        if setup.resolver.installed(spec):
            return "already installed"
        if not names and (not spec.enabled or unavailable_reason(spec, os.environ)):
            return "skipped"
        await setup.resolver.install(spec, progress)
        return "installed"

    _each(file, names, as_json, work)


@app.command()
def uninstall(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Every service of the file.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Remove installed packages; they are installed again when they are called."""
    if bool(names) == everything:
        typer.echo("service-manager: name the services to uninstall, or give --all.", err=True)
        raise typer.Exit(WRONG_USE)

    async def work(setup: Setup, spec: ServiceSpec, progress: _Lines) -> str:
        return "uninstalled" if await setup.resolver.uninstall(spec) else "was not installed"

    _each(file, names, as_json, work)


def main() -> None:
    """Entry point of the console script."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    app()


class _Lines:
    """Progress on stderr: one line for each new step, without the signs of life between them."""

    def __init__(self) -> None:
        self._last = -1
        self._subject = ""

    async def __call__(self, progress: float, total: float | None, message: str) -> None:
        """Show one step."""
        subject = message.partition(":")[0]
        if (int(progress), subject) != (self._last, self._subject):
            self._last, self._subject = int(progress), subject
            typer.echo(message, err=True)


def _each(
    file: Path | None,
    names: Sequence[str] | None,
    as_json: bool,
    work: Callable[[Setup, ServiceSpec, _Lines], Awaitable[str]],
) -> None:
    """Do something with each chosen service; one that fails does not stop the others."""
    with _told():
        setup = _setup(file)
        chosen = setup.chosen(names)

        async def all_of_them(progress: _Lines) -> list[dict[str, str]]:
            rows: list[dict[str, str]] = []
            for spec in chosen:
                try:
                    status, detail = await work(setup, spec, progress), ""
                except ServiceManagerError as error:
                    status, detail = "failed", str(error)
                rows.append({"name": spec.name, "status": status, "detail": detail})
            return rows

        rows = _run(all_of_them)
    if as_json:
        _print_json({"file": str(setup.file), "services": rows})
    else:
        for row in rows:
            typer.echo(f"{row['name']}: {row['status']}{': ' if row['detail'] else ''}{row['detail']}")
    if any(row["status"] == "failed" for row in rows):
        raise typer.Exit(FAILED)


def _run(work: Callable[[_Lines], Awaitable[T]]) -> T:
    async def main() -> T:
        return await work(_Lines())

    return anyio.run(main)


def _setup(file: Path | None) -> Setup:
    path = services_file(file, os.environ)
    specs = load_services(path, os.environ)
    lock = load_lock(path)
    return Setup(path, specs, lock, PackageResolver(packages_dir(os.environ), lock, os.environ))


def _row(setup: Setup, spec: ServiceSpec) -> dict[str, Any]:
    reason = unavailable_reason(spec, os.environ)
    locked = setup.lock.for_spec(spec)
    installed = setup.resolver.installed(spec) is not None
    return {
        "name": spec.name,
        "source": _source(spec),
        "description": spec.description,
        "enabled": spec.enabled,
        "available": spec.enabled and not reason,
        "unavailable_reason": reason,
        "installed": installed,
        "tools": len(locked.tools) if locked else None,
        "priority": spec.priority,
        "stateless": spec.stateless,
        "state": _state(spec, reason, installed),
    }


def _source(spec: ServiceSpec) -> str:
    match spec.source:
        case PackageSource():
            return lock_pin(spec.source)
        case CommandSource(argv=argv):
            return " ".join(argv)
        case UrlSource(url=url):
            return url
        case ImageSource(image=image):
            return f"image {image}"
        case DeploymentSource(namespace=namespace, deployment=deployment):
            return f"deployment {namespace}/{deployment}"


def _state(spec: ServiceSpec, reason: str, installed: bool) -> str:
    if not spec.enabled:
        return "disabled"
    if reason:
        return "unavailable"
    if isinstance(spec.source, PackageSource):
        return "installed" if installed else "not installed yet"
    return "ready"


@contextmanager
def _told() -> Generator[None]:
    """Tell errors on stderr and end with their exit code."""
    try:
        yield
    except ServiceManagerError as error:
        typer.echo(f"service-manager: {error}", err=True)
        code = WRONG_USE if isinstance(error, ConfigError | UnknownService) else FAILED
        raise typer.Exit(code) from error


def _print_json(value: Any) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
