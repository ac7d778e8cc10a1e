"""Whether a deployment runs, and why not, out of what the API server says; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service_manager.drivers.json_parts import part, parts

EVENTS = 3
"""How many of the last events are told."""


def replicas(deployment: Mapping[str, Any]) -> int:
    """How many pods it is to have; one where nothing is said."""
    wanted = part(deployment, "spec").get("replicas")
    return 1 if wanted is None else int(wanted)


def ready(deployment: Mapping[str, Any]) -> bool:
    """Whether a pod answers, by a status that is not older than what was asked for last."""
    status = part(deployment, "status")
    seen = int(status.get("observedGeneration") or 0)
    asked = int(part(deployment, "metadata").get("generation") or 0)
    return seen >= asked and replicas(deployment) > 0 and int(status.get("readyReplicas") or 0) > 0


def selector(deployment: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels its pods have."""
    return part(deployment, "spec", "selector", "matchLabels")


def why_not(
    deployment: Mapping[str, Any],
    pods: Iterable[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]],
) -> str:
    """Why it is not ready, in words: its pods' reasons, its own conditions, and the last warnings."""
    pods = tuple(pods)
    reasons = [reason for pod in pods for reason in _pod_reasons(pod)]
    if not pods:
        reasons.append("it has no pods")
    reasons += [
        _told(condition)
        for condition in parts(deployment, "status", "conditions")
        if condition.get("type") == "ReplicaFailure" or condition.get("reason") == "ProgressDeadlineExceeded"
    ]
    names = {str(part(thing, "metadata").get("name")) for thing in (deployment, *pods)}
    warned = [
        event
        for event in events
        if event.get("type") == "Warning" and _concerns(part(event, "involvedObject"), names)
    ]
    last = [_told(event) for event in sorted(warned, key=_when)[-EVENTS:]]
    told = "; ".join(dict.fromkeys(reasons)) or "no reason is given"
    return f"{told}. Last events: {' | '.join(dict.fromkeys(last))}" if last else told


def _pod_reasons(pod: Mapping[str, Any]) -> Iterable[str]:
    states = [*parts(pod, "status", "initContainerStatuses"), *parts(pod, "status", "containerStatuses")]
    waiting = [found for state in states if (found := part(state, "state", "waiting"))]
    yield from (f"a container waits: {_told(found)}" for found in waiting)
    for state in states:
        ended = part(state, "lastState", "terminated")
        if ended and not state.get("ready"):
            yield f"its last run ended with {_told(ended)}, exit code {ended.get('exitCode')}"
    for condition in parts(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"a pod has no node: {_told(condition)}"
    if not waiting and part(pod, "status").get("phase") == "Running":
        yield "its pod runs and is not ready yet"


def _concerns(thing: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether an event is about one of these; those of a replica set bear its deployment's name first."""
    name = str(thing.get("name"))
    return any(name == known or name.startswith(f"{known}-") for known in names)


def _told(found: Mapping[str, Any]) -> str:
    reason, message = str(found.get("reason") or "no reason"), str(found.get("message") or "").strip()
    return f"{reason} ({message})" if message else reason


def _when(event: Mapping[str, Any]) -> str:
    """When it happened last; RFC 3339 in UTC sorts as text."""
    at = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return str(at or part(event, "metadata").get("creationTimestamp") or "")
