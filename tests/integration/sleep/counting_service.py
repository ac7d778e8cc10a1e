"""An MCP server that counts, without an SDK, so that it starts fast; run as a child process by tests.

`count` counts and tells the number, `leave` starts a process that is nobody's child and tells its pid, `die`
ends with exit code 3.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

ABOUT: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "serverInfo": {"name": "counting", "version": "1"},
    "capabilities": {"tools": {}},
}


def main() -> None:
    """Answer one message a line until the input ends."""
    count = 0
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        found: dict[str, Any] = {"result": {}}
        match message["method"]:
            case "initialize":
                found = {"result": ABOUT}
            case "tools/list":
                found = {"result": {"tools": [{"name": "count", "inputSchema": {"type": "object"}}]}}
            case "tools/call":
                count += message["params"]["name"] == "count"
                text = str(leave() if message["params"]["name"] == "leave" else count)
                if message["params"]["name"] == "die":
                    os.write(2, b"the disk is on fire\n")
                    os._exit(3)
                found = {"result": {"content": [{"type": "text", "text": text}]}}
            case "ping":
                pass
            case _:
                found = {"error": {"code": -32601, "message": "Method not found"}}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **found}) + "\n")
        sys.stdout.flush()


def leave() -> int:
    """Start a process below one that ends; it stays in our session."""
    reading, writing = os.pipe()
    if (between := os.fork()) == 0:
        if (left := os.fork()) == 0:
            time.sleep(3600)
        os.write(writing, str(left).encode())
        os._exit(0)
    os.waitpid(between, 0)
    os.close(writing)
    pid = int(os.read(reading, 20))
    os.close(reading)
    return pid


if __name__ == "__main__":
    main()
