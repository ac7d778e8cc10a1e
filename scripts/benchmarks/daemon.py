"""What the daemon adds to calling the same service directly, and many clients of one service at once."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from service_manager.daemon.address import Address
from service_manager.daemon.client import DaemonClient, ensure_daemon
from service_manager.errors import DaemonError
from tool_router.catalog.model import Tool
from tool_router.gateway.daemon_services import DaemonServices
from tool_router.gateway.protocol import no_progress
from tool_router.install.launch import own_command

TARGET_MS = 3.0
"""What a call through the daemon may take longer than the same call directly, p50."""

SERVER = Path(__file__).parents[2] / "tests" / "support" / "stdio_service.py"
SERVICE = "faulty"
ROUTER_YML = "relevance: {enabled: false}\nlog: {level: error}\n"
LABELS = {
    "direct": "the service itself, over stdio",
    "daemon": "through the daemon",
    "router_daemon": "execute_task, daemon",
    "router_local": "execute_task, in process",
}
START_S = 30.0
WARM_UP = 10
WITHIN_S = 120.0
"""How long all clients together may take."""

Call = Callable[[str], Awaitable[CallToolResult]]


class NotMeasured(Exception):
    """A call did not do what was to be measured."""


async def measure(times: int, clients: int, calls_each: int) -> dict[str, Any]:
    """Call one tool in four ways, in turns, then from many clients at once; the facts that are printed.

    Raises:
        NotMeasured: a call was not answered by the tool.
        DaemonError: the daemon does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, environ = _prepare(Path(folder))
        address = await ensure_daemon(file, environ, START_S)
        try:
            took = await _compared(address, environ, times)
            crowd = await _crowd(address, clients, calls_each)
        finally:
            async with DaemonClient(address) as daemon:
                await daemon.shutdown()
            # It writes its last words into the folder.
            with anyio.move_on_after(START_S):
                while await anyio.Path(address.socket).exists():  # noqa: ASYNC110  # it is another process
                    await anyio.sleep(0.05)
    return _facts(took, crowd, times)


async def _compared(address: Address, environ: Mapping[str, str], times: int) -> dict[str, list[float]]:
    argv = _argv()
    service = StdioServerParameters(command=argv[0], args=argv[1:])
    tool = Tool(f"{SERVICE}::echo", "echo", SERVICE, call_name="echo")
    services = DaemonServices(address)
    async with (
        Client(service, cache=None) as direct,
        services.open(),
        Client(_router(environ, "shared"), cache=None) as shared,
        Client(_router(environ, "off"), cache=None) as own,
    ):
        calls: dict[str, Call] = {
            "direct": lambda text: direct.call_tool("echo", {"message": text}),
            "daemon": lambda text: services.call(tool, {"message": text}, no_progress),
            "router_daemon": lambda text: shared.call_tool("execute_task", _asked(text)),
            "router_local": lambda text: own.call_tool("execute_task", _asked(text)),
        }
        for number in range(WARM_UP):
            for call in calls.values():
                _check(await call(f"warm {number}"), f"warm {number}")
        return await _take_turns(calls, times)


