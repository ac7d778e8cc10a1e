"""What the settings make of relevance: providers, the rungs that use them, and their background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from tool_router.ai.judge import Judge
from tool_router.ai.key import KeySource
from tool_router.ai.lane import ProviderTarget
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.openai import OpenAIProvider
from tool_router.ai.pool import Balancing, ProviderPool
from tool_router.ai.provider import RelevanceProvider
from tool_router.ai.relevance import EmbedRelevance
from tool_router.ai.values import ChatValues
from tool_router.ai.vendors import BASE_URLS
from tool_router.ai.warm_chat import WarmChat
from tool_router.balance.assembly import strategy_settings
from tool_router.balance.ramp import RampSettings
from tool_router.balance.target_state import TargetSpec
from tool_router.cache.store import Store
from tool_router.config import ProviderSettings, Settings


@dataclass(frozen=True, slots=True)
class Models:
    """Everything that asks a model.

    Attributes:
        provider: the hosts, as one.
        relevance: the embed rung; None where relevance is turned off.
        judge: the judge rung; None where it or relevance is turned off.
        values: proposes missing arguments; None where that is turned off.
        chat: the model behind the last two; None where both are turned off.
    """

    provider: RelevanceProvider
    relevance: EmbedRelevance | None
    judge: Judge | None
    values: ChatValues | None
    chat: WarmChat | None

    def targets(self) -> Sequence[ProviderTarget]:
        """The hosts, each in each use, as the balancer sees them; empty where there is only one."""
        return self.provider.targets() if isinstance(self.provider, ProviderPool) else ()

    async def run(self) -> None:
        """Compute vectors, keep models warm and mend failures in the background until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                if self.relevance is not None:
                    tasks.start_soon(self.relevance.run)
                if self.chat is not None:
                    tasks.start_soon(self.chat.run)
        finally:
            with anyio.CancelScope(shield=True):
                await self.provider.aclose()


def build_models(settings: Settings, store: Store, environ: Mapping[str, str]) -> Models | None:
    """Put together what the settings ask for; None when they ask for no model at all.

    Nothing is sent before `Models.run`.

    Args:
        settings: which providers, and what is turned off.
        store: keeps the vectors of tools.
        environ: where keys are read from.
    """
    embedding = settings.relevance.enabled and settings.relevance.embed
    judging = settings.relevance.enabled and settings.judge.enabled
    completing = settings.model_arguments.enabled
    if not (embedding or judging or completing):
        return None
    provider = build_provider(settings, environ)
    chat = WarmChat(provider) if judging or completing else None
    return Models(
        provider,
        EmbedRelevance(provider, store, query_timeout_s=settings.relevance.timeout_s) if embedding else None,
        Judge(chat, limit_s=settings.judge.timeout_s) if chat and judging else None,
        ChatValues(chat, limit_s=settings.model_arguments.timeout_s) if chat and completing else None,
        chat,
    )


def build_provider(settings: Settings, environ: Mapping[str, str]) -> RelevanceProvider:
    """The providers of the settings, as one; without a list of them the one Ollama host."""
    relevance = settings.relevance
    listed = relevance.providers or (
        ProviderSettings(url=relevance.host, model=relevance.model, chat_model=relevance.chat_model),
    )
    providers = [_provider(entry, settings, environ) for entry in listed]
    if len(providers) == 1 and not listed[0].capacity:
        return providers[0]
    specs = [_spec(entry, provider) for entry, provider in zip(listed, providers, strict=True)]
    return ProviderPool(providers, specs, _balancing(settings))


def _balancing(settings: Settings) -> Balancing:
    balance = settings.balance
    return Balancing(
        settings.relevance.strategy,
        strategy_settings(balance),
        RampSettings(balance.ramp_floor, balance.ramp_s),
        balance.region,
    )


def _spec(entry: ProviderSettings, provider: RelevanceProvider) -> TargetSpec:
    return TargetSpec(
        entry.name or provider.name,
        entry.weight,
        entry.region,
        capacity=entry.capacity,
        price=entry.price,
        quality=entry.quality,
    )


def _provider(entry: ProviderSettings, settings: Settings, environ: Mapping[str, str]) -> RelevanceProvider:
    if entry.kind == "ollama":
        return OllamaProvider(
            entry.url or settings.relevance.host,
            entry.model,
            entry.chat_model,
            embed_limit_s=settings.relevance.timeout_s,
            chat_limit_s=settings.judge.timeout_s,
        )
    return OpenAIProvider(
        entry.kind,
        entry.url or BASE_URLS[entry.kind],
        entry.model,
        entry.chat_model,
        KeySource(entry.key_env, entry.key_file),
        environ,
    )
