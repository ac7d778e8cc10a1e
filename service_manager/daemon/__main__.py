"""Runs a daemon without the other commands of `service-manager`: what starts one on demand."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

import anyio
import structlog

from service_manager.assembly import manager_of
from service_manager.daemon.options import idle_exit_of, listening_of
from service_manager.daemon.own_log import OwnLog
from service_manager.daemon.place import place_of
from service_manager.daemon.serve import ManagerOf, Options, serve
from service_manager.errors import ConfigError, ServiceManagerError
from service_manager.logstream import LossyStream
from service_manager.paths import services_file

FAILED = 1
"""Exit code: it was tried and failed."""
WRONG_USE = 2
"""Exit code: the command line or the configuration is wrong."""


def main(arguments: Sequence[str] | None = None, manager_of: ManagerOf = manager_of) -> int:
    """Serve as the command line says; gives the exit code."""
    given = _parser().parse_args(arguments)
    file = services_file(given.file, os.environ)
    on_demand = given.ready_fd is not None
    log = OwnLog(place_of(file, os.environ).log) if on_demand else LossyStream()
    structlog.configure(
        # In a terminal the one line that says where it listens is enough.
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if on_demand else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", log)),
    )
    try:
        options = Options(
            file,
            listening_of(given.host, given.port, given.socket, allow_remote=given.allow_remote),
            idle_exit_of(given.idle_exit),
            given.ready_fd,
        )
        anyio.run(serve, options, os.environ, manager_of)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return WRONG_USE
    except ServiceManagerError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service_manager.daemon", description=__doc__)
    parser.add_argument("--file", type=Path, help="services.yml to use instead of the usual one")
    parser.add_argument("--host", help="address to listen on; 127.0.0.1 when only a port is given")
    parser.add_argument("--port", type=int, help="port to listen on; a unix socket without one")
    parser.add_argument("--socket", type=Path, help="unix socket to listen on")
    parser.add_argument("--allow-remote", action="store_true", help="allow an address others can reach")
    parser.add_argument("--idle-exit", default="never", help="end when unused for so long, such as 10m")
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
