"""The composition root: settings in, a running router out, nothing global."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tool_router.balance.assembly import build_balanced, build_sharing, discovered_heads
from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.ratings import Ratings
from tool_router.balance.wishes import Wishes
from tool_router.cache.assembly import build_decision_cache, open_store
from tool_router.cache.decision import DecisionCache
from tool_router.cache.store import Store
from tool_router.catalog.describe import describe
from tool_router.catalog.keeper import CatalogKeeper
from tool_router.catalog.model import Catalog
from tool_router.config import Settings
from tool_router.gateway.assembly import Heads
from tool_router.gateway.session_seed import session_seed
from tool_router.location import sessions_dir
from tool_router.router import Router
from tool_router.selector import Selector
from tool_router.tasks import plain_task_group

if TYPE_CHECKING:
    from tool_router.ai.assembly import Models
    from tool_router.ai.relevance import EmbedRelevance
    from tool_router.gateway.services import Services
    from tool_router.learning.recorder import Recorder
    from tool_router.learning.warming import Warmer


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything a running router consists of."""

    settings: Settings
    router: Router
    keeper: CatalogKeeper
    heads: Heads
    gateway: BalancedGateway
    store: Store
    relevance: EmbedRelevance | None
    services: Services | None
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
    async with AsyncExitStack() as stack:
        over_http = bool(settings.gateway.url)
        heads = Heads(stack.enter_context(session_seed(sessions_dir(environ))) if over_http else b"")
        gateway, embedded = heads.first(settings, environ)
        services = embedded.services if embedded is not None else None
        tasks = await stack.enter_async_context(plain_task_group(nested=True))
        stack.callback(tasks.cancel_scope.cancel)
        balanced = build_balanced(settings, gateway, heads.at)
        await stack.enter_async_context(balanced.open())
        discovered = discovered_heads(settings, balanced, heads.at)
        if discovered is not None:
            tasks.start_soon(discovered.run)
        sharing = build_sharing(settings, balanced)
        if sharing is not None:
            tasks.start_soon(sharing.run)
        store = await stack.enter_async_context(open_store(settings, environ))
        models = _relevance(settings, store, environ)
        relevance = models.relevance if models else None
        if models is not None:
            tasks.start_soon(models.run)

        ratings = Ratings(balanced.pool)
        recorder = _recorder(settings, store, balanced.key, environ, ratings)
        if recorder is not None:
            await stack.enter_async_context(recorder.running())

        def catalog_changed(catalog: Catalog) -> None:
            on_description(describe(catalog))
            if recorder is not None:
                recorder.catalog_changed(catalog)
            if relevance is not None:
                relevance.prepare(catalog)

        keeper = CatalogKeeper(
            balanced, store, refresh_s=settings.catalog.refresh_s, on_change=catalog_changed
        )
        await stack.enter_async_context(keeper.run())
        if embedded is not None:
            await stack.enter_async_context(embedded.watching(keeper.refresh))
        decisions = build_decision_cache(settings.cache, store)
        await stack.enter_async_context(decisions.running())
        selector = Selector(settings, relevance, models.judge if models else None, recorder, decisions)
        values = models.values if models else None
        warmer = None
        if recorder is not None and settings.learning.warming:
            warmer = _warmer(selector, keeper, settings.request.budget_s)
            tasks.start_soon(warmer.run, store, balanced.key)
        router = Router(
            settings,
            keeper,
            selector,
            balanced,
            recorder,
            values,
            warmer,
            wishes=Wishes(settings.balance),
            ratings=ratings,
            expect=None if services is None else services.expect,
        )
        yield AppContext(
            settings,
            router,
            keeper,
            heads,
            balanced,
            store,
            relevance,
            services,
            models,
            recorder,
            decisions,
            warmer,
        )


def _recorder(
    settings: Settings, store: Store, source: str, environ: Mapping[str, str], ratings: Ratings
) -> Recorder | None:
    if not settings.learning.enabled:
        return None
    from tool_router.learning.affinity import AffinityIndex
    from tool_router.learning.recorder import Recorder
    from tool_router.telemetry.redaction import Redactor, secret_values

    index = AffinityIndex(half_life_s=settings.learning.half_life_days * 86_400)
    redact = Redactor(secret_values(environ)).text
    return Recorder(
        store,
        source,
        index=index,
        redact=redact,
        categories=settings.learning.categories,
        on_verdict=ratings.judged,
    )


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
