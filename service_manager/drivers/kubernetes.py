"""Runs services as deployments of a Kubernetes cluster, scaled from 0 to 1 and back."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import structlog
from mcp.client._transport import Transport

from service_manager.drivers.awake import AlwaysAwake
from service_manager.drivers.guardian import Guardian
from service_manager.drivers.http_endpoint import await_endpoint, endpoint_transport
from service_manager.drivers.kubernetes_cluster import Cluster, connect
from service_manager.drivers.kubernetes_limits import as_we_left_it, fields, left_over, owned, quantities
from service_manager.drivers.kubernetes_readiness import ready, replicas, selector, why_not
from service_manager.drivers.protocol import Sleeper
from service_manager.errors import PlatformError, ServiceStartFailed
from service_manager.journal import Journal
from service_manager.model import Command, DeploymentSource, ServiceSpec
from service_manager.resources import Limits, MemoryUse, ResourceUse

END_SCRIPT = Path(__file__).with_name("kubernetes_end.py")

CLUSTER_VARIABLES = ("KUBECONFIG", "HOME", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "PATH")
"""What says how to reach the cluster; PATH finds the programs a kubeconfig gets its tokens from."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
"""Between two looks at a deployment that starts; each pause is half as long again, up to the longest."""

LOOK_S = 5.0
"""How often a deployment that runs is looked at, for others may scale it as well."""

LOST = 3
"""After so many looks in a row without an answer the cluster counts as gone."""

STATELESS = "A deployment sleeps by being scaled to 0: add `stateless: true` to it in services.yml."


class KubernetesDriver:
    """Scales deployments that are there already; it makes and deletes none.

    Args:
        environ: where KUBECONFIG and HOME are looked for; within a cluster neither is needed.
        guardian: has deployments scaled to 0 when this process is killed.
        look_s: seconds between two looks at a deployment that runs.
    """

    def __init__(self, environ: Mapping[str, str], guardian: Guardian, look_s: float = LOOK_S) -> None:
        self._environ = environ
        self._guardian = guardian
        self._look_s = look_s

    @asynccontextmanager
    async def run(
        self, spec: ServiceSpec, command: Command, limits: Limits, journal: Journal
    ) -> AsyncGenerator[DeploymentService]:
        """Scale a deployment to 1 and wait until it answers; to 0 when the block is left.

        Raises:
            ServiceStartFailed: it can't be scaled, has no address, or is not ready in time; told with why.
        """
        if not isinstance(spec.source, DeploymentSource) or not spec.endpoint:
            raise ServiceStartFailed(
                f"{spec.name} has no deployment or no endpoint.",
                "Add `deployment:` and `endpoint:` to it in services.yml.",
            )
        failure: ServiceStartFailed | None = None
        with self._guarded(spec.source):
            try:
                async with connect(self._environ) as cluster:
                    service = DeploymentService(spec, spec.source, cluster, journal)
                    try:
                        await service.start(limits)
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(service.follow, self._look_s)
                            yield service
                            tasks.cancel_scope.cancel()
                    finally:
                        with anyio.CancelScope(shield=True):
                            await service.end()
            except PlatformError as error:
                failure = ServiceStartFailed(
                    f"{spec.name} can't be started: {error.tried.rstrip('.')}.", error.next_step
                )
                failure.__cause__ = error
        if failure is not None:
            raise failure

    @contextmanager
    def _guarded(self, source: DeploymentSource) -> Generator[None]:
        """Have the deployment scaled to 0 if this process dies within the block."""
        reached = [f"{name}={self._environ[name]}" for name in CLUSTER_VARIABLES if self._environ.get(name)]
        argv = [
            "env",
            *reached,
            sys.executable,
            # -P: the script's directory holds modules whose names are those of packages it imports.
            "-P",
            str(END_SCRIPT),
            source.namespace,
            source.deployment,
        ]
        self._guardian.guard_by(argv)
        try:
            yield
        finally:
            self._guardian.release_by(argv)


