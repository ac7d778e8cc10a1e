"""What of a service's limits a cluster enforces, and the fields that say so; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_manager.drivers.json_parts import part, parts
from service_manager.resources import Limits

LABEL = "tool-router/service"
"""Set on the deployments whose fields we own; its value is the service's name."""

MAIN = "kubectl.kubernetes.io/default-container"
"""The annotation that names the main container of a pod; without it that is the first."""


def quantities(limits: Limits) -> dict[str, str]:
    """The limits a container can have, as Kubernetes writes quantities; the others it does not know."""
    found: dict[str, str] = {}
    if limits.memory is not None:
        found["memory"] = str(limits.memory)
    if limits.cpu is not None:
        found["cpu"] = f"{max(1, round(limits.cpu * 1000))}m"
    return found


def owned(deployment: Mapping[str, Any]) -> bool:
    """Whether we have set fields of this deployment before."""
    return LABEL in part(deployment, "metadata", "labels")


def fields(service: str, deployment: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """What is applied to a deployment: our label, and the limits of its main container."""
    metadata = deployment["metadata"]
    body: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {LABEL: service},
        },
    }
    if wanted := quantities(limits):
        container = {"name": _main(deployment), "resources": {"limits": wanted}}
        body["spec"] = {"template": {"spec": {"containers": [container]}}}
    return body


def _main(deployment: Mapping[str, Any]) -> str:
    template = part(deployment, "spec", "template")
    named = part(template, "metadata", "annotations").get(MAIN)
    names = [str(container["name"]) for container in parts(template, "spec", "containers")]
    return str(named) if named in names else names[0]
