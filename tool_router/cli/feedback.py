"""`tool-router feedback` says whether an earlier choice was right, for the next similar task."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import anyio
import typer

from tool_router.cache.assembly import open_store
from tool_router.cli.run import FAILED, WRONG_USE, AsJson, Config, fail, print_json, settings_or_exit
from tool_router.config import Settings
from tool_router.errors import StoreError, ToolRouterError
from tool_router.learning.outcome import Outcome, Verdict
from tool_router.learning.recorder import OutcomeStore
from tool_router.location import gateway_key

LATEST = 1_000


class Opinion(StrEnum):
    """What a person may say of a choice."""

    GOOD = "good"
    BAD = "bad"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("feedback")(feedback)


def feedback(
    opinion: Annotated[Opinion, typer.Argument(help="Whether the tool was the right one.")],
    decision: Annotated[
        str | None,
        typer.Argument(help="The id in `_meta` of the answer; the latest call without it.", metavar="[ID]"),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say that a call used the right or the wrong tool; similar tasks are then ranked accordingly."""
    settings = settings_or_exit(config)
    try:
        found = anyio.run(_judge, settings, opinion, decision)
    except StoreError as error:
        raise fail(error, FAILED) from error
    if found is None:
        what = f"There is no call {decision}" if decision else "There is no call yet"
        raise fail(
            ToolRouterError(f"{what} of this gateway.", "The id stands in `_meta` of execute_task's answer."),
            WRONG_USE,
        )
    if as_json:
        print_json({"id": found.id, "task": found.task, "tool": found.tool_id, "verdict": opinion.value})
    else:
        typer.echo(f"{opinion.value}: {found.tool_id} for {found.task!r} ({found.id})")


async def _judge(settings: Settings, opinion: Opinion, decision: str | None) -> Outcome | None:
    async with open_store(settings, os.environ) as store:
        return await judge(store, gateway_key(settings, os.environ), Verdict(opinion.value), decision)


async def judge(store: OutcomeStore, source: str, verdict: Verdict, decision: str | None) -> Outcome | None:
    """Judge the outcome with this id, or the latest one; None when there is none.

    Raises:
        StoreError: the store failed.
    """
    outcomes = await store.outcomes(source, LATEST)
    found = next((o for o in outcomes if decision in (None, o.id)), None)
    if found is not None:
        await store.judge_outcome(found.id, verdict)
    return found
