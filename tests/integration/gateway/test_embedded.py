"""The embedded gateway's list: the lock's words, and what a running service shows to be different."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.types import TextContent
from structlog.testing import capture_logs

from service_manager import filewatch
from service_manager.config.lock import Lock
from service_manager.config.pins import lock_pin
from service_manager.manager import ServiceManager
from service_manager.model import Command, LockedService, LockedTool, PackageSource, Progress, ServiceSpec
from tests.integration.daemon.served import RAW
from tool_router.catalog.model import Tool
from tool_router.errors import ToolUnavailable
from tool_router.gateway.embedded import EmbeddedGateway, build_embedded
from tool_router.gateway.protocol import no_progress
from tool_router.gateway.services import LocalServices

pytestmark = pytest.mark.anyio

CLOCK = Path(__file__).parents[2] / "support" / "clock_service.py"
SPEC = ServiceSpec("time", PackageSource("pypi", "clock", "1.0"))
TOOL = LockedTool(
    "get_current_time",
    description="Other words for the same.",
    input_schema={
        "type": "object",
        "properties": {"timezone": {"type": "string", "title": "Zone", "description": "Other words."}},
        "required": ["timezone"],
        "title": "get_current_timeArguments",
    },
    annotations={"readOnlyHint": True},
)


class Installed:
    """Every package is the clock."""

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """It makes no difference here."""

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        return Command((sys.executable, str(CLOCK)))


def gateway_of(tool: LockedTool) -> EmbeddedGateway:
    lock = Lock({"time": LockedService(lock_pin(SPEC.source), "sha256:00", (tool,))})
    manager = ServiceManager([SPEC], Installed(), os.environ)
    return EmbeddedGateway("embedded:test", [SPEC], lock, LocalServices(manager), os.environ)


async def ignore(progress: float, total: float | None, message: str | None) -> None:
    """Drop progress."""


async def list_before_and_after_a_call(tool: LockedTool) -> tuple[Any, Any]:
    gateway = gateway_of(tool)
    assert isinstance(gateway.services, LocalServices)
    manager = gateway.services.manager
    async with gateway.open():
        before = await gateway.list_tools()
        await gateway.call(before[0], {"timezone": "Asia/Tokyo"}, ignore)
        # The comparison has begun, and holds the service until it is done.
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(20):
            while manager.status()[0].leases:  # noqa: ASYNC110  # a service's answer sets no event of ours
                await anyio.sleep(0.01)
        return before, await gateway.list_tools()


async def test_words_that_differ_from_the_lock_change_nothing() -> None:
    """Else a server that writes the machine's time zone into them would look like a changed tool."""
    with capture_logs() as logs:
        before, after = await list_before_and_after_a_call(TOOL)
    assert before == after
    assert before[0].description == "Other words for the same."
    assert not [log for log in logs if log["event"] == "service_differs_from_lock"]


@pytest.mark.parametrize(
    "locked",
    [
        replace(TOOL, input_schema={"type": "object", "properties": {"timezone": {"type": "number"}}}),
        replace(TOOL, annotations={"destructiveHint": True}),
    ],
    ids=["schema", "annotations"],
)
async def test_what_a_running_service_really_offers_wins_and_is_said(locked: LockedTool) -> None:
    with capture_logs() as logs:
        _, (after,) = await list_before_and_after_a_call(locked)
    assert after.input_schema["properties"]["timezone"]["type"] == "string"
    assert after.hints.read_only is True
    assert [log["service"] for log in logs if log["event"] == "service_differs_from_lock"] == ["time"]


def entry(name: str, *more: str) -> str:
    words = ", ".join(f"'{word}'" for word in (*RAW, *more))
    return f"  {name}:\n    command: [{words}]\n"


@asynccontextmanager
async def watched(
    file: Path, environ: Mapping[str, str]
) -> AsyncGenerator[tuple[EmbeddedGateway, list[int]]]:
    """A gateway that watches its file, and how many tools it listed after each change."""
    gateway = build_embedded(file, environ)
    counts: list[int] = []

    async def changed() -> None:
        counts.append(len(await gateway.list_tools()))

    async with gateway.open(), gateway.watching(changed):
        yield gateway, counts


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(filewatch, "LOOK_S", 0.02)
    file = tmp_path / "services.yml"
    file.write_text(f"services:\n{entry('one')}{entry('two')}")
    return file


async def pid_of(gateway: EmbeddedGateway, name: str) -> int:
    tool = Tool(f"{name}::seen", "seen", name, call_name="seen")
    result = await gateway.call(tool, {}, no_progress)
    (block,) = result.content
    assert isinstance(block, TextContent)
    return json.loads(block.text)["pid"]


async def test_a_changed_services_file_is_taken_over_and_only_what_changed_restarts(
    services: Path, tmp_path: Path
) -> None:
    environ = {"PATH": os.environ["PATH"], "TOOL_ROUTER_HOME": str(tmp_path / "home")}
    async with watched(services, environ) as (gateway, counts):
        one, two = await pid_of(gateway, "one"), await pid_of(gateway, "two")
        assert len(await gateway.list_tools()) == 22
        services.write_text(f"services:\n{entry('one')}{entry('two', 'newcomer')}{entry('three')}")
        with anyio.fail_after(20):
            while not counts:  # noqa: ASYNC110  # another task sees the file
                await anyio.sleep(0.01)
        assert counts == [34]
        assert await pid_of(gateway, "one") == one
        assert await pid_of(gateway, "two") != two
        services.write_text(f"services:\n{entry('three')}")
        with anyio.fail_after(20):
            while len(counts) < 2:  # noqa: ASYNC110  # another task sees the file
                await anyio.sleep(0.01)
        assert counts[1] == 11
        with pytest.raises(ToolUnavailable, match="no service named 'one'"):
            await pid_of(gateway, "one")


async def test_changed_limits_are_taken_over_and_no_tools_are_listed_for_it(
    services: Path, tmp_path: Path
) -> None:
    limits = tmp_path / "limits.yml"
    limits.write_text("priorities:\n  normal:\n    limits: {memory: 1GB}\n")
    environ = {
        "PATH": os.environ["PATH"],
        "TOOL_ROUTER_HOME": str(tmp_path / "home"),
        "TOOL_ROUTER_LIMITS": str(limits),
    }
    async with watched(services, environ) as (gateway, counts):
        one = await pid_of(gateway, "one")
        limits.write_text("priorities:\n  normal:\n    limits: {memory: 300MB}\n")
        with anyio.fail_after(20):
            while await pid_of(gateway, "one") == one:
                pass
        assert counts == []


async def test_a_services_file_that_became_wrong_changes_nothing_and_its_line_is_logged(
    services: Path, tmp_path: Path
) -> None:
    environ = {"PATH": os.environ["PATH"], "TOOL_ROUTER_HOME": str(tmp_path / "home")}
    async with watched(services, environ) as (gateway, counts):
        one = await pid_of(gateway, "one")
        with capture_logs() as logs:
            services.write_text("services:\n  one:\n    comand: x\n")
            with anyio.fail_after(20):
                while "services_not_reloaded" not in [log["event"] for log in logs]:  # noqa: ASYNC110  # as above
                    await anyio.sleep(0.01)
        told = [log for log in logs if log["event"] == "services_not_reloaded"]
        assert f"{services}:3" in told[0]["reason"]
        assert (counts, await pid_of(gateway, "one")) == ([], one)
        services.write_text(f"services:\n{entry('one')}{entry('two')}# mended\n")
        assert await gateway.reload() is False
