"""A manager in a process of its own, to be killed while its deployment runs."""

from __future__ import annotations

import sys

import anyio

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.kubernetes import KubernetesDriver
from service_manager.journal import Journal
from service_manager.model import Command, DeploymentSource, ServiceSpec
from service_manager.resources import Limits
from tests.integration.kubernetes.api_server import NAME, NAMESPACE


async def main(kubeconfig: str, endpoint: str) -> None:
    """Say that it runs, then wait to be killed."""
    spec = ServiceSpec("weather", DeploymentSource(NAMESPACE, NAME), endpoint=endpoint)
    driver = KubernetesDriver({"KUBECONFIG": kubeconfig}, Guardian())
    async with driver.run(spec, Command(()), Limits(), Journal()):
        sys.stdout.write("running\n")
        sys.stdout.flush()
        await anyio.sleep_forever()
