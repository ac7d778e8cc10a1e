"""The embedded gateway's list: the lock's words, and what a running service shows to be different."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from service_manager.lock import Lock
from service_manager.manager import ServiceManager
from service_manager.model import Command, LockedService, LockedTool, PackageSource, Progress, ServiceSpec
from service_manager.pins import lock_pin
from tool_router.gateway.embedded import EmbeddedGateway
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
