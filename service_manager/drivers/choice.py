"""Which driver runs a service: that of its source."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from service_manager.drivers.protocol import Driver, Running
from service_manager.journal import Journal
from service_manager.model import Command, DeploymentSource, ImageSource, ServiceSpec, UrlSource
from service_manager.resources import Limits


class ChoosingDriver:
    """Runs each service by the driver of its source.

    Args:
        process: for packages and commands.
        docker: for images.
        kubernetes: for deployments.
        remote: for addresses.
    """

    def __init__(self, process: Driver, docker: Driver, kubernetes: Driver, remote: Driver) -> None:
        self._process = process
        self._docker = docker
        self._kubernetes = kubernetes
        self._remote = remote

    def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AbstractAsyncContextManager[Running]:
        """Run the service until the block is left.

        Raises:
            ServiceStartFailed: it can't be started.
        """
        match spec.source:
            case ImageSource():
                driver = self._docker
            case DeploymentSource():
                driver = self._kubernetes
            case UrlSource():
                driver = self._remote
            case _:
                driver = self._process
        return driver.run(spec, command, limits, journal)
