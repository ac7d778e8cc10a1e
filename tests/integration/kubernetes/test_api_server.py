"""What the driver asks of an API server, and what a real one can't be made to do."""

from __future__ import annotations

import anyio
import pytest

from service_manager.errors import ServiceStartFailed
from service_manager.manager import ServiceManager
from service_manager.model import DeploymentSource, ServiceSpec
from service_manager.resources import Limits
from tests.integration.kubernetes.api_server import APPLY, NAME, NAMESPACE, STRATEGIC, TOKEN
from tests.integration.kubernetes.kubeconfig import kubeconfig
from tests.integration.kubernetes.site import LoopbackSite
from tests.integration.service_troubles.trouble import AsWritten
from tests.support.loopback import refusing_url

pytest.importorskip("kubernetes", reason="the Kubernetes SDK is not installed")

pytestmark = pytest.mark.anyio


async def test_it_is_scaled_and_limited_by_requests_that_name_who_makes_them(loopback: LoopbackSite) -> None:
    async with loopback.run(limits=Limits(cpu=0.5)):
        pass
    asked = [
        (resource, content, query["fieldManager"]) for _, resource, content, query, _ in loopback.server.seen
    ]
    scaled = ("deployments/scale", STRATEGIC, "tool-router")
    assert asked == [("deployments", APPLY, "tool-router"), scaled, scaled]
    assert loopback.server.scales == [1, 0]


async def test_a_deployment_with_limits_runs_by_them_and_not_by_those_of_its_priority(
    loopback: LoopbackSite,
) -> None:
    loopback.limit("helm", {"memory": "100Mi"})
    spec = ServiceSpec("weather", DeploymentSource(NAMESPACE, NAME), endpoint=loopback.endpoint)
    manager = ServiceManager([spec], AsWritten(), {"KUBECONFIG": str(loopback.kubeconfig(TOKEN))})
    async with manager.open():
        await manager.ready("weather")
        assert loopback.resources == {"limits": {"memory": "100Mi"}}
        assert dict(manager.one("weather").enforced) == {}


@pytest.mark.parametrize(
    ("verb", "resource"), [("get", "deployments"), ("patch", "deployments/scale"), ("patch", "deployments")]
)
async def test_what_may_not_be_done_is_named_with_the_role_it_takes(
    loopback: LoopbackSite, verb: str, resource: str
) -> None:
    loopback.server.forbidden.add((verb, resource))
    with pytest.raises(ServiceStartFailed, match=rf'403: .*cannot {verb} resource "{resource}".*a role'):
        async with loopback.run(limits=Limits(cpu=1)):
            pass


async def test_a_cluster_that_is_not_there_is_told(loopback: LoopbackSite) -> None:
    loopback.config = kubeconfig({"server": refusing_url()}, TOKEN)
    with pytest.raises(ServiceStartFailed, match=r"does not answer: .*refused.*kubeconfig"):
        async with loopback.run():
            pass


@pytest.mark.parametrize("content", ["", "nonsense", "current-context: x"])
async def test_a_kubeconfig_that_is_none_is_named(loopback: LoopbackSite, content: str) -> None:
    loopback.config = content
    with pytest.raises(ServiceStartFailed, match=r"No cluster can be reached by .*kubeconfig"):
        async with loopback.run():
            pass


async def test_why_it_is_not_ready_may_be_kept_from_us(loopback: LoopbackSite) -> None:
    loopback.server.ready_after = None
    loopback.server.forbidden.add(("list", "pods"))
    with pytest.raises(ServiceStartFailed, match=r"not ready within 0\.3 s: .*cannot list resource"):
        async with loopback.run(start_timeout_s=0.3):
            pass


async def test_a_deployment_that_has_lost_its_pods_is_noticed(loopback: LoopbackSite) -> None:
    async with loopback.run() as running:
        loopback.server.lose_pod()
        with anyio.fail_after(10):
            await running.wait()
        assert "not ready any more: it has no pods" in running.ending()


async def test_a_cluster_that_fails_at_the_end_keeps_nobody_from_ending(loopback: LoopbackSite) -> None:
    async with loopback.run():
        loopback.server.forbidden.add(("patch", "deployments/scale"))
