"""Services as deployments: scaled up when they are needed, down when not, and watched in between.

Each test is made at the hand-written API server and, where there is one, at a real control plane.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client

from service_manager.errors import ServiceStartFailed
from service_manager.resources import Limits
from tests.integration.kubernetes.api_server import NAME, NAMESPACE
from tests.integration.kubernetes.site import NOT_READY, Site

pytest.importorskip("kubernetes", reason="the Kubernetes SDK is not installed")

pytestmark = pytest.mark.anyio


async def test_a_deployment_is_scaled_up_reached_and_scaled_down(site: Site) -> None:
    async with site.run() as running:
        assert site.replicas == 1
        assert site.deployment()["status"]["readyReplicas"] == 1
        async with Client(running.transport) as client:
            assert (await client.list_tools()).tools
        assert running.sleeper.tiers == ()
        assert "stateless: true" in running.sleeper.missing
        assert (running.ending(), dict(running.enforced)) == ("", {})
    assert site.replicas == 0


async def test_a_deployment_that_has_pods_already_keeps_how_many(site: Site) -> None:
    site.scale(3)
    before = site.changes
    async with site.run():
        assert (site.replicas, site.changes) == (3, before)


async def test_limits_are_set_changed_and_given_up_when_they_are_not_wanted_any_more(site: Site) -> None:
    async with site.run(limits=Limits(memory=2**28, cpu=0.5, processes=9)) as running:
        assert running.enforced == {"memory": "kubernetes", "cpu": "kubernetes"}
    assert site.resources == {"limits": {"memory": "256Mi", "cpu": "500m"}}
    assert site.deployment()["metadata"]["labels"] == {"app": NAME, "tool-router/service": "weather"}

    # What others are said to own by now as well is ours to change, as long as it is as we left it.
    async with site.run(limits=Limits(memory=2**29)) as running:
        assert running.enforced == {"memory": "kubernetes"}
    assert site.resources == {"limits": {"memory": "512Mi"}}

    async with site.run() as running:
        assert running.enforced == {}
    assert site.resources == {}
    assert "tool-router/limits" not in site.deployment()["metadata"].get("annotations", {})


async def test_limits_someone_else_owns_are_not_taken_from_them(site: Site) -> None:
    site.limit("helm", {"memory": "100Mi"})
    before = site.changes
    with pytest.raises(ServiceStartFailed, match=r'conflicts? with "helm".*limits\.memory.*to its owner'):
        async with site.run(limits=Limits(memory=2**28)):
            pass
    assert (site.replicas, site.changes) == (0, before)
    assert site.resources == {"limits": {"memory": "100Mi"}}


async def test_a_limit_of_ours_that_someone_else_has_changed_is_theirs(site: Site) -> None:
    async with site.run(limits=Limits(memory=2**28)):
        pass
    site.limit("helm", {"memory": "100Mi"})
    with pytest.raises(ServiceStartFailed, match=r'conflicts? with "helm"'):
        async with site.run(limits=Limits(memory=2**28)):
            pass
    async with site.run():
        pass
    assert site.resources == {"limits": {"memory": "100Mi"}}


async def test_limits_the_server_finds_invalid_are_told_with_its_words(site: Site) -> None:
    site.request("helm", {"cpu": "100m"})
    with pytest.raises(ServiceStartFailed, match=r"answers 422: .*must be less than.*Correct .*`limits:`"):
        async with site.run(limits=Limits(cpu=0.013)):
            pass


async def test_credentials_that_are_refused_are_told(site: Site) -> None:
    with pytest.raises(ServiceStartFailed, match=r"401: Unauthorized\. .*log in again"):
        async with site.run(token="expired"):
            pass


async def test_a_deployment_that_is_not_there_is_named(site: Site) -> None:
    before = site.changes
    with pytest.raises(ServiceStartFailed, match=r'404: deployments\.apps "sunshine" not found.*kubectl get'):
        async with site.run(name="sunshine"):
            pass
    assert (site.replicas, site.changes) == (0, before)


async def test_a_deployment_that_does_not_get_ready_is_told_with_why_and_scaled_down(site: Site) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "weather:1"'}
    state = {"name": "main", "image": "weather:1", "imageID": "", "ready": False, "restartCount": 0}
    site.report({"phase": "Pending", "containerStatuses": [{**state, "state": {"waiting": waiting}}]})
    site.tell(
        {
            "metadata": {"name": "weather.1"},
            "involvedObject": {"kind": "Deployment", "namespace": NAMESPACE, "name": NAME},
            "type": "Warning",
            "reason": "Failed",
            "message": "Error: ErrImagePull",
        }
    )
    before = site.changes
    why = r"ImagePullBackOff \(Back-off.*Last events: Failed \(Error"
    with pytest.raises(ServiceStartFailed, match=rf"not ready within {site.brief_s:g} s: .*{why}"):
        async with site.run(start_timeout_s=site.brief_s):
            pass
    # Up, and down again.
    assert (site.replicas, site.changes) == (0, before + 2)


@pytest.mark.parametrize("trouble", ["scaled", "deleted", "pod"])
async def test_what_others_do_to_a_deployment_is_noticed(site: Site, trouble: str) -> None:
    async with site.run() as running:
        match trouble:
            case "scaled":
                site.scale(0)
            case "deleted":
                site.delete()
            case _:
                site.report(NOT_READY)
        with anyio.fail_after(site.within_s):
            await running.wait()
        expected = {
            "scaled": "scaled to 0 by others",
            "deleted": "its deployment was deleted",
            "pod": "not ready any more: its pod runs and is not ready yet",
        }
        assert expected[trouble] in running.ending()
        assert running.last_words() == (running.ending(),)


async def test_a_cancelled_caller_leaves_nothing_scaled_up(site: Site) -> None:
    before = site.changes
    with anyio.CancelScope() as scope:
        async with site.run():
            scope.cancel()
            await anyio.sleep_forever()
    assert (site.replicas, site.changes) == (0, before + 2)


async def test_the_deployment_of_a_killed_manager_is_scaled_down(site: Site) -> None:
    program = (
        "import anyio, sys; from tests.integration.kubernetes import manager;"
        "anyio.run(manager.main, *sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(site.kubeconfig(site.token)), site.endpoint],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert await anyio.to_thread.run_sync(process.stdout.readline) == b"running\n"
        assert site.replicas == 1
        process.send_signal(signal.SIGKILL)
    with anyio.fail_after(site.within_s):
        while site.replicas:  # noqa: ASYNC110  # another process sets no event of ours
            await anyio.sleep(0.05)
