"""Settings of the balancer: its targets, how one is chosen, and what calls wish of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from tool_router.config_base import Seconds, Section, Share, check_url

StrategyName = Literal[
    "round_robin",
    "weighted",
    "random",
    "least_loaded",
    "power_of_two",
    "performance",
    "affinity",
    "geo",
    "model",
    "hybrid",
    "adaptive",
]
Amount = Annotated[float, Field(ge=0)]


class TargetSettings(Section):
    """What the balancer knows of a target before it was called."""

    name: str = Field(default="", description="What commands and logs call it; its address when empty.")
    weight: Annotated[float, Field(gt=0)] = Field(default=1.0, description="How much it bears beside others.")
    region: str = Field(default="", description="Where it is.")
    labels: frozenset[str] = Field(default=frozenset(), description="What a call may require of it.")
    capacity: int | None = Field(
        default=None,
        ge=0,
        description="Calls it takes at once; 0 is no bound. Empty takes balance.connections.",
    )
    price: Amount = Field(default=0.0, description="What one call costs, in one unit for all targets.")
    quality: Share = Field(default=0.5, description="How good its answers are before there is feedback.")


class ReplicaSettings(TargetSettings):
    """Another head of the same gateway: it lists and calls the same tools, with the same token."""

    url: str = Field(description="Its address.")

    @model_validator(mode="after")
    def _is_address(self) -> ReplicaSettings:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("`url` must start with http:// or https://")
        return self


class WishSettings(Section):
    """What calls of a tool wish of their target. What falls short is left out while others are left."""

    max_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="The expected response time is at most this."
    )
    min_quality: Share | None = Field(default=None, description="The quality is at least this.")
    min_reliability: Share | None = Field(
        default=None, description="The share of calls that succeed is at least this."
    )
    preferred: frozenset[str] = Field(
        default=frozenset(), description="Names of targets that are taken before others."
    )
    urgency: Share = Field(default=0.0, description="How much speed counts beside the rest.")
    region: str = Field(default="", description="Where the target had best be; empty takes balance.region.")
    labels: frozenset[str] = Field(
        default=frozenset(), description="A target without all of these never gets the call."
    )


class BalanceSettings(Section):
    """How a target is chosen among several heads of the gateway."""

    strategy: StrategyName = Field(
        default="hybrid",
        description="How a target is chosen: `round_robin`, `weighted`, `random`, `least_loaded`, "
        "`power_of_two`, `performance`, `affinity` (by category of task), `geo`, `model`, `hybrid`, "
        "`adaptive`.",
    )
    shadow: StrategyName | None = Field(
        default=None,
        description="A second strategy that only reports what it would have done; see `targets list --json`.",
    )
    region: str = Field(default="", description="Where this router is, for `geo`.")
    connections: int = Field(
        default=10, ge=1, description="Calls of one host at once, each over a connection of its own."
    )
    queue_limit: int = Field(
        default=1000, ge=0, description="Calls that may wait while every target is full; 0 lets none wait."
    )
    health_s: Amount = Field(
        default=15.0,
        description="Time between two health checks of a target, where there are several; 0 makes none.",
    )
    ramp_s: Amount = Field(
        default=30.0, description="How long a target that comes back takes to get its share of calls back."
    )
    ramp_floor: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="The share with which it starts."
    )
    discover: str = Field(
        default="",
        pattern=r"^(host|_[^.]+\._[^.]+\..+)?$",
        description="Heads that DNS names: `host` makes every address of the host of `gateway.url` a head of "
        "its own, the name of an SRV record, such as `_mcp._tcp.example.com`, the hosts that it lists.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="A Redis in which routers share calls under way, breakers and performance: "
        "`redis://host:6379/0`; empty shares nothing. Never logged.",
    )
    tools: dict[str, WishSettings] = Field(
        default_factory=dict[str, WishSettings],
        description="What calls of a tool wish of their target, by the tool's id or by `server::*`. Keys: "
        "`max_latency_ms`, `min_quality`, `min_reliability`, `preferred`, `urgency`, `region`, `labels`.",
    )
    explore: Share = Field(
        default=0.02,
        description="Share of calls that try targets which did badly, so that they are found again.",
    )
    learning_rate: Share = Field(
        default=0.1,
        description="How far one lesson moves a weight of the `adaptive` strategy; 0 learns nothing.",
    )
    threshold: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.2, description="How much better a factor must foretell than others for a lesson."
    )

    @model_validator(mode="after")
    def _is_redis(self) -> BalanceSettings:
        check_url("redis_url", self.redis_url, "redis", "rediss", "unix")
        return self


class RetrySettings(Section):
    """How failed calls are repeated: only where that is safe."""

    attempts: int = Field(default=3, ge=1, le=10, description="Calls made at most for one request.")
    base_s: Seconds = Field(default=0.1, description="Upper bound of the first pause; it doubles.")
    budget: Share = Field(default=0.1, description="Retries allowed for each call made.")
    never: frozenset[str] = Field(
        default=frozenset(), description="Ids of tools that are never repeated, whatever they say."
    )
