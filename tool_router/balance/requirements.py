"""What a call asks of the target that takes it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tool_router.balance.target_state import TargetState


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the caller wishes. Targets that fall short are left out as long as another one is left.

    Attributes:
        max_latency_ms: the expected response time is at most this.
        min_quality: the quality is at least this, in [0, 1].
        min_reliability: the share of calls that succeed is at least this, in [0, 1].
        preferred: names of targets that are taken before others.
        urgency: how much speed counts beside the rest, from 0 to 1.

    Raises:
        ValueError: a number is out of its range.
    """

    max_latency_ms: float | None = None
    min_quality: float | None = None
    min_reliability: float | None = None
    preferred: frozenset[str] = frozenset()
    urgency: float = 0.0

    def __post_init__(self) -> None:
        if self.max_latency_ms is not None and not self.max_latency_ms > 0:
            raise ValueError("max_latency_ms must be above 0")
        shares = (self.min_quality, self.min_reliability, self.urgency)
        if not all(0 <= share <= 1 for share in shares if share is not None):
            raise ValueError("min_quality, min_reliability and urgency must be in [0, 1]")


NO_REQUIREMENTS = Requirements()


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call as strategies see it.

    Attributes:
        category: of the task; empty when it is not known.
        region: where the target had best be; empty is anywhere.
        model: the model that is asked for; empty is any.
        labels: a target without all of these never gets the call.
        requirements: what the caller wishes besides.
    """

    category: str = ""
    region: str = ""
    model: str = ""
    labels: frozenset[str] = frozenset()
    requirements: Requirements = NO_REQUIREMENTS


def has_labels(target: TargetState, request: CallRequest) -> bool:
    """Whether a target has every label that the request requires."""
    return request.labels <= target.spec.labels


def with_labels(targets: Sequence[TargetState], request: CallRequest) -> Sequence[TargetState]:
    """The targets that have every label that the request requires."""
    if not request.labels:
        return targets
    return [target for target in targets if has_labels(target, request)]
