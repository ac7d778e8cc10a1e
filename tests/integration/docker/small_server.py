"""An MCP server of the standard library alone, small enough for an image that tests put together.

usage: small_server.py [--port PORT] [--bind HOST] [--deaf]

Over stdio, or with a port over Streamable HTTP. Prints one line on stderr when it is about to serve.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

kept: list[bytes] = []
notes: list[str] = []

TOOLS = ("echo", "note", "eat", "touch", "shout", "open_files", "fork", "write", "die", "env", "spin")


def call(name: str, value: Any) -> str:
    """Do what a tool is for."""
    if name == "echo":
        return str(value)
    match name:
        case "note":
            notes.append(str(value))
            return " ".join(notes)
        case "eat":
            # Not all the same, or zram would hold it for nothing.
            kept.append(os.urandom(1 << 20) * int(value))
            return f"{len(kept[-1])} bytes"
        case "touch":
            return str(sum(len(part) >> 20 for part in kept if sum(part[::4096]) >= 0))
        case "shout":
            line = "x" * 1023 + "\n"
            for _ in range(int(value)):
                sys.stderr.write(line)
            return "hoarse"
        case "open_files":
            return str(_opened(int(value)))
        case "fork":
            return str(_until_refused(_child, int(value)))
        case "write":
            return str(_written(int(value)))
        case "die":
            sys.stderr.write("the end is near\n")
            sys.stderr.flush()
            os._exit(int(value))
        case "env":
            return os.environ.get(str(value), "")
        case _:
            return str(sum(range(int(value))))


def _until_refused(take: Any, most: int) -> int:
    for done in range(most):
        try:
            take()
        except OSError:
            return done
    return most


def _opened(most: int) -> int:
    taken: list[int] = []
    count = _until_refused(lambda: taken.append(os.open("/", os.O_RDONLY)), most)
    for file in taken:
        os.close(file)
    return count


def _child() -> None:
    if os.fork() == 0:
        signal.pause()


def _written(size: int) -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    done = 0
    with open("/tmp/file", "wb", buffering=0) as file:  # noqa: PTH123 - few modules, small image
        while done < size:
            try:
                done += file.write(b"x" * 4096)
            except OSError:
                break
    return done


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to a message; None where there is none to give."""
    if "id" not in message or "method" not in message:
        return None
    params = message.get("params", {})
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    match message["method"]:
        case "initialize":
            result: dict[str, Any] = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "small", "version": "1"},
            }
        case "ping":
            result = {}
        case "tools/list":
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
        case "tools/call":
            text = call(params["name"], params.get("arguments", {}).get("value"))
            result = {"content": [{"type": "text", "text": text}]}
        case _:
            return {**reply, "error": {"code": -32601, "message": "Method not found"}}
    return {**reply, "result": result}


class Handler(BaseHTTPRequestHandler):
    """Answers each message by JSON; opens no streams."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one message."""
        reply = answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        body = b"" if reply is None else json.dumps(reply).encode()
        self.send_response(200 if body else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Refuse to open a stream."""
        self.send_error(405)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        """Say nothing."""


def end(number: int, frame: object) -> None:
    """End at once."""
    os._exit(0)


def main() -> None:
    """Serve as the arguments say."""
    options = sys.argv[1:]
    # The first process of a container is not ended by a signal it has no handler for.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "--deaf" in options else end)
    sys.stderr.write("small server\n")
    sys.stderr.flush()
    if "--port" in options:
        port = int(options[options.index("--port") + 1])
        host = options[options.index("--bind") + 1] if "--bind" in options else "127.0.0.1"
        # Answers to one client at a time, whose connection stays open otherwise.
        Handler.protocol_version = "HTTP/1.0"
        HTTPServer((host, port), Handler).serve_forever()
    for line in sys.stdin.buffer:
        reply = answer(json.loads(line))
        if reply is not None:
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
    if "--deaf" in options:
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
