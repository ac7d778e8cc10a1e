"""`service-manager serve`: the daemon, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import anyio
import typer

from service_manager.cli.options import File
from service_manager.cli.outcome import WRONG_USE, tell, told
from service_manager.errors import DaemonError
from service_manager.paths import services_file


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; 127.0.0.1 when only a port is given.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = None,
    socket: Annotated[
        Path | None, typer.Option("--socket", help="Unix socket to listen on instead of its usual one.")
    ] = None,
    idle_exit: Annotated[
        str, typer.Option("--idle-exit", help="End when unused for so long, such as 10m, or never.")
    ] = "never",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow an address that other machines can reach.")
    ] = False,
    file: File = None,
) -> None:
    """Run the services and serve them: an MCP endpoint for each, and the control API.

    It listens on a unix socket that only you can open, unless it is given a port.
    """
    from service_manager.assembly import manager_of
    from service_manager.daemon.options import idle_exit_of, listening_of
    from service_manager.daemon.serve import Options
    from service_manager.daemon.serve import serve as run_daemon

    try:
        listening = listening_of(host, port, socket, allow_remote=allow_remote)
        options = Options(services_file(file, os.environ), listening, idle_exit_of(idle_exit))
    except DaemonError as error:
        tell(error)
        raise typer.Exit(WRONG_USE) from error
    with told():
        anyio.run(run_daemon, options, os.environ, manager_of)
