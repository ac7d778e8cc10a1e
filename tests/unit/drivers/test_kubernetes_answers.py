"""What is read out of a Kubernetes API server's answers, and what is written to it."""

from __future__ import annotations

from typing import Any

import pytest

from service_manager.drivers.kubernetes_limits import as_we_left_it, fields, left_over, owned, quantities
from service_manager.drivers.kubernetes_readiness import ready, replicas, selector, why_not
from service_manager.resources import Limits

METADATA = {"name": "d", "namespace": "n", "generation": 2}


def deployment(spec: object = None, status: object = None, **metadata: object) -> dict[str, Any]:
    return {"metadata": {**METADATA, **metadata}, "spec": spec or {}, "status": status}


def pod(**status: object) -> dict[str, Any]:
    return {"metadata": {"name": "d-1"}, "status": status}


def event(message: str, at: str, **changes: object) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": at},
        "involvedObject": {"name": "d-1"},
        "type": "Warning",
        "reason": "Failed",
        "message": message,
        **changes,
    }


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"replicas": 1}, {"observedGeneration": 2, "readyReplicas": 1}, True),
        ({}, {"observedGeneration": 3, "readyReplicas": 1}, True),
        ({"replicas": 1}, {"observedGeneration": 2, "readyReplicas": None}, False),
        ({"replicas": 1}, {"observedGeneration": 2}, False),
        # What the status says of pods is from before the last change.
        ({"replicas": 1}, {"observedGeneration": 1, "readyReplicas": 1}, False),
        # Scaled to 0, with a pod that is on its way out.
        ({"replicas": 0}, {"observedGeneration": 2, "readyReplicas": 1}, False),
        ({"replicas": 1}, None, False),
    ],
)
def test_a_deployment_is_ready_by_a_status_as_new_as_its_spec(
    spec: object, status: object, expected: bool
) -> None:
    assert ready(deployment(spec, status)) is expected


def test_a_deployment_that_says_nothing_of_replicas_has_one() -> None:
    assert (replicas(deployment()), replicas(deployment({"replicas": 0}))) == (1, 0)
    assert selector(deployment({"selector": {"matchLabels": {"a": "b"}}})) == {"a": "b"}


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], "it has no pods"),
        (
            [pod(containerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff"}}}])],
            "a container waits: ImagePullBackOff",
        ),
        (
            [pod(initContainerStatuses=[{"state": {"waiting": {"reason": "A", "message": "b"}}}])],
            "a container waits: A (b)",
        ),
        (
            [
                pod(
                    containerStatuses=[
                        {
                            "ready": False,
                            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                        }
                    ]
                )
            ],
            "a container waits: CrashLoopBackOff; its last run ended with OOMKilled, exit code 137",
        ),
        (
            [
                pod(
                    phase="Pending",
                    conditions=[
                        {
                            "type": "PodScheduled",
                            "status": "False",
                            "reason": "Unschedulable",
                            "message": "0/3 nodes are available",
                        }
                    ],
                )
            ],
            "a pod has no node: Unschedulable (0/3 nodes are available)",
        ),
        ([pod(phase="Running", containerStatuses=[{"ready": False}])], "its pod runs and is not ready yet"),
        ([pod(phase="Pending")], "no reason is given"),
    ],
)
def test_why_a_deployment_is_not_ready_is_told_by_its_pods(pods: list[dict[str, Any]], expected: str) -> None:
    assert why_not(deployment(), pods, ()) == expected


def test_what_keeps_a_deployment_from_having_pods_is_told() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    fine = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    found = why_not(deployment(status={"conditions": [fine, refused]}), (), ())
    assert found == "it has no pods; FailedCreate (quota)"


def test_a_warning_about_its_replica_set_is_about_it() -> None:
    quota = event("exceeded quota", "2026-01-01", involvedObject={"kind": "ReplicaSet", "name": "d-5c8f"})
    assert "exceeded quota" in why_not(deployment(), (), [quota])


