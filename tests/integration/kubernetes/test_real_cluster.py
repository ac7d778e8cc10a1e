"""Services as deployments of a real control plane, by a role that allows no more than the driver asks for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.kubernetes import DeploymentService, KubernetesDriver
from service_manager.drivers.kubernetes_limits import quantities
from service_manager.errors import ServiceStartFailed
from service_manager.journal import Journal
from service_manager.model import Command, DeploymentSource, ServiceSpec
from service_manager.resources import Limits
from tests.integration.kubernetes.api_server import APPLY, NAME, NAMESPACE, STRATEGIC
from tests.integration.kubernetes.real_cluster import (
    NOBODY,
    ROLE,
    ROUTER,
    Json,
    Kubelet,
    RealCluster,
    ready_status,
)
from tests.support.mcp_http_server import mcp_http_server

pytest.importorskip("kubernetes", reason="the Kubernetes SDK is not installed")

PROGRAMS = os.environ.get("TOOL_ROUTER_KUBERNETES", "")
"""The directory with kube-apiserver and kube-controller-manager."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not PROGRAMS, reason="no control plane: scripts/test_kubernetes builds one"),
]

LOOK_S = 0.1
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
DEPLOYMENT = f"{DEPLOYMENTS}/{NAME}"
WITHIN_S = 30.0


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[RealCluster]:
    cluster = RealCluster(Path(PROGRAMS), tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.start()
        cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        cluster.ask("POST", f"{rbac}/roles", {"metadata": {"name": "router"}, "rules": ROLE})
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": "router"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "router"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "router"}],
        }
        cluster.ask("POST", f"{rbac}/rolebindings", binding)
        yield cluster
    finally:
        cluster.close()


class Site:
    """One deployment, a real MCP server behind its endpoint, and a driver that may do what the role says."""

    def __init__(self, cluster: RealCluster, kubelet: Kubelet, endpoint: str, guardian: Guardian) -> None:
        self.cluster = cluster
        self.kubelet = kubelet
        self.endpoint = endpoint
        self.guardian = guardian

    @asynccontextmanager
    async def run(
        self, *, limits: Limits | None = None, name: str = NAME, token: str = ROUTER, **changes: Any
    ) -> AsyncGenerator[DeploymentService]:
        options: dict[str, Any] = {"endpoint": self.endpoint, "start_timeout_s": WITHIN_S, **changes}
        spec = ServiceSpec("weather", DeploymentSource(NAMESPACE, name), **options)
        environ = {"KUBECONFIG": str(self.cluster.kubeconfig(token))}
        driver = KubernetesDriver(environ, self.guardian, LOOK_S)
        async with driver.run(spec, Command(()), limits or Limits(), Journal()) as running:
            yield running

    def deployment(self) -> Json:
        return self.cluster.ask("GET", DEPLOYMENT)

    def replicas(self) -> int:
        return self.deployment()["spec"]["replicas"]

    def scale(self, replicas: int) -> None:
        """Scale it, as anybody may."""
        self.cluster.ask("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": replicas}}, STRATEGIC)

    def limits(self) -> Json:
        (container,) = self.deployment()["spec"]["template"]["spec"]["containers"]
        return container["resources"]

    def apply(self, owner: str, body: Json, *, force: bool = False) -> None:
        """Set fields as another manager does."""
        whole = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, **body}
        options = f"fieldManager={owner}&force={'true' if force else 'false'}"
        self.cluster.ask("PATCH", f"{DEPLOYMENT}?{options}", whole, APPLY)


def container(**fields: Any) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}}}


@pytest.fixture
async def site(control_plane: RealCluster, tmp_path: Path) -> AsyncGenerator[Site]:
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, **container(image="weather:1")["spec"]["template"]}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    control_plane.ask("POST", DEPLOYMENTS, {"metadata": {"name": NAME, "labels": labels}, "spec": spec})
    kubelet, guardian = Kubelet(control_plane, NAMESPACE), Guardian()
    kubelet.start()
    try:
        async with mcp_http_server() as service:
            yield Site(control_plane, kubelet, service.url, guardian)
    finally:
        guardian.close()
        kubelet.close()
        pods, sets = f"/api/v1/namespaces/{NAMESPACE}/pods", DEPLOYMENTS.replace("deployments", "replicasets")
        for kind in (DEPLOYMENTS, sets, pods):
            control_plane.ask("DELETE", kind)


async def test_a_deployment_is_scaled_up_reached_and_scaled_down(site: Site) -> None:
    async with site.run() as running:
        assert site.replicas() == 1
        assert site.deployment()["status"]["readyReplicas"] == 1
        async with Client(running.transport) as client:
            assert (await client.list_tools()).tools
        assert (running.ending(), dict(running.enforced)) == ("", {})
    assert site.replicas() == 0


async def test_a_deployment_that_has_pods_already_keeps_how_many(site: Site) -> None:
    site.cluster.ask(
        "PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 3}}, "application/merge-patch+json"
    )
    async with site.run():
        assert site.replicas() == 3


async def test_limits_are_set_changed_and_given_up_when_they_are_not_wanted_any_more(site: Site) -> None:
    async with site.run(limits=Limits(memory=2**28, cpu=0.5, processes=9)) as running:
        assert running.enforced == {"memory": "kubernetes", "cpu": "kubernetes"}
        assert site.limits()["limits"] == {"memory": "256Mi", "cpu": "500m"}
        assert site.deployment()["metadata"]["labels"] == {"app": NAME, "tool-router/service": "weather"}
        (ours,) = (
            entry
            for entry in site.deployment()["metadata"]["managedFields"]
            if (entry["manager"], entry["operation"]) == ("tool-router", "Apply")
        )
        assert set(ours["fieldsV1"]) == {"f:metadata", "f:spec"}
    # Whoever made the deployment without limits is said to own them by now as well.
    async with site.run(limits=Limits(memory=2**29)) as running:
        assert running.enforced == {"memory": "kubernetes"}
        assert site.limits() == {"limits": {"memory": "512Mi"}}
    async with site.run() as running:
        assert running.enforced == {}
    assert site.limits() == {}
    assert "tool-router/limits" not in site.deployment()["metadata"].get("annotations", {})


