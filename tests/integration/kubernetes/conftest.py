"""Sites: a deployment of the hand-written API server, and one of a real control plane where there is one."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from service_manager.drivers.guardian import Guardian
from tests.integration.kubernetes.api_server import MAIN, NAME, NAMESPACE, ApiServer
from tests.integration.kubernetes.real_cluster import ROLE, Kubelet, RealCluster
from tests.integration.kubernetes.site import DEPLOYMENTS, LoopbackSite, RealSite, Site
from tests.support.loopback import serve
from tests.support.mcp_http_server import mcp_http_server

PROGRAMS = os.environ.get("TOOL_ROUTER_KUBERNETES", "")
"""The directory with kube-apiserver and kube-controller-manager."""


@pytest.fixture
def guardian() -> Generator[Guardian]:
    """Ends what the driver of a test leaves."""
    guardian = Guardian()
    yield guardian
    guardian.close()


@pytest.fixture
async def loopback(guardian: Guardian, tmp_path: Path) -> AsyncGenerator[LoopbackSite]:
    """A deployment of the hand-written API server."""
    server = ApiServer()
    async with serve(server.app) as api, mcp_http_server() as service:
        yield LoopbackSite(server, api.url, tmp_path, service.url, guardian)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[RealCluster]:
    """A real control plane, with a namespace and a role for the driver."""
    if not PROGRAMS:
        pytest.skip("no control plane: scripts/test_kubernetes builds one")
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


@pytest.fixture
async def real(control_plane: RealCluster, guardian: Guardian) -> AsyncGenerator[RealSite]:
    """A deployment of a real control plane."""
    labels = {"app": NAME}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": MAIN, "image": "weather:1"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    control_plane.ask("POST", DEPLOYMENTS, {"metadata": {"name": NAME, "labels": labels}, "spec": spec})
    kubelet = Kubelet(control_plane, NAMESPACE)
    kubelet.start()
    try:
        async with mcp_http_server() as service:
            yield RealSite(control_plane, kubelet, service.url, guardian)
    finally:
        kubelet.close()
        pods, sets = f"/api/v1/namespaces/{NAMESPACE}/pods", DEPLOYMENTS.replace("deployments", "replicasets")
        for kind in (DEPLOYMENTS, sets, pods):
            control_plane.ask("DELETE", kind)


@pytest.fixture(params=["loopback", "real"])
def site(request: pytest.FixtureRequest) -> Site:
    """Either of them."""
    return request.getfixturevalue(request.param)