def test_the_last_warnings_about_it_are_told_oldest_first() -> None:
    events = [
        event("third", "2026-01-03"),
        event("first", "2026-01-01"),
        event("of others", "2026-01-09", involvedObject={"name": "data-1"}),
        event("no warning", "2026-01-09", type="Normal"),
        event("fourth", "2026-01-01", lastTimestamp="2026-01-04"),
        event("second", "2026-01-02", involvedObject={"name": "d"}),
    ]
    found = why_not(deployment(), [pod(phase="Pending")], events)
    assert found.endswith("Last events: Failed (second) | Failed (third) | Failed (fourth)")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), {}),
        (Limits(memory=5, cpu=0.25), {"memory": "5", "cpu": "250m"}),
        (Limits(memory=256 * 2**20, cpu=1.5), {"memory": "256Mi", "cpu": "1500m"}),
        (Limits(memory=10**9, cpu=2), {"memory": "1G", "cpu": "2"}),
        (Limits(cpu=0.0001), {"cpu": "1m"}),
        (Limits(processes=3, open_files=4, file_size=5), {}),
    ],
)
def test_only_limits_that_a_container_has_are_applied(limits: Limits, expected: dict[str, str]) -> None:
    assert quantities(limits) == expected


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (None, "proxy"),
        ({"kubectl.kubernetes.io/default-container": "main"}, "main"),
        ({"kubectl.kubernetes.io/default-container": "gone"}, "proxy"),
    ],
)
def test_limits_are_those_of_the_main_container(annotations: object, expected: str) -> None:
    template = {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "proxy"}, {"name": "main"}]},
    }
    found = fields("s", deployment({"template": template}), Limits(memory=5))
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container == {"name": expected, "resources": {"limits": {"memory": "5"}}}
    assert found["metadata"] == {
        "name": "d",
        "namespace": "n",
        "labels": {"tool-router/service": "s"},
        "annotations": {"tool-router/limits": '{"memory": "5"}'},
    }


def limited(note: str | None, **limits: str) -> dict[str, Any]:
    """A deployment with these limits, and what we noted of those we set."""
    container = {"name": "main", "resources": {"limits": limits} if limits else {}}
    found = deployment({"template": {"spec": {"containers": [container]}}})
    found["metadata"]["annotations"] = None if note is None else {"tool-router/limits": note}
    return found


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (limited(None), True),
        (limited(None, cpu="1"), True),
        (limited('{"memory": "1Gi"}', memory="1Gi"), True),
        (limited('{"memory": "1Gi"}'), True),
        (limited(None, memory="1Gi"), False),
        (limited('{"memory": "1Gi"}', memory="2Gi"), False),
        (limited('{"cpu": "1"}', cpu="2"), False),
        (limited("nonsense", memory="1Gi"), False),
        (limited("[1]", memory="1Gi"), False),
    ],
)
def test_limits_are_ours_to_change_as_long_as_they_are_as_we_left_them(
    found: dict[str, Any], ours: bool
) -> None:
    assert as_we_left_it(found, Limits(memory=5)) is ours


def test_what_we_set_and_want_no_more_is_removed_where_it_is_as_we_left_it() -> None:
    before = limited('{"cpu": "1", "memory": "1Gi"}', cpu="1", memory="1Gi")
    after = limited('{"memory": "1Gi"}', cpu="1", memory="1Gi")
    patch = left_over(before, after, Limits(memory=2**30))
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "main", "resources": {"limits": {"cpu": None}}}
    assert left_over(before, limited(None, memory="1Gi"), Limits(memory=2**30)) == {}
    assert left_over(before, limited(None, cpu="2"), Limits()) == {}


def test_our_label_tells_whose_fields_they_are() -> None:
    assert owned(deployment(labels={"tool-router/service": "s"}))
    assert not owned(deployment(labels=None))
