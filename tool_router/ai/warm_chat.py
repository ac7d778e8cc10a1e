"""A chat model that is chosen and loaded in the background, so that no request waits for it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import anyio
import structlog

from tool_router.ai.provider import ChatModel, Prompt, RelevanceProvider
from tool_router.ai.trouble import FIRST_REST_S, LONGEST_REST_S, Trouble
from tool_router.errors import ProviderError

WARM_LIMIT_S = 120.0
"""How long loading a model may take: several gigabytes from a slow disk."""

KEPT_S = 25 * 60.0
"""A host keeps a loaded model for thirty minutes after its last use; after this time it is loaded anew
before it is asked."""

SLOW_REST_S = 30.0
LONGEST_SLOW_REST_S = 600.0
"""The first and the longest rest of a model that was too slow: a try after it costs a request its limit."""

_OF_THE_ANSWER = frozenset({"unsupported", "malformed"})
"""Reasons that speak against one answer, not against the host."""

T = TypeVar("T")


class WarmChat:
    """Asks one chat model, only while it is loaded, and never longer than allowed.

    Args:
        provider: has the model.
        clock: monotonic seconds.
        jitter: a random number in [0, 1).
    """

    def __init__(
        self,
        provider: RelevanceProvider,
        *,
        clock: Callable[[], float] = anyio.current_time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._provider = provider
        self._clock = clock
        self._trouble = Trouble(clock, jitter)
        self._model: ChatModel | None = None
        self._ready = False
        self._used_at = 0.0
        self._wanted = anyio.Event()
        self._wanted.set()
        self._tried = anyio.Event()
        self._log = structlog.get_logger()

    @property
    def model(self) -> ChatModel | None:
        """The model that is used; None until one was found."""
        return self._model

    @property
    def reason(self) -> str:
        """Why no chat model can be asked now; empty when one can."""
        if self._ready and not self._may_be_cold():
            return ""
        if not self._ready and self._trouble.reason:
            return self._trouble.reason
        return f"{self._model} is still loading" if self._model else "no chat model was found yet"

    async def settled(self) -> str:
        """Wait until `run` has warmed the model, or has failed at it; return the `reason`."""
        await self._tried.wait()
        return self.reason

    async def run(self) -> None:
        """Find and load the model, and again whenever it failed or may have been dropped, until cancelled."""
        while True:
            await self._wanted.wait()
            await anyio.sleep(self._trouble.rest_s)
            self._wanted = anyio.Event()
            await self._warm()
            if not self._wanted.is_set():
                self._tried.set()

    async def choose(
        self, prompt: Prompt, labels: Sequence[str], limit_s: float, *, blame: bool = True
    ) -> Mapping[str, float]:
        """The probability of each label, as `RelevanceProvider.choose`, within a time.

        Args:
            prompt: what is asked.
            labels: what may be answered.
            limit_s: the longest this may take.
            blame: whether a timeout speaks against the model; False when it had less time than it may need.

        Raises:
            ProviderError: there is no answer: ``not_ready``, ``timeout``, or a reason of the provider.
        """
        return await self._asked(lambda model: self._provider.choose(prompt, labels, model), limit_s, blame)

    async def complete(
        self, prompt: Prompt, schema: Mapping[str, Any], limit_s: float, *, blame: bool = True
    ) -> Any:
        """JSON for a schema, as `RelevanceProvider.complete`, within a time.

        Args:
            prompt: what is asked.
            schema: what the answer should satisfy.
            limit_s: the longest this may take.
            blame: as in `choose`.

        Raises:
            ProviderError: there is no answer: ``not_ready``, ``timeout``, or a reason of the provider.
        """
        return await self._asked(lambda model: self._provider.complete(prompt, schema, model), limit_s, blame)

    async def _asked(self, ask: Callable[[ChatModel], Awaitable[T]], limit_s: float, blame: bool) -> T:
        if reason := self.reason:
            if self._may_be_cold():
                self._want()
            raise ProviderError("not_ready", reason)
        model = self._model
        assert model is not None  # what `reason` has just checked
        with anyio.move_on_after(limit_s):
            try:
                answer = await ask(model)
            except ProviderError as error:
                if error.reason not in _OF_THE_ANSWER:
                    self._note(error)
                    self._want()
                raise
            self._used_at = self._clock()
            self._trouble.mended()
            return answer
        late = ProviderError("timeout", f"{model} did not answer within {round(limit_s, 2):g} s.")
        if blame:
            self._note(late, SLOW_REST_S, LONGEST_SLOW_REST_S)
            self._want()
        raise late

    async def _warm(self) -> None:
        try:
            with anyio.fail_after(WARM_LIMIT_S):
                self._model = await self._provider.chat_model()
                await self._provider.warm(self._model)
        except ProviderError as error:
            self._failed(error)
        except TimeoutError:
            self._failed(ProviderError("timeout", f"No chat model was loaded within {WARM_LIMIT_S:g} s."))
        else:
            # What went wrong before is forgotten only when a request was answered in time.
            self._ready, self._used_at = True, self._clock()
            self._log.info("chat_model_ready", model=self._model.name)

    def _failed(self, error: ProviderError) -> None:
        if error.reason == "model_missing":
            self._model = None
        self._note(error)
        self._tried.set()
        self._wanted.set()

    def _may_be_cold(self) -> bool:
        model = self._model
        return model is not None and model.loads and self._clock() - self._used_at > KEPT_S

    def _want(self) -> None:
        """Have `run` find and load the model; until then nothing is asked of it."""
        self._ready = False
        if self._tried.is_set():
            self._tried = anyio.Event()
        self._wanted.set()

    def _note(
        self, error: ProviderError, first_s: float = FIRST_REST_S, longest_s: float = LONGEST_REST_S
    ) -> None:
        if self._trouble.failed(error, first_rest_s=first_s, longest_rest_s=longest_s):
            self._log.info("chat_model_unavailable", reason=error.reason, detail=str(error))
