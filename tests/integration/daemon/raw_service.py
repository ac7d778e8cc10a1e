"""An MCP server of the handshake era without an SDK: what it sends is exactly what is written here.

usage: python raw_service.py [NAME OF A FURTHER TOOL]...

One line, one message. Calls that wait do so in threads; everything else is answered in the order it came.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

Json = dict[str, Any]

ABOUT: Json = {
    "protocolVersion": "2025-11-25",
    "serverInfo": {"name": "raw", "version": "7.1", "title": "Raw", "x-colour": "red"},
    "capabilities": {
        "tools": {},
        "resources": {"subscribe": True},
        "prompts": {},
        "logging": {},
        "completions": {},
        "tasks": {"list": {}},
        "experimental": {"x-odd": {"depth": 1}},
    },
    "instructions": "Ask for anything.",
}

ODD: Json = {
    "content": [{"type": "text", "text": "odd", "x-unknown": {"deep": [None, 1.5, "ä", True]}}],
    "structuredContent": {"none": None, "empty": {}, "zero": 0, "big": 9007199254740993},
    "isError": True,
    "_meta": {"x/y": [1, {"z": None}], "plain": "kept"},
    "xUnknown": {"kept": None},
}

FAILURE: Json = {"code": -32050, "message": "It is Monday", "data": {"again": [1, None]}}

ANSWERS: Json = {"odd": {"result": ODD}, "fail": {"error": FAILURE}}

RESOURCE: Json = {"contents": [{"uri": "note://1", "text": "first", "xExtra": [None]}]}


class Server:
    """The whole server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tools = [
            "echo",
            "odd",
            "fail",
            "steps",
            "wait",
            "seen",
            "grow",
            "say",
            "touch",
            "params",
            "die",
            *sys.argv[1:],
        ]
        self._waiting: dict[Any, threading.Event] = {}
        self._cancelled: list[str] = []
        self._level = ""
        self._subscribed: list[str] = []

    def run(self) -> None:
        """Answer until standard input ends."""
        for line in sys.stdin:
            message = json.loads(line)
            if "method" not in message:
                continue
            if "id" in message:
                self._request(message)
            elif message["method"] == "notifications/cancelled":
                event = self._waiting.get(message["params"]["requestId"])
                if event is not None:
                    event.set()

    def _request(self, message: Json) -> None:
        params: Json = message.get("params") or {}
        answer: Json | None = self._listing(message["method"], params)
        match message["method"]:
            case "initialize":
                answer = ABOUT
            case "ping":
                answer = {}
            case "tools/call":
                self._call(message, params)
                return
            case "resources/read":
                answer = RESOURCE
            case "prompts/get":
                answer = {"messages": [], "xName": params["name"]}
            case "completion/complete":
                answer = {"completion": {"values": [params["argument"]["value"] + "!"]}}
            case "logging/setLevel":
                self._level = params["level"]
                answer = {}
            case "resources/subscribe":
                self._subscribed.append(params["uri"])
                answer = {}
            case "resources/unsubscribe":
                self._subscribed.remove(params["uri"])
                answer = {}
            case "x/odd":
                answer = {"asked": params}
            case _:
                pass
        if answer is None:
            error = {"code": -32601, "message": "Method not found", "data": {"asked": message["method"]}}
            self._send({"id": message["id"], "error": error})
        else:
            self._send({"id": message["id"], "result": answer})

    def _listing(self, method: str, params: Json) -> Json | None:
        match method:
            case "tools/list":
                # Two pages, so that whoever lists has to put them together.
                first, second = self._tools[:3], self._tools[3:]
                if params.get("cursor") == "2":
                    return {"tools": [_tool(name) for name in second]}
                return {"tools": [_tool(name) for name in first], "nextCursor": "2", "xPage": 1}
            case "prompts/list":
                return {"prompts": [{"name": "greet"}]}
            case "resources/list":
                return {"resources": [{"uri": "note://1", "name": "first"}]}
            case "resources/templates/list":
                return {"resourceTemplates": []}
            case _:
                return None

    def _call(self, message: Json, params: Json) -> None:
        arguments: Json = params.get("arguments") or {}
        if params["name"] in ("odd", "fail"):
            self._send({"id": message["id"], **ANSWERS[params["name"]]})
            return
        match params["name"]:
            case "echo":
                self._text(message, arguments["text"])
            case "params":
                self._text(message, json.dumps(params))
            case "steps":
                meta: Json = params.get("_meta") or {}
                token = meta.get("progressToken")
                for step in range(1, arguments["steps"] + 1) if token is not None else ():
                    told: Json = {
                        "progressToken": token,
                        "progress": step,
                        "total": 10,
                        "message": f"step {step}",
                    }
                    self._send({"method": "notifications/progress", "params": told})
                self._text(message, "stepped")
            case "rest":
                threading.Thread(target=self._rest, args=(message, arguments["seconds"]), daemon=True).start()
            case "wait":
                threading.Thread(target=self._wait, args=(message, arguments["name"]), daemon=True).start()
            case "seen":
                seen = {"cancelled": self._cancelled, "level": self._level, "subscribed": self._subscribed}
                self._text(message, json.dumps({**seen, "waiting": len(self._waiting), "pid": os.getpid()}))
            case "grow":
                self._tools.append(arguments["name"])
                self._send({"method": "notifications/tools/list_changed"})
                self._text(message, "grown")
            case "say":
                told = {"level": arguments["level"], "data": {"text": arguments["text"], "xMore": None}}
                self._send({"method": "notifications/message", "params": told})
                self._text(message, "said")
            case "touch":
                self._send({"method": "notifications/resources/updated", "params": {"uri": arguments["uri"]}})
                self._text(message, "touched")
            case _:
                sys.stderr.write("the disk is on fire\n")
                sys.stderr.flush()
                os._exit(3)

    def _rest(self, message: Json, seconds: float) -> None:
        self._waiting[message["id"]] = threading.Event()
        self._waiting[message["id"]].wait(seconds)
        self._text(message, "rested")

    def _wait(self, message: Json, name: str) -> None:
        event = self._waiting[message["id"]] = threading.Event()
        event.wait()
        with self._lock:
            del self._waiting[message["id"]]
            self._cancelled.append(name)

    def _text(self, message: Json, text: str) -> None:
        self._send({"id": message["id"], "result": {"content": [{"type": "text", "text": text}]}})

    def _send(self, message: Json) -> None:
        with self._lock:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            sys.stdout.flush()


def _tool(name: str) -> Json:
    return {"name": name, "inputSchema": {"type": "object"}, "xHint": None}


if __name__ == "__main__":
    Server().run()
