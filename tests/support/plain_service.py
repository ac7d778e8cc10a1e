"""An MCP server over stdio that needs nothing but the standard library, so that many of them start fast.

usage: python -I -S plain_service.py [--hang] [--die]
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

TOOL = {"name": "whoami", "description": "The process.", "inputSchema": {"type": "object"}}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a request; None for a method that is not known."""
    match method:
        case "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "plain", "version": "1"},
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            return {"content": [{"type": "text", "text": str(os.getpid())}]}
        case _:
            return None


def main() -> None:
    """Answer until the input ends."""
    if "--die" in sys.argv:
        sys.exit("no licence found")
    ready = False
    for line in sys.stdin:
        request = json.loads(line)
        ready = ready or request.get("method") == "notifications/initialized"
        if "id" not in request or (ready and "--hang" in sys.argv):
            continue
        result = answer(request["method"], request.get("params", {}))
        told = (
            {"error": {"code": -32601, "message": "Method not found"}}
            if result is None
            else {"result": result}
        )
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], **told}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
