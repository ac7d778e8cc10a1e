"""`service-manager register-contextforge`: the services' endpoints as servers of a ContextForge."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service_manager.cli.daemon import no_daemon, read_services, with_daemon
from service_manager.cli.options import AsJson, File, Names
from service_manager.cli.outcome import FAILED, WRONG_USE, print_json, tell, told
from service_manager.cli.setup import chosen
from service_manager.config.needs import unavailable_reason

if TYPE_CHECKING:
    from service_manager.daemon.client import DaemonClient
    from service_manager.daemon.contextforge import Registration

TOKEN_VARIABLE = "CONTEXTFORGE_TOKEN"  # noqa: S105  # the name of a variable
"""Where the token is taken from unless it is given."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("register-contextforge")(register_contextforge)


def register_contextforge(
    url: Annotated[str, typer.Argument(help="Root address of ContextForge.")],
    names: Names = None,
    token: Annotated[
        str,
        typer.Option(
            "--token", envvar=TOKEN_VARIABLE, help="An administrator's token there.", show_default=False
        ),
    ] = "",
    prefix: Annotated[str, typer.Option("--prefix", help="Put before each service's name there.")] = "",
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove those registered here before that are no services any more."),
    ] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Register the services' endpoints at a ContextForge; those that are registered are corrected.

    They answer its health checks while they sleep, and a call wakes them. The daemon must listen on a port
    that ContextForge reaches: `service-manager serve --port PORT`.
    """
    if not token:
        _wrong(f"Give a token with --token, or set {TOKEN_VARIABLE}.")
    if names and prune:
        _wrong("--prune is about all services. Leave the names out.")
    with told():
        services = read_services(file)
        wanted = [
            spec.name
            for spec in chosen(services.specs, names)
            if names or (spec.enabled and not unavailable_reason(spec, os.environ))
        ]

        async def work(client: DaemonClient) -> tuple[Registration, ...]:
            from service_manager.daemon.contextforge import register as register_there

            return await register_there(url, token, client.address, wanted, prefix=prefix, prune=prune)

        done = with_daemon(services.file, work)
    if done is None:
        tell(f"{no_daemon(services.file)} Run `service-manager serve --port PORT`.")
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"url": url, "services": [asdict(row) for row in done]})
    else:
        for row in done:
            if row.reason:
                tell(f"{row.name}: {row.reason}")
            else:
                typer.echo(f"{row.name}: {row.done.value}")
    if any(row.reason for row in done):
        raise typer.Exit(FAILED)


def _wrong(what: str) -> None:
    tell(what)
    raise typer.Exit(WRONG_USE)
