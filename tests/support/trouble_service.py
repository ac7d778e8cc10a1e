"""An MCP server with switches for every kind of trouble; run as a child process by tests.

usage: python -I -S trouble_service.py [SWITCH[=VALUE]]...

It has no SDK, so that it starts in 20 ms and can do what no SDK would. One line, one message; a call that
waits does so without holding up the others.

    silent          never answer anything
    die             end at once with exit code 7
    die-without=F   end at once unless the file F exists
    noise           write what is no message before the session, and with every answer
    big-noise=MB    write a line of so many megabytes before the session
    deaf            ignore SIGTERM and the end of standard input
    daemon=F        leave a process behind that left group, session and parent; its number goes to the file F
    flood=MB        write so many megabytes to stderr before the session
    tools=F         offer the tools that the file F names, one on a line
    starts=F        add a line to the file F at each start
    odd-lists       list what is no list
    http=PORT       serve at this port instead of standard streams
    late=S          listen only after so many seconds
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]

MB = 2**20

SWITCHES = {name: value for name, _, value in (word.partition("=") for word in sys.argv[1:])}

NOISE = (
    b"Welcome to the noisy server",
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"jsonrpc": "2.0", "id": 424242, "result": {}}',
    b'{"jsonrpc": "2.0", "id": "never asked", "error": {"code": -32000, "message": "nobody asked"}}',
    b'{"jsonrpc": "2.0", "method": "notifications/nobody/knows", "params": {"deep": [[[[]]]]}}',
    b"\xff\xfe\x00 no text at all",
)

TOOLS = ("echo", "pid", "crash", "wait", "rest", "eat", "burn", "flood", "leave")

writing = threading.Lock()
kept: list[bytearray] = []


def say(line: bytes) -> None:
    """Write a line to standard output, whole."""
    with writing:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def complain(text: str) -> None:
    """Write to stderr, whatever is buffered elsewhere."""
    os.write(2, f"{text}\n".encode())


def flood(megabytes: int, end: str = "\n") -> None:
    """Write so much to stderr, in lines of 100 bytes or without an end, and a last line that says so."""
    chunk = (b"x" * 99 + end.encode()) * 640
    for _ in range(megabytes * MB // len(chunk)):
        os.write(2, chunk)
    complain(f"\nflooded {megabytes} MB")


def leave(file: str) -> None:
    """Leave a process behind that leads its own session and is nobody's child."""
    reading, ready = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            Path(file).write_text(str(os.getpid()))
            os.write(ready, b".")
            time.sleep(3600)
        os._exit(0)
    os.wait()
    os.read(reading, 1)


def eat(megabytes: int) -> None:
    """Take so much memory and use it."""
    for _ in range(megabytes):
        kept.append(bytearray(MB))
        kept[-1][::4096] = b"x" * (MB // 4096)


def deafen() -> None:
    """Ignore whoever asks it to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def called(name: str, arguments: Json) -> str | None:
    """What a tool answers; None for never."""
    match name:
        case "pid":
            return str(os.getpid())
        case "crash":
            complain("the disk is on fire")
            os._exit(3)
        case "wait":
            return None
        case "eat":
            eat(arguments["megabytes"])
        case "burn":
            threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
        case "flood":
            flood(**arguments)
        case "leave":
            leave(arguments["file"])
        case "rest":
            time.sleep(arguments["seconds"])
        case _:
            pass
    return str(arguments.get("text", "done"))


def listed() -> Any:
    """The tools as it lists them."""
    if "odd-lists" in SWITCHES:
        complain("listed")
        return 7
    more = Path(SWITCHES["tools"]).read_text().split() if SWITCHES.get("tools") else []
    return [{"name": name, "inputSchema": {"type": "object"}} for name in (*TOOLS, *more)]


def answer(message: Json) -> Json | None:
    """What a request is answered; None for never."""
    params: Json = message.get("params") or {}
    match message["method"]:
        case "initialize":
            result: Json = {
                "protocolVersion": "2025-11-25",
                "serverInfo": {"name": "trouble", "version": "1"},
                "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}},
            }
        case "ping" | "resources/subscribe" | "resources/unsubscribe":
            result = {}
        case "tools/list":
            result = {"tools": listed()}
        case "resources/list":
            result = {"resources": []}
        case "tools/call":
            text = called(params["name"], params.get("arguments") or {})
            if text is None:
                return None
            result = {"content": [{"type": "text", "text": text}]}
        case _:
            return {"error": {"code": -32601, "message": "Method not found"}}
    return {"result": result}


def reply(message: Json) -> None:
    """Answer a request over standard output, with noise where that is wanted."""
    found = answer(message)
    if found is None:
        return
    for line in NOISE if "noise" in SWITCHES else ():
        say(line)
    say(json.dumps({"jsonrpc": "2.0", "id": message["id"], **found}).encode())


def speak() -> None:
    """Answer over standard streams until standard input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "silent" in SWITCHES or "id" not in message or "method" not in message:
            continue
        if message["method"] == "tools/call":
            threading.Thread(target=reply, args=(message,), daemon=True).start()
        else:
            reply(message)
    if "deaf" in SWITCHES:
        time.sleep(3600)


class Http(BaseHTTPRequestHandler):
    """Streamable HTTP with one JSON answer for each request, and no streams."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a message."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = answer(message) if "id" in message else None
        said = b"" if found is None else json.dumps({"jsonrpc": "2.0", "id": message["id"], **found}).encode()
        self.send_response(200 if said else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_GET(self) -> None:
        """Refuse: there is no stream."""
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_OPTIONS = do_DELETE = do_GET  # noqa: N815  # the names the base class looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Write nothing of each request."""


def main() -> None:
    """Behave as the switches say, then serve."""
    if file := SWITCHES.get("starts"):
        with Path(file).open("a") as starts:
            starts.write(f"{os.getpid()}\n")
    if "deaf" in SWITCHES:
        deafen()
    if file := SWITCHES.get("daemon"):
        leave(file)
    if "silent" in SWITCHES:
        complain("thinking it over")
    if "die" in SWITCHES or not Path(SWITCHES.get("die-without", "/")).exists():
        complain("no licence found")
        sys.exit(7)
    if megabytes := int(SWITCHES.get("flood", 0)):
        flood(megabytes)
    for line in NOISE if "noise" in SWITCHES else ():
        say(line)
    if megabytes := int(SWITCHES.get("big-noise", 0)):
        say(b"x" * megabytes * MB)
    time.sleep(float(SWITCHES.get("late", 0)))
    if port := int(SWITCHES.get("http", 0)):
        ThreadingHTTPServer(("127.0.0.1", port), Http).serve_forever()
    speak()


if __name__ == "__main__":
    main()
