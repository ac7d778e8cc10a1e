"""How commands end: JSON on stdout, errors told in words, an exit code for each outcome."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import structlog
import typer

from service_manager.errors import ConfigError, ServiceManagerError, UnknownService
from service_manager.logstream import LossyStream

FAILED = 1
"""Exit code: what was asked for was tried and failed."""
WRONG_USE = 2
"""Exit code: the command line or the configuration is wrong."""


@contextmanager
def told() -> Generator[None]:
    """Tell errors on stderr and end with their exit code."""
    try:
        yield
    except ServiceManagerError as error:
        tell(error)
        raise typer.Exit(exit_code(error)) from error


def tell(error: ServiceManagerError | str) -> None:
    """Write one error to stderr."""
    typer.echo(f"service-manager: {error}", err=True)


def exit_code(error: ServiceManagerError) -> int:
    """What a command ends with for an error."""
    return WRONG_USE if isinstance(error, ConfigError | UnknownService) else FAILED


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
    # Who reads one document after another waits for none of them.
    sys.stdout.flush()


def log_to_stderr() -> None:
    """Have warnings logged to stderr: stdout is for what was asked for."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=lambda *_: structlog.PrintLogger(cast("TextIO", LossyStream())),
    )
