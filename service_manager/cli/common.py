"""How commands run: what they work on, errors told in words, an exit code for each outcome."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar, cast

import anyio
import structlog
import typer

from service_manager.config import load_services
from service_manager.errors import ConfigError, ServiceManagerError, UnknownService
from service_manager.install.resolver import PackageResolver
from service_manager.lock import Lock, load_lock
from service_manager.logstream import LossyStream
from service_manager.model import ServiceSpec
from service_manager.paths import packages_dir, services_file
from service_manager.yamlmodel import closest

T = TypeVar("T")

FAILED = 1
"""Exit code: what was asked for was tried and failed."""
WRONG_USE = 2
"""Exit code: the command line or the configuration is wrong."""

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="services.yml to use instead of the usual one.", show_default=False),
]
LongFile = Annotated[
    Path | None,
    typer.Option("--file", help="services.yml to use instead of the usual one.", show_default=False),
]
"""`File` for the one command whose `-f` is something else."""
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
        return chosen(self.specs, names)


def chosen(specs: Sequence[ServiceSpec], names: Sequence[str] | None) -> list[ServiceSpec]:
    """The services of these names, each once, or all.

    Raises:
        UnknownService: there is none of that name.
    """
    known = {spec.name: spec for spec in specs}
    for name in names or ():
        if name not in known:
            near = closest(name, list(known))
            raise UnknownService(name, (near,) if near else ())
    return [known[name] for name in dict.fromkeys(names)] if names else list(specs)


def read_setup(file: Path | None) -> Setup:
    """Read services.yml and its lock.

    Raises:
        ConfigError: services.yml is wrong.
        LockError: its lock is.
    """
    path = services_file(file, os.environ)
    specs = load_services(path, os.environ)
    lock = load_lock(path)
    return Setup(path, specs, lock, PackageResolver(packages_dir(os.environ), lock, os.environ))


class Lines:
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


def run(work: Callable[[Lines], Awaitable[T]]) -> T:
    """Run something that reports its progress, and return what it returned."""

    async def main() -> T:
        return await work(Lines())

    return anyio.run(main)


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
