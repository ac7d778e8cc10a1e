"""The daemon's manager: the services of a services.yml with their lock and their packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service_manager.config import load_services
from service_manager.daemon.managed import Managed
from service_manager.install.resolver import PackageResolver
from service_manager.keepsakes import StoredKeepsakes
from service_manager.limitsfile import load_limits
from service_manager.lock import load_lock
from service_manager.manager import ServiceManager
from service_manager.model import ServiceSpec
from service_manager.needs import unavailable_reason
from service_manager.paths import limits_file, packages_dir, state_dir


def manager_of(file: Path, environ: Mapping[str, str]) -> Managed:
    """The manager of a services.yml.

    Raises:
        ConfigError: services.yml, or the limits that go with it, is wrong.
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
