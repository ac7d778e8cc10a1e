"""Spawn to the answer of `initialize`: `tool-router` against a bare MCPServer, alternating."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tool_router.cache.store import Store
from tool_router.catalog.describe import describe
from tool_router.catalog.model import Catalog, Tool
from tool_router.config_file import load_settings
from tool_router.evaluation.sample_catalog import read_catalog, sample_catalog
from tool_router.install.launch import own_command
from tool_router.location import gateway_key, store_path

TARGET_RATIO = 1.3
TOOLS = 2375
NOBODY = "http://127.0.0.1:9/mcp"
"""A gateway that refuses every connection: the catalog has to come from the store."""

BARE_SERVER = """\
from mcp.server.mcpserver import MCPServer

mcp = MCPServer("hello")


@mcp.tool()
def hello(name: str) -> str:
    return f"Hello, {name}!"


if __name__ == "__main__":
    mcp.run()
"""

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST_TOOLS: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}


@dataclass(frozen=True, slots=True)
class Contest:
    """The two commands, and what the runs of each took in milliseconds."""

    router: Sequence[str]
    bare: Sequence[str]
    environ: Mapping[str, str]

    def run(self, times: int) -> tuple[list[float], list[float]]:
        """Measure both alternately, the first one taking turns; the warm-up runs before do not count."""
        for command in (self.router, self.bare, self.router, self.bare):
            initialize_ms(command, self.environ)
        router: list[float] = []
        bare: list[float] = []
        for number in range(times):
            order = [(self.router, router), (self.bare, bare)]
            for command, results in order if number % 2 else reversed(order):
                results.append(initialize_ms(command, self.environ))
        return router, bare


def initialize_ms(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Milliseconds from the spawn of a stdio server until its answer to `initialize` has been read."""
    started = time.perf_counter()
    with _spawn(command, environ) as process:
        answer = _ask(process, INITIALIZE)
        elapsed = time.perf_counter() - started
        if "result" not in answer:
            raise SystemExit(f"{' '.join(command)} did not answer initialize: {answer}")
        process.kill()
    return elapsed * 1000


def listed_description(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """The description of the server's first tool, as its first `tools/list` gives it."""
    with _spawn(command, environ) as process:
        _ask(process, INITIALIZE)
        _send(process, INITIALIZED)
        answer = _ask(process, LIST_TOOLS)
        process.kill()
    if "result" not in answer:
        raise SystemExit(f"{' '.join(command)} did not answer tools/list: {answer or 'it ended'}")
    return str(answer["result"]["tools"][0]["description"])


def prepare(tools: Sequence[Tool], folder: Path) -> Contest:
    """Put a catalog into a store of its own, and a bare server beside it."""
    config = folder / "router.yml"
    config.write_text("relevance: {enabled: false}\n", encoding="utf-8")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TOOL_ROUTER_")},
        "TOOL_ROUTER_HOME": str(folder),
        "TOOL_ROUTER_CONFIG": str(config),
        "GATEWAY_URL": NOBODY,
        "GATEWAY_TOKEN": "",
    }
    settings = load_settings(environ=environ)
    catalog = Catalog(tuple(tools), time.time(), gateway_key(settings, environ))
    anyio.run(_save, store_path(settings, environ), catalog)
    bare = folder / "bare_server.py"
    bare.write_text(BARE_SERVER, encoding="utf-8")
    return Contest(own_command(), (sys.executable, str(bare)), environ)


def measure(tools: Sequence[Tool], times: int) -> dict[str, Any]:
    """Run the contest; the facts it prints.

    Raises:
        SystemExit: a server does not answer, or the router does not know the stored catalog.
    """
    with tempfile.TemporaryDirectory() as folder:
        contest = prepare(tools, Path(folder))
        description = listed_description(contest.router, contest.environ)
        expected = describe(Catalog(tuple(tools)))
        if description != expected:
            raise SystemExit(f"tool-router does not know the stored catalog; it says: {description}")
        router, bare = contest.run(times)
    ratio = statistics.median(router) / statistics.median(bare)
    return {
        "runs": times,
        "tools": len(tools),
        "router_median_ms": round(statistics.median(router), 1),
        "bare_median_ms": round(statistics.median(bare), 1),
        "router_min_ms": round(min(router), 1),
        "bare_min_ms": round(min(bare), 1),
        "ratio": round(ratio, 3),
        "ratio_of_minima": round(min(router) / min(bare), 3),
        "target_ratio": TARGET_RATIO,
        "reached": ratio <= TARGET_RATIO,
    }


def report(facts: Mapping[str, Any]) -> str:
    """The facts as people read them."""
    lines = [f"spawn to `initialize` answer, {facts['runs']} runs each, {facts['tools']} tools in the store"]
    for name, label in (("router", "tool-router"), ("bare", "bare MCPServer")):
        median, least = facts[f"{name}_median_ms"], facts[f"{name}_min_ms"]
        lines.append(f"  {label:15} median {median:7.1f} ms   min {least:7.1f} ms")
    verdict = "reached" if facts["reached"] else "missed"
    ratio, of_minima = facts["ratio"], facts["ratio_of_minima"]
    lines.append(f"  ratio {ratio:.2f} (of minima {of_minima:.2f}); target <= {TARGET_RATIO}: {verdict}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and exit 0 when the target is reached, 1 when it is not."""
    parser = argparse.ArgumentParser(prog="scripts/bench_startup", description=__doc__)
    parser.add_argument("-n", type=int, default=20, help="how often each is started")
    parser.add_argument("--tools", type=int, default=TOOLS, help="how many tools the store holds")
    parser.add_argument("--catalog", type=Path, help="a tools.jsonl to store instead of made-up tools")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    tools = read_catalog(options.catalog) if options.catalog else sample_catalog(options.tools)
    facts = measure(tools, options.n)
    print(json.dumps(facts, indent=2) if options.json else report(facts))
    return 0 if facts["reached"] else 1


async def _save(file: Path, catalog: Catalog) -> None:
    async with Store.open(file) as store:
        await store.save_catalog(catalog, describe(catalog))


def _spawn(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
        bufsize=0,
    )


def _send(process: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")


def _ask(process: subprocess.Popen[bytes], message: Mapping[str, Any]) -> dict[str, Any]:
    """Send a request and read lines until its answer; notifications in between are passed over."""
    _send(process, message)
    assert process.stdout is not None
    while line := process.stdout.readline():
        answer = json.loads(line)
        if answer.get("id") == message["id"]:
            return answer
    return {}


if __name__ == "__main__":
    sys.exit(main())
