"""Several providers as one.

Each use, embedding and chat, has a pool of the balancer with windows, calls under way and capacities of its
own: a host that is quick to embed may be slow to chat.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tool_router.ai.lane import PREFERENCE, Host, Lane, ProviderTarget, any_model
from tool_router.ai.provider import ChatModel, EmbeddingModel, Prompt, RelevanceProvider, Vectors
from tool_router.ai.trouble import Trouble
from tool_router.balance.pool import Pool
from tool_router.balance.ramp import RampSettings
from tool_router.balance.requirements import CallRequest
from tool_router.balance.selecting import Selecting
from tool_router.balance.strategies.settings import StrategySettings
from tool_router.balance.target_state import TargetSpec

__all__ = ["PREFERENCE", "Balancing", "ProviderPool", "ProviderTarget"]

REQUEST_TEXTS = 3
"""Texts that one request embeds at most. A call with more is the background's: its time grows with the number
of its texts and says nothing about a request's, so windows leave it out."""


@dataclass(frozen=True, slots=True)
class Balancing:
    """How a provider is chosen among several.

    Attributes:
        strategy: `PREFERENCE`, or one of the balancer's `STRATEGIES`.
        settings: what these go by.
        ramp: how a provider that failed gets its share back; by preference it has all of it at once.
        region: where this router is, for `geo`.
    """

    strategy: str = PREFERENCE
    settings: StrategySettings = field(default_factory=StrategySettings)
    ramp: RampSettings = field(default_factory=RampSettings)
    region: str = ""


class ProviderPool:
    """A `RelevanceProvider` of several.

    Vectors of a model only come from providers that have that very model, by its key; chat models stand in
    for each other. Which model that is, the first provider that works decides; the strategy chooses among
    those that have it.

    Args:
        providers: at least one, the preferred one first.
        specs: what strategies know of each, in the same order; without it their names alone.
        balancing: how one is chosen.
        clock: monotonic seconds.
        jitter: a random number in [0, 1), for rests.
        draw: a random number in [0, 1), for strategies.
    """

    def __init__(
        self,
        providers: Sequence[RelevanceProvider],
        specs: Sequence[TargetSpec] = (),
        balancing: Balancing | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        draw: Callable[[], float] = random.random,
    ) -> None:
        balancing = balancing or Balancing()
        self._providers = tuple(providers)
        self._balancing = balancing
        specs = _named_apart(specs or [TargetSpec(provider.name) for provider in providers])

        def pool() -> Pool[Host[Any]]:
            # Calls that wait are requests, each with its own time: they need no other bound.
            made = Pool[Host[Any]](
                _selecting(balancing, draw), clock=clock, queue_limit=sys.maxsize, ramp=_ramp(balancing)
            )
            for spec, provider in zip(specs, providers, strict=True):
                made.add(spec, Host(provider, Trouble(clock, jitter)))
            return made

        self._embedding = Lane[EmbeddingModel]("embedding", pool(), balancing.strategy)
        self._chat = Lane[ChatModel]("chat", pool(), balancing.strategy)

    @property
    def providers(self) -> tuple[RelevanceProvider, ...]:
        """The providers, the preferred one first."""
        return self._providers

    @property
    def name(self) -> str:
        """The names of all."""
        return ", ".join(provider.name for provider in self._providers)

    @property
    def strategy(self) -> str:
        """By which strategy a provider is chosen."""
        return self._balancing.strategy

    def targets(self) -> Sequence[ProviderTarget]:
        """Every provider in every use, as it is now."""
        return [*self._embedding.targets(), *self._chat.targets()]

    async def embedding_model(self) -> EmbeddingModel:
        """The model of the first provider that works.

        Raises:
            ProviderError: no provider has one.
        """
        return await self._embedding.discover(lambda provider: provider.embedding_model())

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        """One vector for each text, from a provider that has this very model.

        Raises:
            ProviderError: nobody has it, or all who do failed.
        """
        return await self._embedding.ask(
            self._request("embed", model),
            lambda has: has.key == model.key,
            lambda provider, has: provider.embed(texts, has),
            timed=len(texts) <= REQUEST_TEXTS,
        )

    async def chat_model(self) -> ChatModel:
        """The chat model of the first provider that works.

        Raises:
            ProviderError: no provider has one.
        """
        return await self._chat.discover(lambda provider: provider.chat_model())

    async def warm(self, model: ChatModel) -> None:
        """Have the model loaded where it is; by any strategy but preference, every provider's chat model.

        Raises:
            ProviderError: nothing can be loaded.
        """
        if self.strategy != PREFERENCE:
            # Requests will come to each of them.
            await self._chat.ask_each(lambda provider, has: provider.warm(has))
            return
        await self._chat.ask(
            self._request("warm", model),
            lambda has: has.key == model.key,
            lambda provider, has: provider.warm(has),
            timed=False,
        )

    async def choose(self, prompt: Prompt, labels: Sequence[str], model: ChatModel) -> Mapping[str, float]:
        """The probability of each label, from a provider that works.

        Raises:
            ProviderError: all failed.
        """
        return await self._chat.ask(
            self._request("choose", model),
            any_model,
            lambda provider, has: provider.choose(prompt, labels, has),
        )

    async def complete(self, prompt: Prompt, schema: Mapping[str, Any], model: ChatModel) -> Any:
        """JSON for a schema, from a provider that works.

        Raises:
            ProviderError: all failed.
        """
        return await self._chat.ask(
            self._request("complete", model),
            any_model,
            lambda provider, has: provider.complete(prompt, schema, has),
        )

    async def aclose(self) -> None:
        """Close the connections of all."""
        for provider in self._providers:
            await provider.aclose()

    def _request(self, kind: str, model: EmbeddingModel | ChatModel) -> CallRequest:
        """A call as strategies see it; its kind is its category: a choice is one token, a completion many."""
        return CallRequest(kind, self._balancing.region, model.key)


def _selecting(balancing: Balancing, draw: Callable[[], float]) -> Selecting:
    # By preference each call names the provider it wants, and any strategy heeds that.
    strategy = "least_loaded" if balancing.strategy == PREFERENCE else balancing.strategy
    return Selecting(strategy, None, balancing.settings, draw)


def _ramp(balancing: Balancing) -> RampSettings:
    # Whoever comes first gets every call again as soon as it has rested: that is what the order says.
    return RampSettings(floor=1.0, duration_s=0.0) if balancing.strategy == PREFERENCE else balancing.ramp


def _named_apart(specs: Sequence[TargetSpec]) -> Sequence[TargetSpec]:
    """The same, those with the name of an earlier one numbered: a vendor may be listed with two models."""
    named: dict[str, TargetSpec] = {}
    for spec in specs:
        name, number = spec.name, 1
        while name in named:
            number += 1
            name = f"{spec.name} ({number})"
        named[name] = replace(spec, name=name)
    return tuple(named.values())