class DeploymentService:
    """A deployment that runs; see `service_manager.drivers.protocol.Running`.

    Args:
        spec: the service.
        source: its deployment.
        cluster: where it is.
        journal: takes what becomes of it.
    """

    def __init__(
        self, spec: ServiceSpec, source: DeploymentSource, cluster: Cluster, journal: Journal
    ) -> None:
        self._spec = spec
        self._source = source
        self._cluster = cluster
        self._journal = journal
        self._before = journal.written
        self._scaled = False
        self._ended = anyio.Event()
        self._ending = ""
        self._log = structlog.get_logger().bind(service=spec.name)
        self.transport: Transport = endpoint_transport(spec.endpoint)
        self.pid: int | None = None
        self.sleeper: Sleeper = AlwaysAwake("" if spec.stateless else STATELESS)
        self.enforced: Mapping[str, str] = {}

    async def wait(self) -> None:
        """Return when it was scaled to 0 or deleted by others, or has no pod that is ready."""
        await self._ended.wait()

    def last_words(self) -> tuple[str, ...]:
        """What was noted of it."""
        return self._journal.since(self._before)

    def ending(self) -> str:
        """How it ended; empty while it runs."""
        return self._ending

    async def usage(self) -> ResourceUse:
        """Nothing on this machine."""
        return ResourceUse(0.0, MemoryUse(0), processes=0)

    async def health(self) -> str:
        """Nothing: its pods' readiness decides whether the cluster sends requests to them at all."""
        return ""

    async def start(self, limits: Limits) -> None:
        """Set its limits, scale it to 1 unless it has pods, and wait until one is ready and answers.

        Raises:
            PlatformError: the cluster refuses.
            ServiceStartFailed: it is not ready in time.
        """
        until = anyio.current_time() + self._spec.start_timeout_s
        deployment = await self._read()
        if quantities(limits) or owned(deployment):
            await self._limit(deployment, limits)
        # What starts it may have arrived even if its answer doesn't.
        self._scaled = True
        if not replicas(deployment):
            await self._cluster.scale(self._source.namespace, self._source.deployment, 1)
        with anyio.move_on_at(until) as patience:
            await self._until_ready()
        if patience.cancelled_caught:
            why = await self._why()
            raise ServiceStartFailed(
                f"{self._spec.name} is not ready within {self._spec.start_timeout_s:g} s: {why}.",
                f"See `kubectl -n {self._source.namespace} describe deployment {self._source.deployment}`.",
            )
        await await_endpoint(self._spec.endpoint, max(LONGEST_PAUSE_S, until - anyio.current_time()))

    async def follow(self, look_s: float) -> None:
        """Return once it can't be used any more, by a look at it every so many seconds."""
        misses = 0
        while not self._ending:
            await anyio.sleep(look_s)
            try:
                self._ending = await self._seen()
                misses = 0
            except PlatformError as error:
                misses += 1
                if error.status == 404:
                    self._ending = "its deployment was deleted"
                elif misses == LOST:
                    self._ending = f"lost: {error.tried}"
        self._journal.add(self._ending)
        self._ended.set()

    async def end(self) -> None:
        """Scale it to 0, unless it was never scaled; a cluster that refuses is only told of."""
        if not self._scaled:
            return
        try:
            await self._cluster.scale(self._source.namespace, self._source.deployment, 0)
        except PlatformError as error:
            self._log.warning("deployment_not_scaled_down", error=str(error))

    async def _limit(self, deployment: Mapping[str, Any], limits: Limits) -> None:
        """Set its limits, and remove those that we set before and do not want any more."""
        where = self._source.namespace, self._source.deployment
        body = fields(self._spec.name, deployment, limits)
        after = await self._cluster.apply(*where, body, force=as_we_left_it(deployment, limits))
        if stale := left_over(deployment, after, limits):
            await self._cluster.patch(*where, stale)
        self.enforced = dict.fromkeys(quantities(limits), "kubernetes")

    async def _seen(self) -> str:
        """Why it can't be used any more; empty while it can."""
        deployment = await self._read()
        if not replicas(deployment):
            return "it was scaled to 0 by others"
        return "" if ready(deployment) else f"it is not ready any more: {await self._why()}"

    async def _until_ready(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not ready(await self._read()):
            await anyio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)

    async def _why(self) -> str:
        """Why it is not ready, as far as we may see."""
        pods: Any = ()
        events: Any = ()
        try:
            deployment = await self._read()
            pods = await self._cluster.pods(self._source.namespace, selector(deployment))
            events = await self._cluster.events(self._source.namespace)
        except PlatformError as error:
            return error.tried
        return why_not(deployment, pods, events)

    async def _read(self) -> Mapping[str, Any]:
        return await self._cluster.deployment(self._source.namespace, self._source.deployment)
