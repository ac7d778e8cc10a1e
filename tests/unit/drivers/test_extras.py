"""Without the SDKs, which are extras, the drivers are importable and say what is missing."""

from __future__ import annotations

import sys

import pytest

from service_manager.drivers.docker import DockerDriver
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.kubernetes import KubernetesDriver
from service_manager.drivers.protocol import Driver
from service_manager.errors import ServiceStartFailed
from service_manager.journal import Journal
from service_manager.linux.capabilities import Capabilities
from service_manager.model import Command, CommandSource, DeploymentSource, ImageSource, ServiceSpec, Source
from service_manager.resources import Limits

pytestmark = pytest.mark.anyio

ENDPOINT = "http://127.0.0.1:{port}/mcp"


def drivers() -> dict[str, Driver]:
    guardian = Guardian()
    docker: Driver = DockerDriver({}, guardian, Capabilities(sys.platform))
    kubernetes: Driver = KubernetesDriver({}, guardian)
    return {"docker": docker, "kubernetes": kubernetes}


async def start(kind: str, source: Source) -> None:
    spec = ServiceSpec("s", source, endpoint=ENDPOINT)
    async with drivers()[kind].run(spec, Command(()), Limits(), Journal()):
        pass


@pytest.mark.parametrize(
    ("kind", "source"), [("docker", ImageSource("i")), ("kubernetes", DeploymentSource("n", "d"))]
)
async def test_a_missing_sdk_is_named_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, source: Source
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == kind]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, kind, None)

    with pytest.raises(ServiceStartFailed, match=rf"pip install 'mcp-tool-router\[{kind}\]'"):
        await start(kind, source)


@pytest.mark.parametrize(
    ("kind", "missing"), [("docker", "Add `image:`"), ("kubernetes", "Add `deployment:`")]
)
async def test_a_service_of_another_kind_is_refused(kind: str, missing: str) -> None:
    with pytest.raises(ServiceStartFailed, match=missing):
        await start(kind, CommandSource(("x",)))


def test_importing_the_drivers_imports_no_sdk() -> None:
    import subprocess

    program = "import service_manager.drivers.docker, service_manager.drivers.kubernetes, sys; \
print({'docker', 'kubernetes', 'requests'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
