"""Answers commands while a router runs: a line of JSON in, a line of JSON out, over a local socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import structlog
from anyio.streams.buffered import BufferedByteReceiveStream

from tool_router.control.commands import Commands
from tool_router.control.place import is_private
from tool_router.errors import ControlError

MOST_BYTES = 65_536
"""No command is longer."""


async def serve_commands(commands: Commands, path: Path) -> None:
    """Answer commands until cancelled; a router that can't have a socket runs without.

    Args:
        commands: what is answered.
        path: the socket; made, and removed at the end.
    """
    log = structlog.get_logger()
    try:
        await anyio.Path(path.parent).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(path.parent):
            log.warning("no_control_socket", path=str(path), reason="other users may enter its directory")
            return
        # What a process of the same number left behind.
        await anyio.Path(path).unlink(missing_ok=True)
        listener = await anyio.create_unix_listener(path, mode=0o600)
    except (OSError, NotImplementedError, AttributeError) as error:
        log.info("no_control_socket", path=str(path), reason=str(error))
        return

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.IncompleteRead, anyio.DelimiterNotFound, OSError):
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", MOST_BYTES)
                await stream.send(json.dumps(_answer(commands, line), default=str).encode() + b"\n")

    try:
        async with listener:
            await listener.serve(handle)
    finally:
        with anyio.CancelScope(shield=True), suppress(OSError):
            await anyio.Path(path).unlink(missing_ok=True)


def _answer(commands: Commands, line: bytes) -> Mapping[str, Any]:
    try:
        asked = json.loads(line)
        return {"value": commands.run(str(asked["command"]), asked.get("arguments") or {})}
    except ControlError as error:
        return {"error": error.tried, "next_step": error.next_step}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return {"error": f"That is no command: {error}.", "next_step": ""}