async def test_quantities_come_back_as_they_were_sent(site: Site) -> None:
    for memory in (1000, 1024, 65_535, 500 * 2**20, 10**9, 2**30, 2**30 + 1):
        wanted = quantities(Limits(memory=memory))
        site.apply("helm", container(resources={"limits": wanted}), force=True)
        assert site.limits()["limits"] == wanted
    for cpu in (0.001, 0.25, 1, 1.5, 2, 1000):
        wanted = quantities(Limits(cpu=cpu))
        site.apply("helm", container(resources={"limits": wanted}), force=True)
        assert site.limits()["limits"]["cpu"] == wanted["cpu"]


async def test_limits_someone_else_owns_are_not_taken_from_them(site: Site) -> None:
    site.apply("helm", container(resources={"limits": {"memory": "100Mi"}}))
    with pytest.raises(ServiceStartFailed, match=r'conflicts? with "helm".*limits\.memory.*to its owner'):
        async with site.run(limits=Limits(memory=2**28)):
            pass
    assert (site.replicas(), site.limits()["limits"]) == (0, {"memory": "100Mi"})


async def test_a_limit_of_ours_that_someone_else_has_changed_is_theirs(site: Site) -> None:
    async with site.run(limits=Limits(memory=2**28)):
        pass
    site.apply("helm", container(resources={"limits": {"memory": "100Mi"}}), force=True)
    with pytest.raises(ServiceStartFailed, match=r'conflicts? with "helm"'):
        async with site.run(limits=Limits(memory=2**28)):
            pass
    async with site.run():
        pass
    assert site.limits() == {"limits": {"memory": "100Mi"}}


async def test_limits_the_server_finds_invalid_are_told_with_its_words(site: Site) -> None:
    site.apply("helm", container(resources={"requests": {"cpu": "100m"}}))
    with pytest.raises(ServiceStartFailed, match=r"answers 422: .*must be less than.*Correct .*`limits:`"):
        async with site.run(limits=Limits(cpu=0.013)):
            pass


async def test_who_may_not_is_told_what_and_the_role_it_takes(site: Site) -> None:
    with pytest.raises(ServiceStartFailed, match=r'403: .*cannot get resource "deployments".*a role'):
        async with site.run(token=NOBODY):
            pass


async def test_credentials_that_are_refused_are_told(site: Site) -> None:
    with pytest.raises(ServiceStartFailed, match=r"401: Unauthorized\. .*log in again"):
        async with site.run(token="expired"):
            pass


async def test_a_deployment_that_is_not_there_is_named(site: Site) -> None:
    with pytest.raises(ServiceStartFailed, match=r'404: deployments\.apps "sunshine" not found.*kubectl get'):
        async with site.run(name="sunshine"):
            pass


async def test_a_deployment_that_does_not_get_ready_is_told_with_why_and_scaled_down(site: Site) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "weather:1"'}
    state = {"name": "main", "image": "weather:1", "imageID": "", "ready": False, "restartCount": 0}
    site.kubelet.status = {
        "phase": "Pending",
        "containerStatuses": [{**state, "state": {"waiting": waiting}}],
    }
    about = {"kind": "Deployment", "namespace": NAMESPACE, "name": NAME}
    event = {
        "metadata": {"name": "weather.1"},
        "involvedObject": about,
        "type": "Warning",
        "reason": "Failed",
        "message": "Error: ErrImagePull",
    }
    site.cluster.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/events", event)
    expected = r"not ready within 2 s: .*ImagePullBackOff \(Back-off.*Last events: Failed \(Error"
    with pytest.raises(ServiceStartFailed, match=expected):
        async with site.run(start_timeout_s=2.0):
            pass
    assert site.replicas() == 0


@pytest.mark.parametrize("trouble", ["scaled", "deleted", "pod"])
async def test_what_others_do_to_a_deployment_is_noticed(site: Site, trouble: str) -> None:
    async with site.run() as running:
        match trouble:
            case "scaled":
                site.scale(0)
            case "deleted":
                site.cluster.ask("DELETE", DEPLOYMENT)
            case _:
                lost = {"type": "Ready", "status": "False"}
                site.kubelet.status = {**ready_status(), "conditions": [lost]}
        with anyio.fail_after(WITHIN_S):
            await running.wait()
        expected = {
            "scaled": "scaled to 0 by others",
            "deleted": "its deployment was deleted",
            "pod": "not ready any more: its pod runs and is not ready yet",
        }
        assert expected[trouble] in running.ending()


async def test_a_cancelled_caller_leaves_nothing_scaled_up(site: Site) -> None:
    with anyio.CancelScope() as scope:
        async with site.run():
            scope.cancel()
            await anyio.sleep_forever()
    assert site.replicas() == 0


async def test_the_deployment_of_a_killed_manager_is_scaled_down(site: Site) -> None:
    program = (
        "import anyio, sys; from tests.integration.kubernetes import manager;"
        "anyio.run(manager.main, *sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(site.cluster.kubeconfig(ROUTER)), site.endpoint],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert await anyio.to_thread.run_sync(process.stdout.readline) == b"running\n"
        assert site.replicas() == 1
        process.send_signal(signal.SIGKILL)
    with anyio.fail_after(WITHIN_S):
        while site.replicas():  # noqa: ASYNC110  # another process sets no event of ours
            await anyio.sleep(0.05)
