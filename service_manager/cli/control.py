"""`service-manager start`, `stop`, `sleep`, `wake`, `reload` and `shutdown`: what the daemon is told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from service_manager.cli.daemon import (
    Services,
    no_daemon,
    read_services,
    start_hint,
    with_daemon,
    with_started_daemon,
)
from service_manager.cli.options import AsJson, File
from service_manager.cli.outcome import FAILED, print_json, tell, told
from service_manager.cli.setup import chosen
from service_manager.errors import ServiceManagerError
from service_manager.model import ServiceSpec
from service_manager.paths import services_file

if TYPE_CHECKING:
    from service_manager.daemon.client import Action, DaemonClient

Json = dict[str, Any]

Named = Annotated[list[str], typer.Argument(help="Services.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (start, stop, sleep, wake, reload, shutdown):
        app.command()(command)


def start(names: Named, file: File = None, as_json: AsJson = False) -> None:
    """Start services, and the daemon that runs them where there is none."""
    _started("start", names, file, as_json)


def wake(names: Named, file: File = None, as_json: AsJson = False) -> None:
    """Wake services that sleep; one that does not run is started, and so is the daemon."""
    _started("wake", names, file, as_json)


def stop(names: Named, file: File = None, as_json: AsJson = False) -> None:
    """Stop services; the next call starts them again."""
    _running("stop", names, file, as_json, otherwise="stopped")


def sleep(names: Named, file: File = None, as_json: AsJson = False) -> None:
    """Put services to sleep now instead of when they are idle for long enough."""
    _running("sleep", names, file, as_json, otherwise="failed")


def reload(file: File = None, as_json: AsJson = False) -> None:
    """Have the daemon read services.yml and resource-limits.yml again; only what changed restarts."""
    path = services_file(file, os.environ)
    with told():

        async def work(client: DaemonClient) -> Json:
            return await client.reload()

        changes = with_daemon(path, work)
    if as_json:
        print_json({"file": str(path), "daemon": changes is not None, "changes": changes or {}})
    elif changes is None:
        typer.echo(f"{no_daemon(path)} The files are read when one starts.")
    else:
        lines = [
            f"{what}: {', '.join(changes[what])}" for what in ("added", "changed", "removed") if changes[what]
        ]
        lines += ["resource-limits.yml: taken over"] if changes["limits"] else []
        typer.echo("\n".join(lines) or "Nothing changed.")


def shutdown(file: File = None, as_json: AsJson = False) -> None:
    """End the daemon and its services; the next call that needs them starts it again."""
    path = services_file(file, os.environ)
    with told():

        async def work(client: DaemonClient) -> bool:
            await client.shutdown()
            return True

        ended = with_daemon(path, work) is not None
    if as_json:
        print_json({"file": str(path), "ended": ended})
    else:
        typer.echo(f"The daemon of {path} ends." if ended else no_daemon(path))


def _started(action: Action, names: Sequence[str], file: Path | None, as_json: bool) -> None:
    with told():
        services = read_services(file)
        specs = chosen(services.specs, names)

        async def work(client: DaemonClient) -> list[Json]:
            return await _each(client, action, specs)

        rows = with_started_daemon(services.file, work)
    _show(services, rows, as_json)


def _running(
    action: Action, names: Sequence[str], file: Path | None, as_json: bool, *, otherwise: str
) -> None:
    """As `_started`, for what makes no sense without a daemon; then every service is `otherwise`."""
    with told():
        services = read_services(file)
        specs = chosen(services.specs, names)

        async def work(client: DaemonClient) -> list[Json]:
            return await _each(client, action, specs)

        rows = with_daemon(services.file, work)
        if rows is None:
            what_to_do = start_hint(names) if otherwise == "failed" else ""
            detail = f"{no_daemon(services.file)} {what_to_do}".strip()
            rows = [{"name": spec.name, "state": otherwise, "detail": detail} for spec in specs]
    _show(services, rows, as_json)


async def _each(client: DaemonClient, action: Action, specs: Sequence[ServiceSpec]) -> list[Json]:
    """Do it to all of them at once; one that fails does not stop the others."""
    done: dict[str, Json] = {}

    async def one(spec: ServiceSpec) -> None:
        if not spec.enabled:
            detail = "It is disabled. Set `enabled: true` in services.yml."
            done[spec.name] = {"name": spec.name, "state": "failed", "detail": detail}
            return
        try:
            row = await client.do(spec.name, action)
            done[spec.name] = {"name": spec.name, "state": row["state"], "detail": row["failure"]}
        except ServiceManagerError as error:
            done[spec.name] = {"name": spec.name, "state": "failed", "detail": str(error)}

    async with anyio.create_task_group() as tasks:
        for spec in specs:
            tasks.start_soon(one, spec)
    return [done[spec.name] for spec in specs]


def _show(services: Services, rows: Sequence[Json], as_json: bool) -> None:
    failed = [row for row in rows if row["state"] == "failed"]
    if as_json:
        print_json({"file": str(services.file), "services": list(rows)})
    else:
        for row in rows:
            if row in failed:
                tell(f"{row['name']}: {row['detail']}")
            else:
                typer.echo(f"{row['name']}: {row['state']}{': ' if row['detail'] else ''}{row['detail']}")
    if failed:
        raise typer.Exit(FAILED)
