"""The judge rung: a chat model says which tool of a shortlist fits. Its failures end here, as reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import structlog

from tool_router.ai.judge_answer import Judgement, judgement, read_scores
from tool_router.ai.judge_prompt import Ballot, ballot
from tool_router.ai.warm_chat import WarmChat
from tool_router.catalog.model import Tool
from tool_router.errors import ProviderError


class Judge:
    """Judges shortlists with a chat model.

    Args:
        chat: the model; its `run` is run by whoever owns it.
        limit_s: the longest a judgement may take.
    """

    def __init__(self, chat: WarmChat, *, limit_s: float) -> None:
        self._chat = chat
        self._limit_s = limit_s
        self._without_logprobs = ""
        self._log = structlog.get_logger()

    @property
    def model_key(self) -> str:
        """Names the model that judges; empty while there is none."""
        return self._chat.model.key if self._chat.model is not None else ""

    @property
    def reason(self) -> str:
        """Why nothing can be judged now; empty when it can."""
        return self._chat.reason

    async def settled(self) -> str:
        """Wait until the model was loaded or could not be; return the `reason`."""
        return await self._chat.settled()

    async def judge(self, task: str, context: str, tools: Sequence[Tool], budget_s: float) -> Judgement:
        """Say how probable it is that each tool is the right one; never fails, never exceeds its time.

        Args:
            task: what should be done.
            context: what else is known.
            tools: the shortlist; those after the first `judge_prompt.MOST_TOOLS` get probability 0.
            budget_s: seconds this may take; the judge's own limit bounds it further.

        Returns:
            a judgement whose `probabilities` are None, with the reason, when there is none.
        """
        if not tools:
            return Judgement(None, reason="there is nothing to judge")
        limit_s = min(budget_s, self._limit_s)
        if limit_s <= 0:
            return Judgement(None, reason="no time was left to judge")
        deadline = anyio.current_time() + limit_s
        asked = ballot(task, context, tools)
        try:
            by_label = await self._voted(asked, deadline, blame=budget_s >= self._limit_s)
        except ProviderError as error:
            if error.reason != "not_ready":
                self._log.info("no_judgement", reason=error.reason, detail=str(error))
            return Judgement(None, reason=str(error))
        return judgement(asked, by_label, len(tools))

    async def _voted(self, asked: Ballot, deadline: float, *, blame: bool) -> Mapping[str, float]:
        """A probability of each letter: by log probabilities, by JSON scores where the model has none.

        Raises:
            ProviderError: there is no usable answer.
        """
        model = self._chat.model
        key = model.key if model else ""
        if not key or key != self._without_logprobs:
            try:
                left_s = deadline - anyio.current_time()
                return await self._chat.choose(asked.prompt, asked.labels, left_s, blame=blame)
            except ProviderError as error:
                if error.reason != "unsupported":
                    raise
                self._without_logprobs = key
        left_s = deadline - anyio.current_time()
        answer = await self._chat.complete(asked.scores_prompt, asked.schema, left_s, blame=blame)
        return read_scores(asked, answer)
