"""What of a service's limits a cluster enforces, and the fields that say so; pure.

Fields are set by server-side apply, which knows their owners. It does not know enough: a deployment that was
made without limits has `resources: {}`, and whoever made it is said to own all that is ever written there
(structured-merge-diff takes an owned empty object for one that was atomic before). So we note on the
deployment what we set, and what is still as we left it is ours to change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from service_manager.drivers.json_parts import part, parts
from service_manager.resources import Limits

LABEL = "tool-router/service"
"""Set on the deployments whose fields we own; its value is the service's name."""

NOTE = "tool-router/limits"
"""The annotation with the limits we set, as a JSON object."""

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
_DECIMAL = ("", "k", "M", "G", "T", "P")

MAIN = "kubectl.kubernetes.io/default-container"
"""The annotation that names the main container of a pod; without it that is the first."""


def quantities(limits: Limits) -> dict[str, str]:
    """The limits a container can have, as Kubernetes writes quantities; the others it does not know."""
    found: dict[str, str] = {}
    if limits.memory is not None:
        binary = limits.memory % 1024 == 0
        found["memory"] = _shortest(limits.memory, 1024, _BINARY) if binary else _decimal(limits.memory)
    if limits.cpu is not None:
        thousandths = max(1, round(limits.cpu * 1000))
        found["cpu"] = f"{thousandths}m" if thousandths % 1000 else _decimal(thousandths // 1000)
    return found


def _decimal(value: int) -> str:
    return _shortest(value, 1000, _DECIMAL)


def _shortest(value: int, base: int, suffixes: tuple[str, ...]) -> str:
    """A quantity in its canonical form, in which the API server gives it back."""
    power = 0
    while value and value % base == 0 and power < len(suffixes) - 1:
        value //= base
        power += 1
    return f"{value}{suffixes[power]}"


def owned(deployment: Mapping[str, Any]) -> bool:
    """Whether we have set fields of this deployment before."""
    return LABEL in part(deployment, "metadata", "labels")


def fields(service: str, deployment: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """What is applied to a deployment: our label, and the limits of its main container."""
    metadata = deployment["metadata"]
    ours: dict[str, Any] = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": {LABEL: service},
    }
    body: dict[str, Any] = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": ours}
    if wanted := quantities(limits):
        ours["annotations"] = {NOTE: json.dumps(wanted, sort_keys=True)}
        body["spec"] = _limiting(deployment, wanted)
    return body


def as_we_left_it(deployment: Mapping[str, Any], limits: Limits) -> bool:
    """Whether nobody else has set the limits that we want to set or to give up."""
    noted, now = _noted(deployment), _limits(deployment)
    return all(now.get(name) in (None, noted.get(name)) for name in {*noted, *quantities(limits)})


def left_over(before: Mapping[str, Any], after: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """A patch that removes what we set once, want no more, and the server has not removed; or nothing.

    Args:
        before: the deployment before `fields` were applied.
        after: as it is since.
        limits: those that were applied.
    """
    noted, now = _noted(before), _limits(after)
    stale = {name for name in noted.keys() - quantities(limits) if now.get(name) == noted[name]}
    return {"spec": _limiting(after, dict.fromkeys(sorted(stale)))} if stale else {}


def _limiting(deployment: Mapping[str, Any], limits: Mapping[str, str | None]) -> dict[str, Any]:
    """A specification that gives the main container these limits, and says nothing else."""
    container = {"name": _main(deployment), "resources": {"limits": dict(limits)}}
    return {"template": {"spec": {"containers": [container]}}}


def _noted(deployment: Mapping[str, Any]) -> dict[str, str]:
    """The limits we set last; none where the note is not ours."""
    try:
        noted: object = json.loads(part(deployment, "metadata", "annotations").get(NOTE) or "{}")
    except ValueError:
        return {}
    if not isinstance(noted, dict):
        return {}
    return {str(name): str(value) for name, value in cast("dict[object, object]", noted).items()}


def _limits(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of the main container."""
    main = _main(deployment)
    containers = parts(deployment, "spec", "template", "spec", "containers")
    return next(
        part(container, "resources", "limits") for container in containers if container["name"] == main
    )


def _main(deployment: Mapping[str, Any]) -> str:
    template = part(deployment, "spec", "template")
    named = part(template, "metadata", "annotations").get(MAIN)
    names = [str(container["name"]) for container in parts(template, "spec", "containers")]
    return str(named) if named in names else names[0]
