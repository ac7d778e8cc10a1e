"""What clients set in a session stays set when the service behind it is started again."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from service_manager.errors import ServiceCrashed, SleepFailed
from service_manager.manager import ServiceManager
from service_manager.model import CommandSource, ServiceSpec, State, Tier
from tests.integration.services.test_manager import manager_of, until

pytestmark = pytest.mark.anyio

SERVICE = Path(__file__).parents[1] / "daemon" / "raw_service.py"
URI = "note://1"


def spec(**changes: Any) -> ServiceSpec:
    source = CommandSource((sys.executable, "-I", "-S", str(SERVICE)))
    return replace(ServiceSpec("s", source, min_sleep_time_s=0.0, idle_timeout_s=3600.0), **changes)


async def call(manager: ServiceManager, tool: str, **arguments: Any) -> str:
    async with manager.lease("s") as session:
        result = await session.request("tools/call", {"name": tool, "arguments": arguments})
    return result["content"][0]["text"]


async def seen(manager: ServiceManager) -> Mapping[str, Any]:
    return json.loads(await call(manager, "seen"))


async def test_the_level_and_subscriptions_are_brought_back_after_a_crash() -> None:
    manager = manager_of(spec())
    async with manager.open():
        await manager.ready("s")
        await manager.set_level("s", "warning")
        await manager.subscribe("s", URI)
        before = await seen(manager)
        with pytest.raises(ServiceCrashed, match="the disk is on fire"):
            await call(manager, "die")
        after = await seen(manager)

    assert after["pid"] != before["pid"]
    assert (after["level"], after["subscribed"]) == ("warning", [URI])


async def test_a_service_with_a_subscriber_starts_again_by_itself_and_does_not_sleep() -> None:
    manager = manager_of(spec())
    async with manager.open():
        await manager.subscribe("s", URI)
        with pytest.raises(ServiceCrashed):
            await call(manager, "die")
        await until(lambda: manager.one("s").state is State.RUNNING)
        with pytest.raises(SleepFailed, match="in use"):
            await manager.sleep("s")
        await manager.unsubscribe("s", URI)
        assert (await seen(manager))["subscribed"] == []
        await until(lambda: manager.one("s").leases == 0)
        await manager.sleep("s")
        assert manager.one("s").state is State.SLEEPING


async def test_a_service_that_slept_by_being_stopped_wakes_with_its_level() -> None:
    manager = manager_of(spec(stateless=True, sleep=Tier.RESPAWN))
    async with manager.open():
        await manager.ready("s")
        await manager.set_level("s", "debug")
        before = await seen(manager)
        await manager.sleep("s")
        assert manager.one("s").pid is None
        after = await seen(manager)
        wake = manager.one("s").sleeping.last_wake

    assert after["pid"] != before["pid"]
    assert after["level"] == "debug"
    assert wake is not None
    assert wake.first_call_ms is not None


async def test_listeners_hear_that_the_tools_are_others_and_what_is_known_follows() -> None:
    manager = manager_of(spec())
    async with manager.open():
        with manager.listen("s") as heard:
            await call(manager, "echo", text="x")
            await until(lambda: "tools/list" in manager.known("s").listings)
            await call(manager, "grow", name="fresh")
            with anyio.fail_after(10):
                notification = await heard.receive()
        names = [tool["name"] for tool in manager.known("s").listings["tools/list"]["tools"]]

    assert notification.method == "notifications/tools/list_changed"
    assert "fresh" in names
    assert "die" in names


async def test_the_most_talkative_level_wins_among_clients() -> None:
    manager = manager_of(spec())
    async with manager.open():
        await manager.ready("s")
        await manager.set_level("s", "info")
        await manager.set_level("s", "error")
        assert (await seen(manager))["level"] == "info"
