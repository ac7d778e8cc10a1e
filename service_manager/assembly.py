"""The manager of a services.yml, as the files around it say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service_manager.config.limits import load_limits
from service_manager.config.lock import load_lock
from service_manager.config.needs import unavailable_reason
from service_manager.config.services import load_services
from service_manager.install.resolver import PackageResolver
from service_manager.lifecycle.keepsakes import StoredKeepsakes
from service_manager.manager import ServiceManager
from service_manager.model import ServiceSpec
from service_manager.paths import limits_file, packages_dir, state_dir


def manager_of(file: Path, environ: Mapping[str, str]) -> ServiceManager:
    """The manager of a services.yml, with its lock, its packages and resource-limits.yml.

    Raises:
        ConfigError: services.yml or resource-limits.yml is wrong.
        LockError: the lock file can't be understood.
    """
    specs = load_services(file, environ)
    lock = load_lock(file)

    def unavailable(spec: ServiceSpec) -> str:
        return unavailable_reason(spec, environ)

    return ServiceManager(
        specs,
        PackageResolver(packages_dir(environ), lock, environ),
        environ,
        unavailable=unavailable,
        rules=load_limits(limits_file(None, environ), environ),
        keepsakes=StoredKeepsakes(state_dir(environ) / "services", lock),
    )
