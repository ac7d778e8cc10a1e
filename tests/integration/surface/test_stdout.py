"""stdout is the protocol: nothing but JSON-RPC may ever be written to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.surface.conftest import ROOT, RouterHome

GREETING: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bytes", "version": "1"},
}


class Wire:
    """A router's stdin and stdout, spoken to in bytes: every line it prints is kept."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._last_id = 0
        self.lines: list[bytes] = []

    def send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def notify(self, method: str) -> None:
        self.send(json.dumps({"jsonrpc": "2.0", "method": method}).encode())

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self.send(json.dumps(message).encode())
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == self._last_id:
                return answer
        raise AssertionError("the router closed its stdout")

    def call(self, **arguments: Any) -> dict[str, Any]:
        return self.ask("tools/call", {"name": "execute_task", "arguments": arguments})


@contextmanager
def wire(home: RouterHome) -> Generator[Wire]:
    """A router that has been greeted; at the end it is left by closing its stdin, and must end by itself."""
    with (home.directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            home.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=home.environ,
            cwd=ROOT,
        )
        try:
            spoken = Wire(process)
            spoken.ask("initialize", GREETING)
            spoken.notify("notifications/initialized")
            yield spoken
            rest, _ = process.communicate(timeout=30)
            spoken.lines += rest.splitlines()
            assert process.returncode == 0
        finally:
            process.kill()
            process.wait()


def test_with_a_noisy_service_and_debug_logs_stdout_holds_only_json_rpc(router_home: RouterHome) -> None:
    with wire(router_home) as spoken:
        spoken.ask("tools/list", {})
        answer = spoken.call(task="x", tool="echo", arguments={"message": "hello"})
        spoken.call(task="x", tool="crash", arguments={})
        spoken.call(task="")

    assert answer["result"]["content"][0]["text"] == "echo: hello"
    messages = [json.loads(line) for line in spoken.lines]
    assert len(messages) >= 5
    assert {message["jsonrpc"] for message in messages} == {"2.0"}
    assert not any(b"Welcome to the noisy server" in line for line in spoken.lines)
    logged = (router_home.directory / "stderr").read_text(encoding="utf-8")
    assert "task_answered" in logged


@pytest.mark.parametrize(
    "line",
    [b"not json", b"{}", b"[1, 2", b'{"jsonrpc": "2.0", "id": "\xff\xfe"}', b'"' + b"x" * 1_000_000 + b'"'],
    ids=["text", "an empty object", "half a list", "no UTF-8", "1 MB"],
)
def test_a_line_that_is_no_message_does_not_end_the_session(router_home: RouterHome, line: bytes) -> None:
    with wire(router_home) as spoken:
        spoken.send(line)
        answer = spoken.ask("tools/list", {})

    assert [tool["name"] for tool in answer["result"]["tools"]] == ["execute_task"]


def test_every_log_line_is_one_json_object_when_stderr_is_no_terminal(router_home: RouterHome) -> None:
    with wire(router_home) as spoken:
        spoken.call(task="x", tool="echo", arguments={"message": "hello"})

    lines = (router_home.directory / "stderr").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    assert events
    assert all({"event", "level", "timestamp"} <= set(event) for event in events)
