"""Several providers as one: the preferred one that works answers, and the next where it fails."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import anyio
import structlog

from tool_router.ai.provider import ChatModel, EmbeddingModel, Prompt, RelevanceProvider, Vectors
from tool_router.ai.trouble import Trouble
from tool_router.errors import ProviderError

DISCOVERY_LIMIT_S = 10.0
"""How long the background waits for one provider to say which model it has."""

LEAST_BLAMED_S = 0.05
"""A provider that was given less time than this is not blamed for not having answered."""


class _Model(Protocol):
    @property
    def key(self) -> str: ...


M = TypeVar("M", bound=_Model)
T = TypeVar("T")


@dataclass(slots=True)
class _Member(Generic[M]):
    """A provider in one use.

    Attributes:
        model: what it uses; None until it was asked, and while it has none.
    """

    provider: RelevanceProvider
    trouble: Trouble
    model: M | None = None


class _Lane(Generic[M]):
    """The providers in one use, in order of preference."""

    def __init__(self, use: str, members: Sequence[_Member[M]]) -> None:
        self._use = use
        self._members = members
        self._log = structlog.get_logger()

    async def discover(self, ask: Callable[[RelevanceProvider], Awaitable[M]]) -> M:
        """Ask every provider for its model; return that of the first that works.

        Raises:
            ProviderError: none has one; the reason is that of the first.
        """
        failures: dict[int, ProviderError] = {}

        async def one(place: int, member: _Member[M]) -> None:
            try:
                with anyio.fail_after(DISCOVERY_LIMIT_S):
                    member.model = await ask(member.provider)
            except ProviderError as error:
                failures[place] = error
            except TimeoutError:
                late = f"{member.provider.name} did not answer within {DISCOVERY_LIMIT_S:g} s."
                failures[place] = ProviderError("timeout", late)
            if place in failures:
                member.model = None
                self._note(member, failures[place])

        async with anyio.create_task_group() as tasks:
            for place, member in enumerate(self._members):
                tasks.start_soon(one, place, member)
        for member in self._usable(lambda model: True):
            assert member.model is not None  # what `_usable` gives
            return member.model
        said = "; ".join(
            f"{self._members[place].provider.name}: {failures[place]}" for place in sorted(failures)
        )
        raise ProviderError(failures[0].reason, said if len(failures) > 1 else str(failures[0]))

    async def ask(self, fits: Callable[[M], bool], call: Callable[[RelevanceProvider, M], Awaitable[T]]) -> T:
        """Let the first fitting provider answer, and the next where it fails; all within the caller's time.

        The time that is left is shared: with two providers the first may take half of it.

        Raises:
            ProviderError: all failed; it is the last one's error.
        """
        members = self._usable(fits)
        last = ProviderError("model_missing", f"No provider has that {self._use} model now.")
        for place, member in enumerate(members):
            assert member.model is not None  # what `_usable` gives
            others = len(members) - place - 1
            share_s = self._share_s(others)
            with anyio.move_on_after(share_s):
                try:
                    answer = await call(member.provider, member.model)
                except ProviderError as error:
                    if error.reason == "unsupported":
                        # To lack an ability is no failure; the caller asks for something else then.
                        raise
                    last = error
                    self._note(member, error)
                    continue
                if member.trouble.mended():
                    self._log.info("provider_recovered", provider=member.provider.name, use=self._use)
                return answer
            last = ProviderError("timeout", f"{member.provider.name} did not answer within {share_s:.3g} s.")
            if share_s >= LEAST_BLAMED_S:
                self._note(member, last)
        raise last

    def _usable(self, fits: Callable[[M], bool]) -> list[_Member[M]]:
        """Who has a fitting model, without those that rest, unless all of them do."""
        fitting = [member for member in self._members if member.model is not None and fits(member.model)]
        return [member for member in fitting if member.trouble.rest_s <= 0] or fitting

    @staticmethod
    def _share_s(others: int) -> float:
        if not others:
            return math.inf
        return max(0.0, anyio.current_effective_deadline() - anyio.current_time()) / (others + 1)

    def _note(self, member: _Member[M], error: ProviderError) -> None:
        if member.trouble.failed(error):
            self._log.warning(
                "provider_failed",
                provider=member.provider.name,
                use=self._use,
                reason=error.reason,
                detail=str(error),
            )


class ProviderPool:
    """A `RelevanceProvider` of several, in order of preference.

    Vectors of a model only come from providers that have that very model, by its key; chat models stand in
    for each other.

    Args:
        providers: at least one, the preferred one first.
        clock: monotonic seconds.
        jitter: a random number in [0, 1).
    """

    def __init__(
        self,
        providers: Sequence[RelevanceProvider],
        *,
        clock: Callable[[], float] = anyio.current_time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._providers = tuple(providers)
        self._embedding = _Lane[EmbeddingModel](
            "embedding", [_Member(provider, Trouble(clock, jitter)) for provider in providers]
        )
        self._chat = _Lane[ChatModel](
            "chat", [_Member(provider, Trouble(clock, jitter)) for provider in providers]
        )

    @property
    def providers(self) -> tuple[RelevanceProvider, ...]:
        """The providers, the preferred one first."""
        return self._providers

    @property
    def name(self) -> str:
        """The names of all."""
        return ", ".join(provider.name for provider in self._providers)

    async def embedding_model(self) -> EmbeddingModel:
        """The model of the first provider that works.

        Raises:
            ProviderError: no provider has one.
        """
        return await self._embedding.discover(lambda provider: provider.embedding_model())

    async def embed(self, texts: Sequence[str], model: EmbeddingModel) -> Vectors:
        """One vector for each text, from whoever has this very model.

        Raises:
            ProviderError: nobody has it, or all who do failed.
        """
        return await self._embedding.ask(
            lambda has: has.key == model.key, lambda provider, has: provider.embed(texts, has)
        )

    async def chat_model(self) -> ChatModel:
        """The chat model of the first provider that works.

        Raises:
            ProviderError: no provider has one.
        """
        return await self._chat.discover(lambda provider: provider.chat_model())

    async def warm(self, model: ChatModel) -> None:
        """Have the model loaded where it is.

        Raises:
            ProviderError: it can't be loaded.
        """
        await self._chat.ask(lambda has: has.key == model.key, lambda provider, has: provider.warm(has))

    async def choose(self, prompt: Prompt, labels: Sequence[str], model: ChatModel) -> Mapping[str, float]:
        """The probability of each label, from the first provider that works.

        Raises:
            ProviderError: all failed.
        """
        return await self._chat.ask(
            lambda has: True, lambda provider, has: provider.choose(prompt, labels, has)
        )

    async def complete(self, prompt: Prompt, schema: Mapping[str, Any], model: ChatModel) -> Any:
        """JSON for a schema, from the first provider that works.

        Raises:
            ProviderError: all failed.
        """
        return await self._chat.ask(
            lambda has: True, lambda provider, has: provider.complete(prompt, schema, has)
        )

    async def aclose(self) -> None:
        """Close the connections of all."""
        for provider in self._providers:
            await provider.aclose()
