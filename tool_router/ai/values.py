"""A chat model as the source of arguments that no rule found. Its failures end here, as reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import structlog

from tool_router.ai.values_prompt import values_prompt
from tool_router.ai.warm_chat import WarmChat
from tool_router.args.complete import Proposal
from tool_router.catalog.model import Tool
from tool_router.errors import ProviderError


class ChatValues:
    """A `args.complete.ValueModel` on a chat model.

    Args:
        chat: the model; its `run` is run by whoever owns it.
        limit_s: the longest an answer may take.
    """

    def __init__(self, chat: WarmChat, *, limit_s: float) -> None:
        self._chat = chat
        self._limit_s = limit_s
        self._log = structlog.get_logger()

    @property
    def reason(self) -> str:
        """Why no value can be proposed now; empty when one can."""
        return self._chat.reason

    async def settled(self) -> str:
        """Wait until the model was loaded or could not be; return the `reason`."""
        return await self._chat.settled()

    async def propose(
        self,
        tool: Tool,
        task: str,
        context: str,
        schema: Mapping[str, Any],
        known: Mapping[str, Any],
        budget_s: float,
    ) -> Proposal:
        """Values for the properties of a schema; never fails, never exceeds its time."""
        model = str(self._chat.model or "")
        limit_s = min(budget_s, self._limit_s)
        if limit_s <= 0:
            return Proposal({}, model, "no time was left to ask for arguments")
        prompt = values_prompt(tool, task, context, schema, known)
        try:
            answer = await self._chat.complete(prompt, schema, limit_s, blame=budget_s >= self._limit_s)
        except ProviderError as error:
            if error.reason != "not_ready":
                self._log.info("no_arguments_proposed", reason=error.reason, detail=str(error))
            return Proposal({}, model, str(error))
        if not isinstance(answer, dict):
            return Proposal({}, model, f"{model} did not answer with a JSON object")
        return Proposal(cast("dict[str, Any]", answer), model)
