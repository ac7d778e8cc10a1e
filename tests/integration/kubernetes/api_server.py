"""The part of a Kubernetes API server that scaling a deployment takes, and a controller behind it.

A real one takes minutes to build (scripts/test_kubernetes); test_deployments.py asks the same of both. The
shapes are those of the Kubernetes API reference (v1.33):
`Deployment` and its `Scale` (apps/v1, autoscaling/v1), `PodList`, `EventList` and `Status` (v1), with the
reasons, messages and details its errors have. The rules: a patch of the type application/apply-patch+yaml
needs a field manager, merges lists of containers by name, and ends in 409 where another manager owns a
field; whoever made the deployment without limits is said to own all that are set later, so that they stay
when their manager gives them up; `generation` counts changes of the spec, and the controller's status
follows later.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

APPLY = "application/apply-patch+yaml"
STRATEGIC = "application/strategic-merge-patch+json"
TOKEN = "a-token"
NAMESPACE, NAME = "tools", "weather"
MAIN = "main"
"""The name of the deployment's container."""

MAKER = "kubectl-create"
"""Who made the deployment."""

REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"}


class Refusal(Exception):
    """An answer of kind `Status`."""

    def __init__(self, code: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": REASONS[code],
            "details": details,
            "code": code,
        }


@dataclass
class ApiServer:
    """One deployment and its controller.

    Attributes:
        ready_after: so many looks after it was scaled up a pod is ready; None for never.
        pods: what `list pods` answers while it has replicas and none is ready.
        events: what `list events` answers.
        forbidden: verbs and resources that are refused, e.g. ("patch", "deployments/scale").
        limits: those of the container.
        requests: what the container asks for.
        owned: limits other managers own, by name, and whose they are.
        seen: the requests that changed something, as method, resource, content type, query and body.
        scales: what the deployment was scaled to, in order.
    """

    ready_after: int | None = 2
    pods: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    forbidden: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    limits: dict[str, str] = field(default_factory=dict[str, str])
    requests: dict[str, str] = field(default_factory=dict[str, str])
    owned: dict[str, str] = field(default_factory=dict[str, str])
    seen: list[tuple[str, str, str, dict[str, str], dict[str, Any]]] = field(
        default_factory=list[tuple[str, str, str, dict[str, str], dict[str, Any]]]
    )
    scales: list[int] = field(default_factory=list[int])
    deleted: bool = False

    def __post_init__(self) -> None:
        self.applied: dict[str, Any] = {}
        self._looks = 0
        self._base: dict[str, Any] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "generation": 1, "labels": {"app": NAME}},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": NAME}},
                "template": {
                    "metadata": {"labels": {"app": NAME}},
                    "spec": {"containers": [{"name": MAIN, "image": "weather:1", "resources": {}}]},
                },
            },
            "status": {"observedGeneration": 1},
        }

    @property
    def app(self) -> Starlette:
        """It, as an application."""
        deployment = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        return Starlette(
            routes=[
                Route(deployment, self._guarded("get", "deployments", self._read)),
                Route(deployment, self._guarded("patch", "deployments", self._change), methods=["PATCH"]),
                Route(
                    f"{deployment}/scale",
                    self._guarded("patch", "deployments/scale", self._scale),
                    methods=["PATCH"],
                ),
                Route("/api/v1/namespaces/{namespace}/pods", self._guarded("list", "pods", self._list_pods)),
                Route(
                    "/api/v1/namespaces/{namespace}/events",
                    self._guarded("list", "events", self._list_events),
                ),
            ]
        )

    def scale(self, replicas: int) -> None:
        """Scale it, as anybody may."""
        if replicas != self._base["spec"]["replicas"]:
            self._base["spec"]["replicas"] = replicas
            self._base["metadata"]["generation"] += 1
            self._looks = 0
        self.scales.append(replicas)

    def lose_pod(self) -> None:
        """Have no pod ready any more."""
        self._base["status"].pop("readyReplicas", None)
        self.ready_after = None

    def deployment(self) -> dict[str, Any]:
        """The deployment as it would be read, with what was applied."""
        whole = deepcopy(self._base)
        applied = self.applied.get("metadata", {})
        whole["metadata"]["labels"] |= applied.get("labels", {})
        whole["metadata"]["annotations"] = applied.get("annotations", {})
        (container,) = _containers(whole)
        resources = {"limits": dict(self.limits), "requests": dict(self.requests)}
        container["resources"] = {kind: amounts for kind, amounts in resources.items() if amounts}
        return whole

    def _guarded(
        self, verb: str, resource: str, answer: Callable[[Request], Awaitable[dict[str, Any]]]
    ) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def guarded(request: Request) -> JSONResponse:
            try:
                self._check(request, verb, resource)
                return JSONResponse(await answer(request))
            except Refusal as refusal:
                return JSONResponse(refusal.body, refusal.code)

        return guarded

    def _check(self, request: Request, verb: str, resource: str) -> None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refusal(401, "Unauthorized")
        namespace = request.path_params["namespace"]
        if (verb, resource) in self.forbidden:
            name = request.path_params.get("name")
            raise Refusal(
                403,
                f'{resource.split("/")[0]}.apps "{name}" is forbidden: '
                f'User "system:serviceaccount:tools:router" cannot {verb} resource "{resource}" '
                f'in API group "apps" in the namespace "{namespace}"',
                name=name,
                group="apps",
                kind=resource,
            )
        if resource.startswith("deployments") and (
            self.deleted or (namespace, request.path_params["name"]) != (NAMESPACE, NAME)
        ):
            name = request.path_params["name"]
            raise Refusal(
                404, f'deployments.apps "{name}" not found', name=name, group="apps", kind="deployments"
            )

    async def _read(self, request: Request) -> dict[str, Any]:
        # The controller: it sees a change at the look after it, and needs a while to make a pod ready.
        answer = self.deployment()
        status = self._base["status"]
        status["observedGeneration"] = self._base["metadata"]["generation"]
        wanted = self._base["spec"]["replicas"]
        self._looks += 1
        if not wanted:
            status.pop("readyReplicas", None)
        elif self.ready_after is not None and self._looks >= self.ready_after:
            status["readyReplicas"] = wanted
        return answer

    async def _scale(self, request: Request) -> dict[str, Any]:
        body = await self._note(request, "deployments/scale")
        if self._type(request) != STRATEGIC:
            raise Refusal(422, f"the patch type is {self._type(request)}")
        self.scale(body["spec"]["replicas"])
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"replicas": self._base["spec"]["replicas"]},
            "status": {"replicas": 0, "selector": f"app={NAME}"},
        }

    async def _change(self, request: Request) -> dict[str, Any]:
        body = await self._note(request, "deployments")
        limits = {
            name: value
            for container in _containers(body)
            for name, value in container["resources"]["limits"].items()
        }
        if self._type(request) == STRATEGIC:
            self.limits = {name: value for name, value in (self.limits | limits).items() if value is not None}
        elif self._type(request) != APPLY or not request.query_params.get("fieldManager"):
            raise Refusal(422, "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
        else:
            if request.query_params.get("force", "").lower() != "true":
                self._refuse_conflicts(limits)
            self._validate(limits)
            self.applied = body
            self.limits |= limits
        self._base["metadata"]["generation"] += 1
        return self.deployment()

    def _refuse_conflicts(self, limits: dict[str, str]) -> None:
        """Refuse to change what others own: of whoever made the deployment, and of whoever has set it."""
        changed = [name for name, value in limits.items() if self.limits.get(name, value) != value]
        start = f'.spec.template.spec.containers[name="{MAIN}"].resources.limits'
        owners = [(self.owned[name], "", name) for name in changed if name in self.owned]
        owners += [(MAKER, " using apps/v1", name) for name in changed]
        if owners:
            told = "\n".join(f'conflicts with "{owner}"{by}:\n- {start}.{name}' for owner, by, name in owners)
            causes = [
                {
                    "reason": "FieldManagerConflict",
                    "message": f'conflict with "{owner}"{by}',
                    "field": f"{start}.{name}",
                }
                for owner, by, name in owners
            ]
            raise Refusal(409, f"Apply failed with {len(owners)} conflicts: {told}", causes=causes)

    def _validate(self, limits: dict[str, str]) -> None:
        limit, asked = limits.get("cpu", ""), self.requests.get("cpu", "")
        if limit and asked and _cores(limit) < _cores(asked):
            raise Refusal(
                422,
                f'Deployment.apps "{NAME}" is invalid: '
                "spec.template.spec.containers[0].resources.requests: "
                f'Invalid value: "{asked}": must be less than or equal to cpu limit of {limit}',
            )

    async def _list_pods(self, request: Request) -> dict[str, Any]:
        items = self.pods if request.query_params.get("labelSelector") == f"app={NAME}" else []
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}

    async def _list_events(self, request: Request) -> dict[str, Any]:
        return {
            "kind": "EventList",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "1"},
            "items": self.events,
        }

    async def _note(self, request: Request, resource: str) -> dict[str, Any]:
        body = json.loads(await request.body())
        self.seen.append((request.method, resource, self._type(request), dict(request.query_params), body))
        return body

    def _type(self, request: Request) -> str:
        return request.headers.get("content-type", "")


def _containers(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    return deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


def _cores(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
