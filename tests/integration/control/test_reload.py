"""A router that runs takes over heads and strategy from its file, on SIGHUP and by itself."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from service_manager import filewatch
from tests.support.gateway_server import TOKEN, ContextForge, contextforge
from tool_router.balance.assembly import build_balanced
from tool_router.balance.balanced import BalancedGateway
from tool_router.config import Settings
from tool_router.config_file import load_settings
from tool_router.gateway.assembly import Heads
from tool_router.reload import Reloader, needs_restart, reloading

pytestmark = pytest.mark.anyio


def write(file: Path, one: ContextForge, rest: str = "", strategy: str = "round_robin") -> None:
    file.write_text(
        f"gateway: {{url: '{one.url}', token: {TOKEN}, target: {{name: one}}, replicas: [{rest}]}}\n"
        f"balance: {{strategy: {strategy}, health_s: 0}}\n",
        encoding="utf-8",
    )


@asynccontextmanager
async def running(file: Path) -> AsyncGenerator[tuple[BalancedGateway, Reloader]]:
    def read() -> Settings:
        return load_settings(file, {})

    settings = read()
    heads = Heads()
    balanced = build_balanced(settings, heads.first(settings, {})[0], heads.at)
    async with balanced.open():
        yield balanced, Reloader(settings, read, balanced, heads)


def names(gateway: BalancedGateway) -> list[str]:
    return [member.name for member in gateway.pool.members()]


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not true():  # noqa: ASYNC110  # nothing tells it
            await anyio.sleep(0.01)


async def test_heads_come_and_go_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "router.yml"
    async with contextforge() as one, contextforge() as two:
        write(file, one)
        async with running(file) as (gateway, reloader):
            assert names(gateway) == ["one"]
            write(file, one, f"{{name: two, url: '{two.url}', weight: 3}}", strategy="weighted")
            await reloader.reload()
            assert names(gateway) == ["one", "two"]
            assert gateway.pool.get("two").state.spec.weight == 3
            assert gateway.pool.selecting.name == "weighted"
            assert len(await gateway.pool.get("two").target.list_tools()) == 2

            window = gateway.pool.get("two").state.window
            write(file, one, f"{{name: two, url: '{two.url}', weight: 5}}", strategy="weighted")
            await reloader.reload()
            assert gateway.pool.get("two").state.spec.weight == 5
            assert gateway.pool.get("two").state.window is window

            write(file, one)
            await reloader.reload()
            assert names(gateway) == ["one"]


async def test_a_wrong_file_changes_nothing_and_is_said(tmp_path: Path) -> None:
    file = tmp_path / "router.yml"
    async with contextforge() as one:
        write(file, one)
        async with running(file) as (gateway, reloader):
            file.write_text("gateway: {ulr: x}\n", encoding="utf-8")
            with capture_logs() as logs:
                await reloader.reload()
            assert names(gateway) == ["one"]
            assert "ulr" in logs[0]["reason"]


async def test_a_changed_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filewatch, "LOOK_S", 0.02)
    file = tmp_path / "router.yml"
    async with contextforge() as one:
        write(file, one)
        async with running(file) as (gateway, reloader), reloading(reloader, file):
            write(file, one, strategy="least_loaded")
            await until(lambda: gateway.pool.selecting.name == "least_loaded")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
async def test_sighup_reloads(tmp_path: Path) -> None:
    file = tmp_path / "router.yml"
    async with contextforge() as one:
        write(file, one)
        async with running(file) as (gateway, reloader), reloading(reloader, None):
            write(file, one, strategy="random")
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: gateway.pool.selecting.name == "random")


def test_what_counts_only_after_a_restart_is_named() -> None:
    old = Settings()
    new = Settings.model_validate(
        {
            "gateway": {"url": "http://a", "replicas": [{"url": "http://b"}]},
            "balance": {"strategy": "random", "queue_limit": 5},
            "policy": {"read": 0.5},
        }
    )
    assert needs_restart(old, new) == ["gateway.url", "policy", "balance.queue_limit"]
    assert needs_restart(old, old) == []
