"""A daemon, as `python -m service_manager.daemon`, whose manager is the stand-in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from service_manager.config.services import load_services
from service_manager.daemon.__main__ import main
from service_manager.daemon.managed import Managed
from service_manager.model import CommandSource
from tests.integration.daemon.standin import Service, Standin


def standin_of(file: Path, environ: Mapping[str, str]) -> Managed:
    """The stand-in, for services that are commands."""
    services: dict[str, Service] = {}
    for spec in load_services(file, environ):
        assert isinstance(spec.source, CommandSource)
        services[spec.name] = Service((*spec.source.argv, *spec.args))
    return Standin(services)


if __name__ == "__main__":
    sys.exit(main(manager_of=standin_of))
