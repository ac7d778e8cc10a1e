"""The composition root: settings in, a running router out, nothing global."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from tool_router.balance.breaker import BreakerSettings
from tool_router.balance.guard import GuardedGateway
from tool_router.cache.assembly import build_decision_cache, open_store
from tool_router.cache.decision import DecisionCache
from tool_router.cache.store import Store
from tool_router.catalog.describe import describe
from tool_router.catalog.keeper import CatalogKeeper
from tool_router.catalog.model import Catalog
from tool_router.config import Settings
from tool_router.errors import ConfigError
from tool_router.gateway.protocol import Gateway
from tool_router.router import Router
from tool_router.selector import Selector

if TYPE_CHECKING:
    from service_manager.manager import ServiceManager
    from tool_router.ai.assembly import Models
    from tool_router.ai.relevance import EmbedRelevance
    from tool_router.learning.recorder import Recorder
    from tool_router.learning.warming import Warmer


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything a running router consists of."""

    settings: Settings
    router: Router
    keeper: CatalogKeeper
    gateway: Gateway
    store: Store
    relevance: EmbedRelevance | None
    services: ServiceManager | None
    models: Models | None
    recorder: Recorder | None
    decisions: DecisionCache
    warmer: Warmer | None


DescriptionChanged = Callable[[str], None]


@asynccontextmanager
async def open_app(
    settings: Settings,
    environ: Mapping[str, str],
    on_description: DescriptionChanged = lambda description: None,
) -> AsyncGenerator[AppContext]:
    """Run a router until the block is left: connections, background refresh, services.

    Args:
        settings: what to run.
        environ: the environment that services and paths are read from.
        on_description: told the text of execute_task's description whenever the catalog changes it.

    Raises:
        ConfigError: services.yml or a token file is wrong.
    """
    # Before the task group, which would wrap what is wrong with the configuration in a group.
    gateway, services = build_gateway(settings, environ)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        breaker = settings.breaker
        guarded = GuardedGateway(
            gateway,
            BreakerSettings(
                failure_threshold=breaker.failure_threshold,
                open_s=breaker.open_s,
                half_open_permits=breaker.half_open_permits,
                success_threshold=breaker.success_threshold,
            ),
        )
        await stack.enter_async_context(guarded.open())
        store = await stack.enter_async_context(open_store(settings, environ))
        models = _relevance(settings, store, environ)
        relevance = models.relevance if models else None
        if models is not None:
            tasks.start_soon(models.run)

        recorder = _recorder(settings, store, guarded.key, environ)
        if recorder is not None:
            await stack.enter_async_context(recorder.running())

        def catalog_changed(catalog: Catalog) -> None:
            on_description(describe(catalog))
            if recorder is not None:
                recorder.catalog_changed(catalog)
            if relevance is not None:
                relevance.prepare(catalog)

        keeper = CatalogKeeper(
            guarded, store, refresh_s=settings.catalog.refresh_s, on_change=catalog_changed
        )
        await stack.enter_async_context(keeper.run())
        decisions = build_decision_cache(settings.cache, store)
        await stack.enter_async_context(decisions.running())
        selector = Selector(settings, relevance, models.judge if models else None, recorder, decisions)
        values = models.values if models else None
        warmer = None
        if recorder is not None and settings.learning.warming:
            warmer = _warmer(selector, keeper, settings.request.budget_s)
            tasks.start_soon(warmer.run, store, guarded.key)
        router = Router(settings, keeper, selector, guarded, recorder, values, warmer)
        yield AppContext(
            settings,
            router,
            keeper,
            guarded,
            store,
            relevance,
            services,
            models,
            recorder,
            decisions,
            warmer,
        )


def build_gateway(settings: Settings, environ: Mapping[str, str]) -> tuple[Gateway, ServiceManager | None]:
    """The gateway the settings name, and the service manager where it is the embedded one.

    Raises:
        ConfigError: services.yml or the token file is wrong.
    """
    gateway = settings.gateway
    match gateway.resolved_kind:
        case "contextforge":
            from tool_router.gateway.contextforge import ContextForgeGateway

            return ContextForgeGateway(gateway.url, token(settings), transport=gateway.transport), None
        case "mcp":
            from tool_router.gateway.mcp_endpoint import McpEndpointGateway

            if gateway.command:
                return McpEndpointGateway(command=gateway.command), None
            return McpEndpointGateway(url=gateway.url, token=token(settings)), None
        case "embedded":
            from tool_router.gateway.embedded import build_embedded

            embedded = build_embedded(settings.services.file, environ)
            return embedded, embedded.manager


def token(settings: Settings) -> str | None:
    """The gateway's bearer token, from the setting or its file; None when there is none.

    Raises:
        ConfigError: the token file can't be read.
    """
    gateway = settings.gateway
    if value := gateway.token.get_secret_value():
        return value
    if gateway.token_file is None:
        return None
    try:
        return gateway.token_file.expanduser().read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The token file {gateway.token_file} can't be read: {error}.", "Check gateway.token_file."
        ) from error


def _recorder(settings: Settings, store: Store, source: str, environ: Mapping[str, str]) -> Recorder | None:
    if not settings.learning.enabled:
        return None
    from tool_router.learning.affinity import AffinityIndex
    from tool_router.learning.recorder import Recorder
    from tool_router.telemetry.redaction import Redactor, secret_values

    index = AffinityIndex(half_life_s=settings.learning.half_life_days * 86_400)
    redact = Redactor(secret_values(environ)).text
    return Recorder(store, source, index=index, redact=redact, categories=settings.learning.categories)


def _warmer(selector: Selector, keeper: CatalogKeeper, budget_s: float) -> Warmer:
    from tool_router.learning.successors import Successors
    from tool_router.learning.warming import Warmer

    async def rank(task: str) -> None:
        await selector.rank(keeper.snapshot(), task, "", budget_s)

    return Warmer(rank, Successors())


def _relevance(settings: Settings, store: Store, environ: Mapping[str, str]) -> Models | None:
    if not (settings.relevance.enabled or settings.model_arguments.enabled):
        return None
    from tool_router.ai.assembly import build_models

    return build_models(settings, store, environ)
