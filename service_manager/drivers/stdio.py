"""MCP over the standard streams of a process, as a transport for one client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import structlog
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter
from pydantic import ValidationError

from service_manager.drivers.lines import Lines


@asynccontextmanager
async def stdio_streams(
    name: str,
    stdin: anyio.abc.ByteSendStream,
    stdout: anyio.abc.ByteReceiveStream,
    writing: anyio.Lock,
) -> AsyncGenerator[TransportStreams]:
    """Exchange one JSON-RPC message on each line; the process keeps its streams when the block is left.

    Args:
        name: the service, for the log.
        stdin: what the process reads.
        stdout: what it writes; lines that are no message are passed over.
        writing: held while a line is on its way. Who freezes the process holds it too, so that no line is cut
            in two by that: a frozen process takes 60 KB and then lets its writer wait.
    """
    log = structlog.get_logger().bind(service=name)
    arrived, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, leaving = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with arrived:
            async for line in Lines(stdout):
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValidationError:
                    # Some servers greet on stdout; that is no reason to give them up.
                    log.debug("service_stdout_noise", line=line[:200])
                    continue
                await arrived.send(SessionMessage(message))

    async def write() -> None:
        async with leaving:
            async for message in leaving:
                data = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    async with writing:
                        await stdin.send(f"{data}\n".encode())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
        try:
            yield incoming, outgoing
        finally:
            tasks.cancel_scope.cancel()
            incoming.close()
            outgoing.close()
