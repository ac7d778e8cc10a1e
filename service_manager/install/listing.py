"""Start a service once and write down the tools it lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
from mcp import MCPError
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import Tool

from service_manager.errors import ServiceStartFailed
from service_manager.install.process import log_tail
from service_manager.model import Command, LockedTool

MAX_PAGES = 1_000
"""A paginator that goes on longer never ends."""

NEUTRAL = {"TZ": "UTC", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
"""What a listing is made under: some servers write the machine's time zone or language into their
descriptions, and a lock is read on other machines."""


async def list_tools(name: str, command: Command, log: Path, timeout_s: float) -> tuple[LockedTool, ...]:
    """Start a service over stdio, list its tools, all pages of them, and stop it.

    Args:
        name: how the service is called in messages.
        command: what to run; its `env` is added to what every child inherits and to `NEUTRAL`.
        log: a file that gets the service's stderr.
        timeout_s: for start and listing together.

    Raises:
        ServiceStartFailed: it did not start, did not answer in time, or answered with an error.
    """
    program, *args = command.argv
    env = {**NEUTRAL, **command.env}
    parameters = StdioServerParameters(command=program, args=args, env=env, cwd=command.cwd)
    try:
        with log.open("w", encoding="utf-8") as stderr, anyio.fail_after(timeout_s):
            async with Client(stdio_client(parameters, errlog=stderr)) as client:
                return await _all_pages(client)
    except (MCPError, OSError, ValueError, ExceptionGroup) as error:
        tail = log_tail(log)
        what = f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else _cause(error)
        raise ServiceStartFailed(
            f"{name} did not list its tools: {what}.", tail, stderr_tail=tail.splitlines()
        ) from error


async def _all_pages(client: Client) -> tuple[LockedTool, ...]:
    tools: list[LockedTool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools.extend(_locked(tool) for tool in page.tools)
        cursor = page.next_cursor
        if not cursor:
            return tuple(tools)
    raise ValueError(f"its list of tools has more than {MAX_PAGES} pages")


def _locked(tool: Tool) -> LockedTool:
    annotations: Mapping[str, Any] = (
        tool.annotations.model_dump(mode="json", by_alias=True, exclude_none=True) if tool.annotations else {}
    )
    return LockedTool(
        name=tool.name,
        title=tool.title or "",
        description=tool.description or "",
        input_schema=tool.input_schema,
        annotations=annotations,
    )


def _cause(error: Exception) -> str:
    """The first plain error inside groups, in words."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
