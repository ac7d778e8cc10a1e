"""Commands that reach routers which run in other processes, and a router that can't be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client, StdioServerParameters

from tests.support.gateway_server import TOKEN, ContextForge, contextforge, row
from tests.support.loopback import refusing_url
from tool_router.control.client import ask_routers
from tool_router.control.place import MOST_PATH_BYTES, is_private, sockets_dir
from tool_router.errors import ControlError

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
ECHO = {"task": "x", "tool": "echo", "arguments": {"text": "hi"}}


@asynccontextmanager
async def two_heads() -> AsyncGenerator[tuple[ContextForge, ContextForge]]:
    rows = [row("echo", "r1")]
    async with contextforge(rows=rows) as one, contextforge(rows=rows) as two:
        yield one, two


def environ(home: Path, one: ContextForge, two: ContextForge) -> dict[str, str]:
    (home / "router.yml").write_text(
        "relevance: {enabled: false}\n"
        "balance: {strategy: round_robin, shadow: least_loaded, health_s: 0}\n"
        "gateway:\n"
        f"  url: {one.url}\n"
        f"  token: {TOKEN}\n"
        "  target: {name: one}\n"
        f"  replicas: [{{name: two, url: '{two.url}'}}]\n",
        encoding="utf-8",
    )
    return os.environ | {
        "TOOL_ROUTER_HOME": str(home),
        "TOOL_ROUTER_CONFIG": str(home / "router.yml"),
        "TOOL_ROUTER_LOG": "error",
    }


async def command(env: Mapping[str, str], *words: str) -> tuple[int, str, str]:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tool_router", *words],
            capture_output=True,
            text=True,
            env=dict(env),
            cwd=ROOT,
            timeout=60,
            check=False,
        )

    done = await to_thread.run_sync(run)
    return done.returncode, done.stdout, done.stderr


async def shown(env: Mapping[str, str]) -> dict[str, Any]:
    code, out, _ = await command(env, "targets", "list", "--json")
    assert code == 0
    (router,) = json.loads(out)
    return router


async def test_targets_are_listed_drained_and_resumed_while_the_router_runs(tmp_path: Path) -> None:
    async with two_heads() as (one, two):
        env = environ(tmp_path, one, two)
        server = StdioServerParameters(command=sys.executable, args=["-m", "tool_router"], env=env, cwd=ROOT)
        with anyio.fail_after(120):
            async with Client(server) as client:
                for _ in range(4):
                    result = await client.call_tool("execute_task", ECHO)
                    assert not result.is_error
                router = await shown(env)
                assert router["strategy"] == "round_robin"
                assert [(t["name"], t["use"], t["requests"]) for t in router["targets"]] == [
                    ("one", "used", 2),
                    ("two", "used", 2),
                ]
                assert router["shadow"]["decisions"] >= 4
                assert router["latest"]["alternatives"][0]["reason"]

                code, out, _ = await command(env, "targets", "drain", "two")
                assert (code, "two: drained" in out) == (0, True)
                for _ in range(3):
                    facts = (await client.call_tool("execute_task", ECHO)).meta or {}
                    assert facts["tool-router/decision"]["targets"] == ["one"]
                assert (await command(env, "targets", "resume", "two"))[0] == 0
                assert (await command(env, "targets", "use", "random"))[0] == 0
                assert (await shown(env))["strategy"] == "random"

                code, out, _ = await command(env, "breaker", "list", "--json")
                names = {breaker["name"] for breaker in json.loads(out)[0]["breakers"]}
                assert "target:one" in names
                code, out, _ = await command(env, "breaker", "reset", "target:one")
                assert (code, "target:one" in out) == (0, True)
                code, _, err = await command(env, "breaker", "reset", "target:three")
                assert code != 0
                assert "There are: " in err
                code, out, _ = await command(env, "metrics", "reset")
                assert code == 0
                assert [target["requests"] for target in (await shown(env))["targets"]] == [0, 0]
        code, _, err = await command(env, "targets", "list")
        assert code == 1
        assert "No router runs here" in err


async def test_doctor_asks_every_head_and_warns_of_one_that_fails_beside_others(tmp_path: Path) -> None:
    async with two_heads() as (one, two):
        env = environ(tmp_path, one, two)
        file = tmp_path / "router.yml"
        file.write_text(file.read_text(encoding="utf-8").replace(two.url, refusing_url()), encoding="utf-8")
        _, out, _ = await command(env, "doctor", "--json")
    gateways = [finding for finding in json.loads(out) if finding["what"].startswith("gateway")]
    assert [finding["status"] for finding in gateways] == ["ok", "warn"]


async def test_what_a_killed_router_left_behind_is_cleared_away(tmp_path: Path) -> None:
    env = {"TOOL_ROUTER_HOME": str(tmp_path)}
    directory = sockets_dir(env)
    directory.mkdir(parents=True, mode=0o700)
    listener = await anyio.create_unix_listener(directory / "99999.sock")
    await listener.aclose()
    assert (directory / "99999.sock").exists()
    with pytest.raises(ControlError, match="No router runs here"):
        await ask_routers(env, "status")
    assert not (directory / "99999.sock").exists()


async def test_a_socket_that_never_answers_is_said_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tool_router.control.client.LIMIT_S", 0.05)
    env = {"TOOL_ROUTER_HOME": str(tmp_path)}
    directory = sockets_dir(env)
    directory.mkdir(parents=True, mode=0o700)
    async with await anyio.create_unix_listener(directory / "1.sock"):
        (reply,) = await ask_routers(env, "status")
    assert "did not answer" in reply.error


def test_a_deep_home_has_its_sockets_where_their_path_fits() -> None:
    deep = {"TOOL_ROUTER_HOME": "/" + "d" * 200}
    assert len(str(sockets_dir(deep))) <= MOST_PATH_BYTES
    assert sockets_dir(deep) != sockets_dir({"TOOL_ROUTER_HOME": "/" + "e" * 200})


def test_a_directory_that_others_may_enter_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert not is_private(tmp_path)
    tmp_path.chmod(0o700)
    assert is_private(tmp_path)
