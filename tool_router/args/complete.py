"""Asks a chat model for required arguments that the text holds but no rule found, and checks each answer.

A model is trusted to find, never to know: what it gives must stand in the task or the context, or be one of
the values the schema itself names. Everything else is dropped and stays missing, so that it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import anyio

from tool_router.args.coerce import coerce
from tool_router.args.gaps import Gap, gaps_of, schema_of, with_value
from tool_router.args.grounding import Ground, grounded, texts_of
from tool_router.args.model import Draft, Source, Value
from tool_router.args.slots import slots_of
from tool_router.args.validate import violations
from tool_router.catalog.model import Tool
from tool_router.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a model gives for missing arguments.

    Attributes:
        values: by the name that was asked for; unchecked.
        model: its name.
        reason: why there are none; empty when it answered.
    """

    values: Mapping[str, Any]
    model: str = ""
    reason: str = ""


class ValueModel(Protocol):
    """Proposes values for missing arguments."""

    async def propose(
        self,
        tool: Tool,
        task: str,
        context: str,
        schema: Mapping[str, Any],
        known: Mapping[str, Any],
        budget_s: float,
    ) -> Proposal:
        """Values for the properties of a schema, within `budget_s` seconds; a failure is a reason."""
        ...


async def complete(
    draft: Draft,
    tool: Tool,
    task: str,
    context: str,
    model: ValueModel,
    budget_s: float,
    *,
    now: datetime | None = None,
) -> Draft:
    """Fill what a draft lacks with what a model finds in the text; the draft itself when that is nothing.

    Never fails because of the model and never takes longer than allowed, the checks aside, which take
    milliseconds.

    Args:
        draft: from `build`; what it holds is never changed.
        tool: the tool to call.
        task: what should be done.
        context: what else is known.
        model: proposes values.
        budget_s: seconds the model may take.
        now: the clock that "tomorrow" is read by, as in `build`.
    """
    gaps = gaps_of(draft, tool)
    if not gaps or budget_s <= 0 or not (task.strip() or context.strip()):
        return draft
    schema = schema_of(gaps, tool.input_schema)
    proposal = Proposal({})
    with anyio.move_on_after(budget_s):
        try:
            proposal = await model.propose(tool, task, context, schema, draft.arguments, budget_s)
        except ProviderError:
            return draft
    if not proposal.values:
        return draft
    texts = texts_of(task, context, now)
    for gap in gaps:
        if gap.name in proposal.values:
            draft = _filled(draft, gap, proposal, texts, tool)
    return draft


def _filled(draft: Draft, gap: Gap, proposal: Proposal, texts: Ground, tool: Tool) -> Draft:
    """The draft with one value more, where that value can be traced and satisfies the schema."""
    value = coerce(proposal.values[gap.name], gap.slot)
    evidence = grounded(value, gap.slot, texts)
    if evidence is None:
        return draft
    whole = with_value(draft, gap, value)
    arguments = {**draft.arguments, gap.parameter: whole}
    before = set(draft.invalid)
    broken, unusable = violations(arguments, tool.input_schema)
    if unusable or any(invalid not in before for invalid in broken):
        return draft
    filled = Value(whole, Source.MODEL, evidence, proposal.model)
    known = [slot.name for slot in slots_of(tool.input_schema)]
    values = {**draft.values, gap.parameter: filled}
    ordered = {name: values[name] for name in dict.fromkeys([*known, *values]) if name in values}
    missing = tuple(name for name in draft.missing if name != gap.name)
    return replace(draft, values=ordered, missing=missing)
