"""Services as deployments: scaled up when they are needed, down when not, and watched in between."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from mcp import Client

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.kubernetes import DeploymentService, KubernetesDriver
from service_manager.errors import ServiceStartFailed
from service_manager.journal import Journal
from service_manager.manager import ServiceManager
from service_manager.model import Command, DeploymentSource, ServiceSpec
from service_manager.resources import Limits
from tests.integration.kubernetes.api_server import APPLY, NAME, NAMESPACE, TOKEN, ApiServer
from tests.integration.service_troubles.trouble import AsWritten
from tests.support.loopback import refusing_url, serve
from tests.support.mcp_http_server import mcp_http_server

pytest.importorskip("kubernetes", reason="the Kubernetes SDK is not installed")

pytestmark = pytest.mark.anyio

LOOK_S = 0.05


class Running:
    """A loopback API server, a real MCP server behind the endpoint, and a driver that knows both."""

    def __init__(self, server: ApiServer, environ: dict[str, str], endpoint: str, guardian: Guardian) -> None:
        self.server = server
        self.environ = environ
        self.endpoint = endpoint
        self.guardian = guardian
        self.journal = Journal()

    @asynccontextmanager
    async def run(
        self, *, limits: Limits | None = None, name: str = NAME, **changes: Any
    ) -> AsyncGenerator[DeploymentService]:
        options: dict[str, Any] = {"endpoint": self.endpoint, "start_timeout_s": 20.0, **changes}
        spec = ServiceSpec("weather", DeploymentSource(NAMESPACE, name), **options)
        driver = KubernetesDriver(self.environ, self.guardian, LOOK_S)
        async with driver.run(spec, Command(()), limits or Limits(), self.journal) as running:
            yield running


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    guardian = Guardian()
    yield guardian
    guardian.close()


@asynccontextmanager
async def cluster(guardian: Guardian, directory: Path, token: str = TOKEN) -> AsyncGenerator[Running]:
    """A kubeconfig of a cluster that answers."""
    server = ApiServer()
    async with serve(server.app) as api, mcp_http_server() as service:
        config = directory / "kubeconfig"
        config.write_text(kubeconfig(api.url, token), encoding="utf-8")
        yield Running(server, {"KUBECONFIG": str(config), "HOME": str(directory)}, service.url, guardian)


def kubeconfig(url: str, token: str = TOKEN) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


async def test_a_deployment_is_scaled_up_reached_and_scaled_down(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path) as here:
        async with here.run() as running:
            assert here.server.scales == [1]
            async with Client(running.transport) as client:
                assert (await client.list_tools()).tools
            assert running.sleeper.tiers == ()
            assert "stateless: true" in running.sleeper.missing
            assert (running.ending(), dict(running.enforced)) == ("", {})
        assert here.server.scales == [1, 0]
        (_, _, content, query, _), _ = here.server.seen
        assert (content, query["fieldManager"]) == ("application/strategic-merge-patch+json", "tool-router")


async def test_a_deployment_that_has_pods_already_keeps_how_many(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path) as here:
        here.server.scale(3)
        async with here.run():
            assert here.server.scales == [3]


async def test_limits_are_applied_by_the_server_to_the_main_container(
    guardian: Guardian, tmp_path: Path
) -> None:
    async with cluster(guardian, tmp_path) as here:
        async with here.run(limits=Limits(memory=2**28, cpu=0.5, processes=9)) as running:
            assert running.enforced == {"memory": "kubernetes", "cpu": "kubernetes"}
        deployment = here.server.deployment()
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == {"memory": "256Mi", "cpu": "500m"}
        assert deployment["metadata"]["labels"] == {"app": NAME, "tool-router/service": "weather"}
        _, _, content, query, _ = here.server.seen[0]
        assert content == APPLY
        assert query["fieldManager"] == "tool-router"

        # What others are said to own by now as well is ours to change, as long as it is as we left it.
        async with here.run(limits=Limits(memory=2**29)) as running:
            assert running.enforced == {"memory": "kubernetes"}
        assert here.server.limits == {"memory": "512Mi"}

        async with here.run() as running:
            # Limits that are not wanted any more are given up.
            assert running.enforced == {}
        (container,) = here.server.deployment()["spec"]["template"]["spec"]["containers"]
        assert container["resources"] == {}


async def test_limits_someone_else_owns_are_not_taken_from_them(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path) as here:
        here.server.limits, here.server.owned = {"memory": "100Mi"}, {"memory": "helm"}
        with pytest.raises(ServiceStartFailed, match=r'conflicts with "helm".*limits\.memory.*to its owner'):
            async with here.run(limits=Limits(memory=2**28)):
                pass
        assert (here.server.scales, here.server.limits) == ([], {"memory": "100Mi"})


async def test_a_deployment_with_limits_runs_by_them_and_not_by_those_of_its_priority(
    guardian: Guardian, tmp_path: Path
) -> None:
    async with cluster(guardian, tmp_path) as here:
        here.server.limits, here.server.owned = {"memory": "100Mi"}, {"memory": "helm"}
        spec = ServiceSpec("weather", DeploymentSource(NAMESPACE, NAME), endpoint=here.endpoint)
        manager = ServiceManager([spec], AsWritten(), here.environ)
        async with manager.open():
            await manager.ready("weather")
            assert here.server.limits == {"memory": "100Mi"}
            assert dict(manager.one("weather").enforced) == {}


async def test_a_limit_of_ours_that_someone_else_has_changed_is_theirs(
    guardian: Guardian, tmp_path: Path
) -> None:
    async with cluster(guardian, tmp_path) as here:
        async with here.run(limits=Limits(memory=2**28)):
            pass
        here.server.limits, here.server.owned = {"memory": "100Mi"}, {"memory": "helm"}
        with pytest.raises(ServiceStartFailed, match='conflicts with "helm"'):
            async with here.run(limits=Limits(memory=2**28)):
                pass
        async with here.run():
            pass
        assert here.server.limits == {"memory": "100Mi"}


async def test_limits_the_server_finds_invalid_are_told_with_its_words(
    guardian: Guardian, tmp_path: Path
) -> None:
    async with cluster(guardian, tmp_path) as here:
        with pytest.raises(
            ServiceStartFailed, match=r"answers 422: .*must be less than.*Correct .*`limits:`"
        ):
            async with here.run(limits=Limits(cpu=0.013)):
                pass


@pytest.mark.parametrize(
    ("verb", "resource"), [("get", "deployments"), ("patch", "deployments/scale"), ("patch", "deployments")]
)
async def test_what_may_not_be_done_is_named_with_the_role_it_takes(
    guardian: Guardian, tmp_path: Path, verb: str, resource: str
) -> None:
    async with cluster(guardian, tmp_path) as here:
        here.server.forbidden.add((verb, resource))
        with pytest.raises(ServiceStartFailed, match=rf'403: .*cannot {verb} resource "{resource}".*a role'):
            async with here.run(limits=Limits(cpu=1)):
                pass


async def test_credentials_that_are_refused_are_told(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path, token="expired") as here:
        with pytest.raises(ServiceStartFailed, match=r"401: Unauthorized\. .*log in again"):
            async with here.run():
                pass


async def test_a_deployment_that_is_not_there_is_named(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path) as here:
        with pytest.raises(
            ServiceStartFailed, match=r'404: deployments\.apps "sunshine" not found.*kubectl get'
        ):
            async with here.run(name="sunshine"):
                pass
        assert here.server.scales == []


async def test_a_cluster_that_is_not_there_is_told(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path) as here:
        Path(here.environ["KUBECONFIG"]).write_text(kubeconfig(refusing_url()), encoding="utf-8")
        with pytest.raises(ServiceStartFailed, match=r"does not answer: .*refused.*kubeconfig"):
            async with here.run():
                pass


@pytest.mark.parametrize("content", ["", "nonsense", "current-context: x"])
async def test_a_kubeconfig_that_is_none_is_named(guardian: Guardian, tmp_path: Path, content: str) -> None:
    async with cluster(guardian, tmp_path) as here:
        Path(here.environ["KUBECONFIG"]).write_text(content, encoding="utf-8")
        with pytest.raises(ServiceStartFailed, match=r"No cluster can be reached by .*kubeconfig"):
            async with here.run():
                pass


async def test_a_deployment_that_does_not_get_ready_is_told_with_why_and_scaled_down(
    guardian: Guardian, tmp_path: Path
) -> None:
    async with cluster(guardian, tmp_path) as here:
        here.server.ready_after = None
        message = 'Back-off pulling image "weather:1"'
        waiting = {"reason": "ImagePullBackOff", "message": message}
        here.server.pods = [
            {
                "metadata": {"name": f"{NAME}-1", "namespace": NAMESPACE},
                "status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]},
            }
        ]
        here.server.events = [
            {
                "metadata": {"name": f"{NAME}-1.1"},
                "involvedObject": {"kind": "Pod", "name": f"{NAME}-1"},
                "type": "Warning",
                "reason": "Failed",
                "message": "Error: ErrImagePull",
                "lastTimestamp": "2026-01-01T00:00:00Z",
            }
        ]
        expected = r"not ready within 0\.4 s: .*ImagePullBackOff \(Back-off.*Last events: Failed \(Error"
        with pytest.raises(ServiceStartFailed, match=expected):
            async with here.run(start_timeout_s=0.4):
                pass
        assert here.server.scales == [1, 0]


async def test_why_it_is_not_ready_may_be_kept_from_us(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path) as here:
        here.server.ready_after = None
        here.server.forbidden.add(("list", "pods"))
        with pytest.raises(ServiceStartFailed, match=r"not ready within 0\.3 s: .*cannot list resource"):
            async with here.run(start_timeout_s=0.3):
                pass


@pytest.mark.parametrize("trouble", ["scaled", "deleted", "pod"])
async def test_what_others_do_to_a_deployment_is_noticed(
    guardian: Guardian, tmp_path: Path, trouble: str
) -> None:
    async with cluster(guardian, tmp_path) as here, here.run() as running:
        match trouble:
            case "scaled":
                here.server.scale(0)
            case "deleted":
                here.server.deleted = True
            case _:
                here.server.lose_pod()
        with anyio.fail_after(10):
            await running.wait()
        expected = {
            "scaled": "scaled to 0 by others",
            "deleted": "its deployment was deleted",
            "pod": "not ready any more: it has no pods",
        }
        assert expected[trouble] in running.ending()
        assert running.last_words() == (running.ending(),)


async def test_a_cancelled_caller_leaves_nothing_scaled_up(guardian: Guardian, tmp_path: Path) -> None:
    async with cluster(guardian, tmp_path) as here:
        with anyio.CancelScope() as scope:
            async with here.run():
                scope.cancel()
                await anyio.sleep_forever()
        assert here.server.scales == [1, 0]


async def test_a_cluster_that_fails_at_the_end_keeps_nobody_from_ending(
    guardian: Guardian, tmp_path: Path
) -> None:
    async with cluster(guardian, tmp_path) as here, here.run():
        here.server.forbidden.add(("patch", "deployments/scale"))


async def test_the_deployment_of_a_killed_manager_is_scaled_down(guardian: Guardian, tmp_path: Path) -> None:
    program = (
        "import anyio, sys; from tests.integration.kubernetes import manager;"
        "anyio.run(manager.main, *sys.argv[1:])"
    )
    async with cluster(guardian, tmp_path) as here:
        with subprocess.Popen(
            [sys.executable, "-c", program, here.environ["KUBECONFIG"], here.endpoint],
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            line = await anyio.to_thread.run_sync(process.stdout.readline)
            assert line == b"running\n"
            assert here.server.scales == [1]
            process.send_signal(signal.SIGKILL)
        with anyio.fail_after(20):
            while here.server.scales != [1, 0]:  # noqa: ASYNC110  # another process sets no event of ours
                await anyio.sleep(0.02)
