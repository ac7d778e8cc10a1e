"""Settings of the router: frozen models, filled by `config_file`.

Every field has a default, so that no file is needed. Seconds end in ``_s``; probabilities lie in [0, 1].
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from tool_router.config_balance import (
    Amount,
    BalanceSettings,
    ReplicaSettings,
    RetrySettings,
    StrategyName,
    TargetSettings,
)
from tool_router.config_base import Probability, Seconds, Section, Share, check_url
from tool_router.policy import ConfirmScope

GatewayKind = Literal["auto", "embedded", "contextforge", "mcp"]


class GatewaySettings(Section):
    """Where tools are listed and called."""

    kind: GatewayKind = Field(
        default="auto",
        description="Which gateway: `embedded` runs services.yml, `contextforge` is IBM ContextForge, `mcp` "
        "is any MCP endpoint or stdio command. `auto` takes embedded without `url` and `command`, mcp with a "
        "`command` or a `url` that ends in /mcp, contextforge otherwise.",
    )
    url: str = Field(
        default="",
        description="Address of the gateway. The environment variable GATEWAY_URL fills it when empty.",
    )
    command: tuple[str, ...] = Field(
        default=(), description="The argv of a stdio MCP server, for kind `mcp`."
    )
    token: SecretStr = Field(
        default=SecretStr(""), description="Bearer token. GATEWAY_TOKEN fills it when empty; never logged."
    )
    token_file: Path | None = Field(
        default=None, description="A file that holds the bearer token, instead of `token`."
    )
    transport: Literal["rpc", "mcp"] = Field(
        default="rpc",
        description="How ContextForge is called: by JSON-RPC, or by its MCP endpoint (relays progress).",
    )
    sessions: int = Field(
        default=4,
        ge=0,
        description="Sessions with each service that ContextForge keeps for this router, over `rpc`: calls "
        "that share one are several times faster. 0 has it open a new one for each call.",
    )
    target: TargetSettings = Field(
        default=TargetSettings(),
        description="What the balancer knows of `url` itself: `name`, `weight`, `region`, `labels`, "
        "`capacity`, `price`, `quality`.",
    )
    replicas: tuple[ReplicaSettings, ...] = Field(
        default=(),
        description="Other heads of the same gateway. Each has `url`, and what `target` has.",
    )

    @property
    def resolved_kind(self) -> Literal["embedded", "contextforge", "mcp"]:
        """The kind that is meant when `kind` is auto."""
        if self.kind != "auto":
            return self.kind
        if self.command or self.url.rstrip("/").endswith("/mcp"):
            return "mcp"
        return "contextforge" if self.url else "embedded"

    @model_validator(mode="after")
    def _address_fits_kind(self) -> GatewaySettings:
        kind = self.resolved_kind
        if kind == "contextforge" and not self.url:
            raise ValueError("kind contextforge needs `url` (or the environment variable GATEWAY_URL)")
        if kind == "mcp" and bool(self.url) == bool(self.command):
            raise ValueError("kind mcp needs either `url` or `command`")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("`url` must start with http:// or https://")
        if self.replicas and not self.url:
            raise ValueError("`replicas` stand beside a `url`")
        return self


class CatalogSettings(Section):
    """How the catalog is kept current."""

    refresh_s: Seconds = Field(
        default=60.0, description="Time between two readings of the gateway's catalog."
    )


class ServicesSettings(Section):
    """The services of the embedded gateway."""

    file: Path | None = Field(
        default=None,
        description="services.yml; without it TOOL_ROUTER_SERVICES, your own or the shipped one is used.",
    )
    daemon: Literal["auto", "shared", "off"] = Field(
        default="auto",
        description="Who runs them: `auto` takes the daemon of this services.yml where one runs, else the "
        "router itself; `shared` starts one on demand, for all routers together; `off` never uses one. A "
        "daemon started on demand ends when it was unused for TOOL_ROUTER_DAEMON_IDLE, else for `10m`.",
    )


class SelectionSettings(Section):
    """How tools are ranked."""

    relevance_weight: Share = Field(default=0.7, description="Share of relevance in the blended score.")
    keyword_weight: Share = Field(default=0.3, description="Share of the keyword score in the blended score.")
    shortlist: int = Field(default=10, ge=1, le=100, description="How many candidates a ranking keeps.")


class ProviderSettings(Section):
    """A host of models: Ollama, or an endpoint that speaks OpenAI's protocol, with the user's own key."""

    kind: Literal["ollama", "openai", "anthropic", "gemini", "xai", "compatible"] = Field(
        default="ollama",
        description="`ollama`, a vendor whose address is known, or `compatible`, which needs `url`.",
    )
    url: str = Field(default="", description="Address; for an OpenAI-compatible endpoint up to and with /v1.")
    model: str = Field(default="", description="The embedding model.")
    chat_model: str = Field(default="", description="The chat model.")
    key_env: str = Field(default="", description="The environment variable that holds the key; never logged.")
    key_file: Path | None = Field(
        default=None, description="A file that holds the key, instead of `key_env`."
    )
    name: str = Field(default="", description="What commands and logs call it; its kind or address if empty.")
    weight: Annotated[float, Field(gt=0)] = Field(default=1.0, description="How much it bears beside others.")
    region: str = Field(default="", description="Where it is.")
    capacity: int = Field(
        default=0, ge=0, description="Calls it takes at once, for each of both uses; 0 is no bound."
    )
    price: Amount = Field(default=0.0, description="What one call costs, in one unit for all providers.")
    quality: Share = Field(default=0.5, description="How good its answers are.")

    @model_validator(mode="after")
    def _fits_kind(self) -> ProviderSettings:
        if self.kind == "compatible" and not self.url:
            raise ValueError("kind compatible needs `url`")
        if self.kind not in ("ollama", "compatible") and not (self.key_env or self.key_file):
            raise ValueError(f"kind {self.kind} needs `key_env` or `key_file`")
        if self.key_env and self.key_file:
            raise ValueError("either `key_env` or `key_file`, not both")
        if self.kind != "ollama" and self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("`url` must start with http:// or https://")
        return self


class RelevanceSettings(Section):
    """Relevance by models; without any the keyword score stands alone."""

    enabled: bool = Field(
        default=True, description="Whether relevance is asked for at all, by embeddings or by a judge."
    )
    embed: bool = Field(
        default=True, description="Whether embeddings are used; without them a judge sees the best by words."
    )
    host: str = Field(
        default="", description="Address of Ollama. OLLAMA_HOST fills it when empty, then 127.0.0.1:11434."
    )
    model: str = Field(
        default="", description="The embedding model; empty takes the best one that is pulled."
    )
    chat_model: str = Field(
        default="",
        description="The model that judges and reads arguments; empty takes the largest pulled one that is "
        "fast enough on this machine.",
    )
    timeout_s: Seconds = Field(default=0.5, description="Longest a request waits for the task's embedding.")
    providers: tuple[ProviderSettings, ...] = Field(
        default=(),
        description="Several hosts in order of preference, in place of `host`, `model` and `chat_model`. "
        "Each has `kind` (`ollama`, `openai`, `anthropic`, `gemini`, `xai`, `compatible`), `url`, `model` "
        "(embeds), `chat_model`, and `key_env` or `key_file`, which name where the key is; for `strategy` "
        "also `name`, `weight`, `region`, `capacity`, `price`, `quality`. An `ollama` entry without `url` "
        "takes `host`.",
    )
    strategy: Literal["preference", StrategyName] = Field(
        default="preference",
        description="How a provider is chosen among several: `preference` asks the first that works; any "
        "strategy of `balance.strategy` shares calls out among those that work. Vectors of a model only come "
        "from providers that have that very model.",
    )


class JudgeSettings(Section):
    """The judge: a chat model looks at the shortlist when the scores are close."""

    enabled: bool = Field(default=True, description="Whether a chat model may judge.")
    timeout_s: Seconds = Field(default=4.0, description="Longest a request waits for a judgement.")
    margin: Share = Field(
        default=0.15,
        description="The judge is asked when the second score is within this share of the first.",
    )


class ModelArgumentsSettings(Section):
    """Arguments that the text holds but no rule found: a chat model may point to them, never invent them."""

    enabled: bool = Field(default=True, description="Whether a chat model is asked for missing arguments.")
    timeout_s: Seconds = Field(default=10.0, description="Longest a request waits for its answer.")


class LearningSettings(Section):
    """Learning from what became of earlier calls; everything stays in the store."""

    enabled: bool = Field(
        default=True, description="Whether outcomes are recorded and lift or lower tools for similar tasks."
    )
    half_life_days: Annotated[float, Field(gt=0)] = Field(
        default=30.0, description="After this time an outcome counts half."
    )
    affinity: bool = Field(
        default=True, description="Whether they do; without it outcomes are only recorded."
    )
    categories: bool = Field(
        default=True, description="Whether an outcome counts less for a task of another category."
    )
    warming: bool = Field(
        default=True, description="Whether the tasks most likely to follow are ranked ahead in idle time."
    )


class PolicySettings(Section):
    """When a tool is executed, and when it is asked about. Probabilities of being right, but `no_match`."""

    read: Probability = Field(default=0.8, description="Execute a reading tool from this confidence on.")
    write: Probability = Field(default=0.85, description="Execute a writing tool from this confidence on.")
    destructive: Probability = Field(
        default=0.9, description="Offer a destructive tool for confirmation from here on."
    )
    no_match: Probability = Field(
        default=0.5, description="From this probability that no tool fits on, none is thought to."
    )
    confirm: ConfirmScope = Field(
        default=ConfirmScope.DESTRUCTIVE,
        description="Which effects a person confirms before a task text alone may run them: "
        "`destructive`, `writes` (both), or `never`.",
    )
    candidates_shown: int = Field(
        default=5, ge=1, le=20, description="How many candidates an unsure answer shows."
    )


class RequestSettings(Section):
    """The time of one request."""

    budget_s: Seconds = Field(
        default=50.0,
        description="The whole time of one execute_task; below the 60 s at which many clients give up.",
    )


class BreakerSettings(Section):
    """The circuit breakers of targets, services and tools."""

    failure_threshold: int = Field(default=5, ge=1, description="Consecutive failures that open a breaker.")
    open_s: Seconds = Field(
        default=30.0, description="How long an open breaker rests before it admits probes."
    )
    half_open_permits: int = Field(default=1, ge=1, description="How many probes may be under way at once.")
    success_threshold: int = Field(default=1, ge=1, description="Successful probes that close it again.")


class StoreSettings(Section):
    """What keeps catalogs, vectors, outcomes and decisions between runs: an SQLite file, or PostgreSQL."""

    path: Path | None = Field(
        default=None, description="The file; without it a place in the user's state directory."
    )
    url: SecretStr = Field(
        default=SecretStr(""),
        description="A PostgreSQL database that routers share, in place of the file: "
        "`postgresql://user@host/name`. Never logged.",
    )

    @model_validator(mode="after")
    def _is_postgres(self) -> StoreSettings:
        check_url("url", self.url, "postgresql", "postgres")
        return self


class CacheSettings(Section):
    """The decision cache: what was ranked once is not ranked again while nothing it depends on changes."""

    memory_s: Annotated[float, Field(ge=0)] = Field(
        default=300.0, description="How long a decision is kept in memory; 0 keeps none there."
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="A Redis in which routers share decisions: `redis://host:6379/0`, `rediss://` or "
        "`unix://`; empty uses none. Never logged.",
    )
    redis_s: Seconds = Field(default=900.0, description="How long a decision is kept in Redis.")
    persistent: bool = Field(default=True, description="Whether decisions are kept in the store as well.")

    @model_validator(mode="after")
    def _is_redis(self) -> CacheSettings:
        check_url("redis_url", self.redis_url, "redis", "rediss", "unix")
        return self


class LogSettings(Section):
    """Logs, always on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is written."
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto",
        description="`console` for people, `json` for machines; `auto` asks whether stderr is a terminal.",
    )


class Settings(Section):
    """Everything router.yml may say."""

    gateway: GatewaySettings = GatewaySettings()
    catalog: CatalogSettings = CatalogSettings()
    services: ServicesSettings = ServicesSettings()
    selection: SelectionSettings = SelectionSettings()
    relevance: RelevanceSettings = RelevanceSettings()
    judge: JudgeSettings = JudgeSettings()
    model_arguments: ModelArgumentsSettings = ModelArgumentsSettings()
    learning: LearningSettings = LearningSettings()
    policy: PolicySettings = PolicySettings()
    request: RequestSettings = RequestSettings()
    breaker: BreakerSettings = BreakerSettings()
    balance: BalanceSettings = BalanceSettings()
    retry: RetrySettings = RetrySettings()
    store: StoreSettings = StoreSettings()
    cache: CacheSettings = CacheSettings()
    log: LogSettings = LogSettings()
