"""One deployment of a cluster, a real MCP server behind its endpoint, and a driver that knows both.

`Site` is what the tests do and see, whatever the cluster; `LoopbackSite` is that of the hand-written API
server, `RealSite` that of a real control plane. What holds for one holds for the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service_manager.drivers.guardian import Guardian
from service_manager.drivers.kubernetes import DeploymentService, KubernetesDriver
from service_manager.journal import Journal
from service_manager.model import Command, DeploymentSource, ServiceSpec
from service_manager.resources import Limits
from tests.integration.kubernetes.api_server import APPLY, MAIN, NAME, NAMESPACE, STRATEGIC, TOKEN, ApiServer
from tests.integration.kubernetes.kubeconfig import kubeconfig
from tests.integration.kubernetes.real_cluster import ROUTER, Kubelet, RealCluster, ready_status

Json = dict[str, Any]

DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
DEPLOYMENT = f"{DEPLOYMENTS}/{NAME}"
NOT_READY = {**ready_status(), "conditions": [{"type": "Ready", "status": "False"}]}
"""What a kubelet reports of a pod that runs and does not answer any more."""


class Site(ABC):
    """A deployment without limits that is scaled to 0, to begin with.

    Args:
        endpoint: of the MCP server.
        guardian: the driver's.

    Attributes:
        token: of who may do what the driver asks for.
        look_s: how often the driver looks.
        within_s: long enough for anything the cluster does.
        brief_s: too short for a pod to be reported.
    """

    token: str
    look_s: float
    within_s: float
    brief_s: float

    def __init__(self, endpoint: str, guardian: Guardian) -> None:
        self.endpoint = endpoint
        self.guardian = guardian

    @asynccontextmanager
    async def run(
        self, *, limits: Limits | None = None, name: str = NAME, token: str = "", **changes: Any
    ) -> AsyncGenerator[DeploymentService]:
        """Run the service of the deployment."""
        options: dict[str, Any] = {"endpoint": self.endpoint, "start_timeout_s": self.within_s, **changes}
        spec = ServiceSpec("weather", DeploymentSource(NAMESPACE, name), **options)
        environ = {"KUBECONFIG": str(self.kubeconfig(token or self.token))}
        driver = KubernetesDriver(environ, self.guardian, self.look_s)
        async with driver.run(spec, Command(()), limits or Limits(), Journal()) as running:
            yield running

    @property
    def replicas(self) -> int:
        """What it is scaled to."""
        return self.deployment()["spec"]["replicas"]

    @property
    def changes(self) -> int:
        """How often what is wanted of it has changed."""
        return self.deployment()["metadata"]["generation"]

    @property
    def resources(self) -> Json:
        """Those of its container."""
        (container,) = self.deployment()["spec"]["template"]["spec"]["containers"]
        return container["resources"]

    @abstractmethod
    def kubeconfig(self, token: str) -> Path:
        """A kubeconfig of who has this token."""

    @abstractmethod
    def deployment(self) -> Json:
        """It, as it is read."""

    @abstractmethod
    def scale(self, replicas: int) -> None:
        """Scale it, as anybody may."""

    @abstractmethod
    def delete(self) -> None:
        """Have it deleted."""

    @abstractmethod
    def limit(self, owner: str, limits: Json) -> None:
        """Set limits as another manager does, who owns them from then on."""

    @abstractmethod
    def request(self, owner: str, requests: Json) -> None:
        """Have another manager set what is asked for, which no limit may be below."""

    @abstractmethod
    def report(self, status: Json) -> None:
        """Have the kubelet report this of every pod from now on."""

    @abstractmethod
    def tell(self, event: Json) -> None:
        """Add an event of the namespace."""


class LoopbackSite(Site):
    """A deployment of the hand-written API server.

    Attributes:
        server: it.
        config: what kubeconfigs hold instead of its address and the token.

    Args:
        server: it.
        url: where it is served.
        directory: takes kubeconfigs.
        endpoint: of the MCP server.
        guardian: the driver's.
    """

    token, look_s, within_s, brief_s = TOKEN, 0.05, 20.0, 0.4

    def __init__(
        self, server: ApiServer, url: str, directory: Path, endpoint: str, guardian: Guardian
    ) -> None:
        super().__init__(endpoint, guardian)
        self.config: str | None = None
        self.server = server
        self._url = url
        self._directory = directory

    def kubeconfig(self, token: str) -> Path:
        """See `Site`."""
        file = self._directory / "kubeconfig"
        content = kubeconfig({"server": self._url}, token) if self.config is None else self.config
        file.write_text(content, encoding="utf-8")
        return file

    def deployment(self) -> Json:
        """See `Site`."""
        return self.server.deployment()

    def scale(self, replicas: int) -> None:
        """See `Site`."""
        self.server.scale(replicas)

    def delete(self) -> None:
        """See `Site`."""
        self.server.deleted = True

    def limit(self, owner: str, limits: Json) -> None:
        """See `Site`."""
        self.server.limits, self.server.owned = dict(limits), dict.fromkeys(limits, owner)

    def request(self, owner: str, requests: Json) -> None:
        """See `Site`."""
        self.server.requests = dict(requests)

    def report(self, status: Json) -> None:
        """See `Site`."""
        self.server.pods = [{"metadata": {"name": f"{NAME}-1", "namespace": NAMESPACE}, "status": status}]
        self.server.lose_pod()

    def tell(self, event: Json) -> None:
        """See `Site`."""
        self.server.events.append(event)


class RealSite(Site):
    """A deployment of a real control plane, by a role that allows no more than the driver asks for.

    Args:
        cluster: it.
        kubelet: reports of its pods.
        endpoint: of the MCP server.
        guardian: the driver's.
    """

    token, look_s, within_s, brief_s = ROUTER, 0.1, 30.0, 2.0

    def __init__(self, cluster: RealCluster, kubelet: Kubelet, endpoint: str, guardian: Guardian) -> None:
        super().__init__(endpoint, guardian)
        self.cluster = cluster
        self._kubelet = kubelet

    def kubeconfig(self, token: str) -> Path:
        """See `Site`."""
        return self.cluster.kubeconfig(token)

    def deployment(self) -> Json:
        """See `Site`."""
        return self.cluster.ask("GET", DEPLOYMENT)

    def scale(self, replicas: int) -> None:
        """See `Site`."""
        self.cluster.ask("PATCH", f"{DEPLOYMENT}/scale", {"spec": {"replicas": replicas}}, STRATEGIC)

    def delete(self) -> None:
        """See `Site`."""
        self.cluster.ask("DELETE", DEPLOYMENT)

    def limit(self, owner: str, limits: Json) -> None:
        """See `Site`."""
        self._apply(owner, {"limits": limits})

    def request(self, owner: str, requests: Json) -> None:
        """See `Site`."""
        self._apply(owner, {"requests": requests})

    def report(self, status: Json) -> None:
        """See `Site`."""
        self._kubelet.status = status

    def tell(self, event: Json) -> None:
        """See `Site`."""
        self.cluster.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/events", event)

    def _apply(self, owner: str, resources: Json) -> None:
        containers = [{"name": MAIN, "resources": resources}]
        whole = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME},
            "spec": {"template": {"spec": {"containers": containers}}},
        }
        self.cluster.ask("PATCH", f"{DEPLOYMENT}?fieldManager={owner}&force=true", whole, APPLY)
