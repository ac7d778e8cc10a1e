"""What only a real control plane can tell."""

from __future__ import annotations

import pytest

from service_manager.drivers.kubernetes_limits import quantities
from service_manager.errors import ServiceStartFailed
from service_manager.resources import Limits
from tests.integration.kubernetes.real_cluster import NOBODY
from tests.integration.kubernetes.site import RealSite

pytest.importorskip("kubernetes", reason="the Kubernetes SDK is not installed")

pytestmark = pytest.mark.anyio


async def test_no_more_than_what_is_limited_is_owned(real: RealSite) -> None:
    async with real.run(limits=Limits(memory=2**28)):
        pass
    (ours,) = (
        entry
        for entry in real.deployment()["metadata"]["managedFields"]
        if (entry["manager"], entry["operation"]) == ("tool-router", "Apply")
    )
    assert set(ours["fieldsV1"]) == {"f:metadata", "f:spec"}


async def test_quantities_come_back_as_they_were_sent(real: RealSite) -> None:
    for memory in (1000, 1024, 65_535, 500 * 2**20, 10**9, 2**30, 2**30 + 1):
        wanted = quantities(Limits(memory=memory))
        real.limit("helm", wanted)
        assert real.resources == {"limits": wanted}
    # The memory stays: whoever made the deployment is said to own it, too.
    for cpu in (0.001, 0.25, 1, 1.5, 2, 1000):
        wanted = quantities(Limits(cpu=cpu))
        real.limit("helm", wanted)
        assert real.resources["limits"]["cpu"] == wanted["cpu"]


async def test_who_may_not_is_told_what_and_the_role_it_takes(real: RealSite) -> None:
    with pytest.raises(ServiceStartFailed, match=r'403: .*cannot get resource "deployments".*a role'):
        async with real.run(token=NOBODY):
            pass
