from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from service_manager.config.lock import Lock
from service_manager.config.pins import lock_pin
from service_manager.install.resolver import PackageResolver
from service_manager.model import LockedService, PackageSource, ServiceSpec
from tests.integration.install.registry import NPM_NAME, PYPI_NAME, VERSION, Registry, serve_registry

NPM = ServiceSpec("demo", PackageSource("npm", NPM_NAME, VERSION), args=("--flag",))
PYPI = ServiceSpec("demo", PackageSource("pypi", PYPI_NAME, VERSION), args=("--flag",))


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serve_registry() as running:
        yield running


@dataclass
class Messages:
    """A progress callback that remembers; `first` is set by the first message."""

    steps: list[tuple[float, float | None, str]] = field(
        default_factory=list[tuple[float, float | None, str]]
    )
    first: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, progress: float, total: float | None, message: str) -> None:
        self.steps.append((progress, total, message))
        self.first.set()


@dataclass(frozen=True)
class Machine:
    """A machine that knows only the loopback registry, and where it keeps packages."""

    registry: Registry
    root: Path

    @property
    def packages(self) -> Path:
        return self.root / "packages"

    @property
    def environ(self) -> dict[str, str]:
        return self.registry.environ(dict(os.environ), self.root)

    def resolver(self, locked: tuple[ServiceSpec, str] | None = None) -> PackageResolver:
        """A resolver; with a lock that holds one service's hash, when one is given."""
        lock = Lock()
        if locked:
            spec, integrity = locked
            lock = Lock({spec.name: LockedService(lock_pin(spec.source), integrity)})
        return PackageResolver(self.packages, lock, self.environ)

    def resolver_locking(self, *locked: tuple[ServiceSpec, str]) -> PackageResolver:
        """A resolver with a lock that holds the hashes of several services."""
        entries = {spec.name: LockedService(lock_pin(spec.source), integrity) for spec, integrity in locked}
        return PackageResolver(self.packages, Lock(entries), self.environ)

    def other_router(self) -> PackageResolver:
        """A second router on the same packages, with installer caches of its own."""
        environ = self.registry.environ(dict(os.environ), self.root / "other")
        return PackageResolver(self.packages, Lock(), environ)

    def router_with_path(self, path: Path) -> PackageResolver:
        """A router that finds programs in one directory only."""
        return PackageResolver(self.packages, Lock(), {"PATH": str(path)})

    def left_behind(self) -> list[str]:
        """Everything in the packages directory but locks and logs."""
        if not self.packages.is_dir():
            return []
        return sorted(path.name for path in self.packages.iterdir() if path.name not in (".locks", ".logs"))


@pytest.fixture
def machine(registry: Registry, tmp_path: Path) -> Machine:
    return Machine(registry, tmp_path)


def stub(directory: Path, name: str, words: str) -> Path:
    """A program that does what `words` say to a shell."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{words}\n")
    path.chmod(0o755)
    return path
