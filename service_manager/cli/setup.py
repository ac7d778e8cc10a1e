"""What commands work on: services.yml with its lock and its packages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service_manager.config.lock import Lock, load_lock
from service_manager.config.services import load_services
from service_manager.config.yamlmodel import closest
from service_manager.errors import UnknownService
from service_manager.install.resolver import PackageResolver
from service_manager.model import ServiceSpec
from service_manager.paths import packages_dir, services_file


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
