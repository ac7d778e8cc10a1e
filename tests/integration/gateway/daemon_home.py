"""Gateways over a daemon of a home of their own, and what tests ask of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from mcp.types import CallToolResult, TextContent

from service_manager.daemon.address import Address
from service_manager.daemon.client import DaemonClient, find_daemon
from tests.integration.daemon.home import LIMIT_S, Home, running
from tool_router.catalog.model import Tool
from tool_router.gateway.daemon_services import DaemonServices
from tool_router.gateway.embedded import DaemonUse, EmbeddedGateway, build_embedded
from tool_router.gateway.protocol import no_progress


async def address_of(home: Home) -> Address:
    address = await find_daemon(home.file, home.environ)
    assert address is not None
    return address


@asynccontextmanager
async def served(home: Home) -> AsyncGenerator[tuple[DaemonServices, DaemonClient]]:
    address = await address_of(home)
    services = DaemonServices(address)
    async with services.open(), DaemonClient(address) as daemon:
        yield services, daemon


@asynccontextmanager
async def gateway(home: Home, use: DaemonUse, **more: str) -> AsyncGenerator[EmbeddedGateway]:
    embedded = build_embedded(home.file, {**home.environ, **more}, use)
    async with embedded.open():
        yield embedded


def tool(name: str, service: str = "raw", **schema: Any) -> Tool:
    return Tool(
        f"{service}::{name}", name, service, call_name=name, input_schema={"type": "object", **schema}
    )


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def seen(services: DaemonServices) -> dict[str, Any]:
    return json.loads(text(await services.call(tool("seen"), {}, no_progress)))


async def pid_of(embedded: EmbeddedGateway) -> int:
    return json.loads(text(await embedded.call(tool("seen"), {}, no_progress)))["pid"]


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(LIMIT_S):
        while not true():
            await anyio.lowlevel.checkpoint()


def gone(pid: int) -> bool:
    """Whether a process has ended with all of its threads: the last one closes its sockets."""
    try:
        return not running(pid) and len(list(Path(f"/proc/{pid}/task").iterdir())) < 2
    except (FileNotFoundError, ProcessLookupError):
        return True


async def killed(address: Address) -> None:
    os.kill(address.pid, signal.SIGKILL)
    await until(lambda: gone(address.pid))
