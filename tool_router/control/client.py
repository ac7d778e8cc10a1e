"""Asks every router that runs with the same state directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from tool_router.control.place import is_private, sockets_dir
from tool_router.errors import ControlError

LIMIT_S = 5.0
MOST_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What one router answered.

    Attributes:
        pid: its process.
        value: its answer; None where it refused.
        error: why it refused, and what to do; empty where it did not.
    """

    pid: int
    value: Mapping[str, Any] | None
    error: str = ""


async def ask_routers(environ: Mapping[str, str], command: str, **arguments: Any) -> list[Reply]:
    """Send a command to every running router; those that are gone are passed over.

    Raises:
        ControlError: none runs.
    """
    replies: list[Reply] = []

    async def ask(path: Path) -> None:
        reply = await _ask(path, {"command": command, "arguments": arguments})
        if reply is not None:
            replies.append(reply)

    directory = sockets_dir(environ)
    sockets = sorted(directory.glob("*.sock")) if directory.is_dir() and is_private(directory) else []
    async with anyio.create_task_group() as tasks:
        for path in sockets:
            if path.stem.isdecimal():
                tasks.start_soon(ask, path)
    if not replies:
        raise ControlError(
            "No router runs here.", "Start one (a client that uses it does), with the same TOOL_ROUTER_HOME."
        )
    return sorted(replies, key=lambda reply: reply.pid)


async def _ask(path: Path, message: Mapping[str, Any]) -> Reply | None:
    pid = int(path.stem)
    try:
        with anyio.fail_after(LIMIT_S):
            async with await anyio.connect_unix(path) as stream:
                await stream.send(json.dumps(message).encode() + b"\n")
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", MOST_BYTES)
        answer = json.loads(line)
    except ConnectionRefusedError:
        # Its process was killed and could not clean up.
        await anyio.Path(path).unlink(missing_ok=True)
        return None
    except TimeoutError:
        return Reply(pid, None, f"It did not answer within {LIMIT_S:g} s.")
    except (OSError, anyio.IncompleteRead, anyio.BrokenResourceError):
        return None
    except ValueError as error:
        return Reply(pid, None, f"It answered something else than JSON: {error}.")
    if "error" in answer:
        return Reply(pid, None, f"{answer['error']} {answer.get('next_step', '')}".strip())
    return Reply(pid, answer.get("value"))