async def _take_turns(calls: Mapping[str, Call], times: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = defaultdict(list)
    names = list(calls)
    for number in range(times):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            text = f"{name} {number}"
            started = time.perf_counter()
            result = await calls[name](text)
            took[name].append((time.perf_counter() - started) * 1000)
            _check(result, text)
    return took


async def _crowd(address: Address, clients: int, calls_each: int) -> dict[str, Any]:
    """Many MCP clients, each with a session of its own, that call at once; each is to get its own answers."""
    right = wrong = 0
    failures: set[str] = set()

    async def live(number: int) -> None:
        nonlocal right, wrong
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(address.http())
            transport = streamable_http_client(address.endpoint(SERVICE), http_client=http)
            client = await stack.enter_async_context(Client(transport, cache=None))
            for call in range(calls_each):
                text = f"client {number} call {call} {'x' * (number * 7 % 500)}"
                try:
                    answer = _text(await client.call_tool("echo", {"message": text}))
                except MCPError as error:
                    failures.add(str(error))
                    continue
                right += answer == f"echo: {text}"
                wrong += answer != f"echo: {text}"

    began = time.perf_counter()
    with anyio.move_on_after(WITHIN_S):
        async with anyio.create_task_group() as tasks:
            for number in range(clients):
                tasks.start_soon(live, number)
    return {
        "clients": clients,
        "calls": clients * calls_each,
        "right": right,
        "wrong": wrong,
        "lost": clients * calls_each - right - wrong,
        "seconds": round(time.perf_counter() - began, 2),
        "failures": sorted(failures)[:5],
    }


def _facts(took: Mapping[str, list[float]], crowd: Mapping[str, Any], times: int) -> dict[str, Any]:
    medians = {name: statistics.median(took[name]) for name in LABELS}
    overhead_ms = medians["daemon"] - medians["direct"]
    return {
        "runs": times,
        "p50_ms": {name: round(value, 2) for name, value in medians.items()},
        "p95_ms": {name: round(_p95(took[name]), 2) for name in LABELS},
        "overhead_p50_ms": round(overhead_ms, 2),
        "target_ms": TARGET_MS,
        "clients": dict(crowd),
        "reached": overhead_ms <= TARGET_MS and crowd["right"] == crowd["calls"],
    }


def report(facts: Mapping[str, Any]) -> str:
    """The facts as people read them."""
    lines = [f"{facts['runs']} calls each of one warm service"]
    for name, label in LABELS.items():
        p50, p95 = facts["p50_ms"][name], facts["p95_ms"][name]
        lines.append(f"  {label:31} p50 {p50:7.2f} ms   p95 {p95:7.2f} ms")
    crowd = facts["clients"]
    lines += [
        f"  overhead of the daemon over the service itself: p50 {facts['overhead_p50_ms']:.2f} ms "
        f"(target <= {facts['target_ms']:.0f} ms)",
        f"{crowd['clients']} clients at once, {crowd['calls']} calls: {crowd['right']} right, "
        f"{crowd['wrong']} wrong, {crowd['lost']} lost; {crowd['seconds']:.1f} s",
        *(f"    {failure}" for failure in crowd["failures"]),
        f"  targets: {'reached' if facts['reached'] else 'missed'}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and exit 0 when the targets are reached, 1 when not, 2 when nothing was measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench_daemon", description=__doc__)
    parser.add_argument("-n", type=int, default=300, help="how often each way is called")
    parser.add_argument("--clients", type=int, default=200, help="clients at once")
    parser.add_argument("--calls", type=int, default=5, help="calls of each of them")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    try:
        facts = anyio.run(measure, options.n, options.clients, options.calls)
    except* (NotMeasured, DaemonError) as group:
        print(f"bench_daemon: {_first(group)}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(facts, indent=2) if options.json else report(facts))
    return 0 if facts["reached"] else 1


def _prepare(folder: Path) -> tuple[Path, dict[str, str]]:
    """A services.yml with the service, and the environment of daemon and routers."""
    file, config = folder / "services.yml", folder / "router.yml"
    file.write_text(json.dumps({"services": {SERVICE: {"command": _argv()}}}), encoding="utf-8")
    config.write_text(ROUTER_YML, encoding="utf-8")
    return file, {
        "PATH": os.environ.get("PATH", os.defpath),
        "TOOL_ROUTER_HOME": str(folder / "home"),
        "TOOL_ROUTER_SERVICES": str(file),
        "TOOL_ROUTER_CONFIG": str(config),
    }


def _argv() -> list[str]:
    return [sys.executable, str(SERVER)]


def _router(environ: Mapping[str, str], daemon: str) -> StdioServerParameters:
    command, *args = own_command()
    return StdioServerParameters(command=command, args=args, env={**environ, "TOOL_ROUTER_DAEMON": daemon})


def _asked(text: str) -> dict[str, Any]:
    return {"task": "Echo a message.", "tool": f"{SERVICE}::echo", "arguments": {"message": text}}


def _check(result: CallToolResult, text: str) -> None:
    if result.is_error or _text(result) != f"echo: {text}":
        raise NotMeasured(f"A call was not answered by the tool: {result.content}")


def _text(result: CallToolResult) -> str:
    first = result.content[0] if result.content else None
    return first.text if isinstance(first, TextContent) else ""


def _first(group: BaseExceptionGroup[NotMeasured | DaemonError]) -> BaseException:
    """The error inside the groups that the connections' task groups made of it."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


if __name__ == "__main__":
    sys.exit(main())
