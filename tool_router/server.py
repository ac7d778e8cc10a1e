"""The MCP surface: one tool, `execute_task`, over stdio by default.

`mcp dev tool_router/server.py` and `mcp run` import this file by path and take the global `mcp`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

import anyio
from mcp.server import NotificationOptions
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, ElicitationResult, Resolve
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import ToolsListChanged
from mcp.types import CallToolResult, Tool
from pydantic import BaseModel, Field

from tool_router import __version__
from tool_router.lazy_app import AppRequest, LazyApp
from tool_router.plan import Plan, Request
from tool_router.policy import Confirm
from tool_router.results import consent_question

INSTRUCTIONS = (
    "Give execute_task a task in plain words; it finds the right tool among all connected servers, fills its "
    "arguments and calls it. When it is not sure it shows candidates instead: call it again with `tool`, and "
    "`arguments` where asked for."
)


class RouterServer(MCPServer[LazyApp]):
    """An MCPServer whose tool description follows the catalog, in both protocol eras."""

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._sessions: weakref.WeakSet[ServerSession] = weakref.WeakSet()
        self._app: LazyApp | None = None
        super().__init__(
            "tool-router",
            version=__version__,
            instructions=INSTRUCTIONS,
            lifespan=self._lifespan,
            subscriptions=self._bus,
            middleware=[self._observe],
            log_level="WARNING",
        )

    async def list_tools(self) -> list[Tool]:
        """The one tool, described from the catalog as far as it is known."""
        tools = await super().list_tools()
        if self._app is None:
            return tools
        description = self._app.description
        return [tool.model_copy(update={"description": description}) for tool in tools]

    async def run_stdio_async(self) -> None:
        """Serve one client over stdio and tell it that the tool list may change."""
        async with stdio_server() as (read_stream, write_stream):
            options = self._lowlevel_server.create_initialization_options(
                NotificationOptions(tools_changed=True)
            )
            await self._lowlevel_server.run(read_stream, write_stream, options)

    @asynccontextmanager
    async def _lifespan(self, server: MCPServer[LazyApp]) -> AsyncGenerator[LazyApp]:
        async with anyio.create_task_group() as tasks:
            self._app = app = LazyApp(os.environ, self._tools_changed)
            tasks.start_soon(app.run)
            yield app
            tasks.cancel_scope.cancel()

    async def _tools_changed(self) -> None:
        """Tell every client that the description changed: by stream (2026-07-28) and by notification."""
        await self._bus.publish(ToolsListChanged())
        for session in tuple(self._sessions):
            try:
                await session.send_tool_list_changed()
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                self._sessions.discard(session)

    async def _observe(self, ctx: ServerRequestContext[LazyApp], call_next: CallNext) -> HandlerResult:
        """Remember who gets notifications, and start the router once the client has its first answer."""
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized":
            self._sessions.add(ctx.session)
        if ctx.method not in ("initialize", "server/discover"):
            ctx.lifespan_context.start()
        return result


class Consent(BaseModel):
    """What a person answers before a call that needs their agreement."""

    run: bool = Field(True, title="Run it", description="Whether the call may be made.")


async def plan_task(
    task: str, context: str, tool: str | None, arguments: dict[str, Any] | None, ctx: AppRequest
) -> Plan:
    """Find the tool and its arguments and decide; nothing is called yet."""
    app = await ctx.request_context.lifespan_context.get()
    return await app.router.plan(Request.clean(task, context, tool, arguments))


async def ask_person(
    plan: Annotated[Plan, Resolve(plan_task)], ctx: AppRequest
) -> Consent | Elicit[Consent] | None:
    """Ask the person about a call that needs agreement; None when there is no need or nobody to ask."""
    decision = plan.decision
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if not isinstance(decision, Confirm) or elicitation is None:
        return None
    if elicitation.form is None and elicitation.url is not None:
        return None
    return Elicit(consent_question(decision), Consent)


mcp = RouterServer()


@mcp.tool(structured_output=False)
async def execute_task(
    task: Annotated[str, Field(description="What to do, in plain words, with every value it needs.")],
    plan: Annotated[Plan, Resolve(plan_task)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask_person)],
    ctx: AppRequest,
    context: Annotated[
        str,
        Field(description="What else is known and may hold values: earlier results, the file at hand, ..."),
    ] = "",
    tool: Annotated[
        str | None,
        Field(description="Exact name of a tool, to skip the search: as shown in an earlier answer."),
    ] = None,
    arguments: Annotated[
        dict[str, Any] | None, Field(description="Arguments of that tool, or those that must not be guessed.")
    ] = None,
) -> CallToolResult:
    """Find the right tool for a task among all connected servers, fill its arguments and call it."""
    app = await ctx.request_context.lifespan_context.get()
    # An accepted outcome without data is the resolver's own None: nobody was asked.
    answer = cast("Consent | None", consent.data) if consent.action == "accept" else Consent(run=False)
    agreed = answer.run if answer is not None else None
    return await app.router.execute(plan, ctx.report_progress, agreed=agreed)


if __name__ == "__main__":
    mcp.run()
